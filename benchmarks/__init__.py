"""Scripts that measure speed and memory; each prints a table and writes a JSON result."""

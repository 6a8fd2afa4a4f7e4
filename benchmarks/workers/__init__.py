"""One side of a comparison each, run in a process (and environment) of its own."""

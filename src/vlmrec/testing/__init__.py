"""Contract suites to subclass, and small data to test on."""

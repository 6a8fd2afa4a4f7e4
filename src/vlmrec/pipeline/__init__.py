"""The front door: fit, evaluate, recommend, add items; what the command line calls."""

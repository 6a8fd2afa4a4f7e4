"""One training loop for every model, with its options, checkpoints and logs."""

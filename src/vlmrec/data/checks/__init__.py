"""The checks of `vlmrec inspect`: what in a dataset can make a result wrong or misleading."""

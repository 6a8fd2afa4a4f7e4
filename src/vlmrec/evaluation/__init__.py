"""How good a recommender is: ranks, metrics, intervals, slices, and how they are told."""

"""CoLLM's mapping: vectors of a model of ids -> vectors that stand among word embeddings."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CollaborativeMap(nn.Module):
    """Two layers, the hidden one wide (arXiv 2310.19488, Section 4.1).

    Differs from the paper: vectors are standardised by mean and spread of the catalogue's before
    the mapping, and scaled to the spread of word embeddings behind it, so that one learning rate
    does for any collaborative model and any language model.

    Args:
        width: Of collaborative vectors.
        hidden: Of the hidden layer.
        dim: Of word embeddings.
    """

    mean: Tensor
    spread: Tensor
    scale: Tensor

    def __init__(self, width: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, dim)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, vectors: Tensor, scale: float) -> None:
        """Takes mean and spread of the catalogue's vectors ``[n, W]``, and that of words."""
        spread, mean = torch.std_mean(vectors.float(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.spread.copy_(torch.where(spread > 1e-6, spread, 1.0))
        self.scale.fill_(scale)

    def forward(self, vectors: Tensor) -> Tensor:
        """Returns ``[n, D]`` for ``[n, W]``."""
        standard = (vectors - self.mean) / self.spread
        return self.narrow(F.relu(self.widen(standard))) * self.scale

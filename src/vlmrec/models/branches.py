"""What a two-branch model makes of items and histories: one vector a modality, and their sum."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Branches:
    """Vectors of n items or histories, by branch.

    Attributes:
        names: Of the P branches: ("text", "image"), one of them, or ("both",) where one prompt
            holds both modalities.
        vectors: ``[n, P, D] float`` as they enter the sum; zero where there is nothing to read.
    """

    names: tuple[str, ...]
    vectors: Tensor

    @classmethod
    def from_flat(cls, names: tuple[str, ...], flat: Tensor) -> "Branches":
        """Returns what `flat` made ``[n, P * D]`` of."""
        return cls(names, flat.view(len(flat), len(names), -1))

    def flat(self) -> Tensor:
        """Returns ``[n, P * D]``."""
        return self.vectors.flatten(1)

    def fused(self) -> Tensor:
        """Returns ``[n, D]``, the sum of the branches at length 1 (zero where there is none).

        The sum of one branch has the direction of that branch: what lacks a modality is
        compared by the other one, on the same scale.
        """
        return F.normalize(self.vectors.sum(dim=1), dim=-1)

    def part(self, name: str) -> Tensor:
        """Returns ``[n, D]``, one branch at length 1."""
        return F.normalize(self.vectors[:, self.names.index(name)], dim=-1)

    def parts(self) -> Tensor:
        """Returns ``[n, P, D]``, every branch at length 1."""
        return F.normalize(self.vectors, dim=-1)

    def known(self) -> Tensor:
        """Returns ``[n, P] bool``: which branches have something to say."""
        return self.vectors.detach().abs().amax(dim=-1) > 0

    def only(self, names: tuple[str, ...]) -> "Branches":
        """Returns the branches `names` alone."""
        return Branches(names, self.vectors[:, [self.names.index(name) for name in names]])


def mean_of_cosines(queries: Branches, keys: Branches) -> Tensor:
    """Returns ``[B, C]``: the mean cosine over the branches that query and key share.

    Where they share none (words alone against a picture alone) it is the cosine of the sums,
    that is, of the branches they have.
    """
    total = torch.einsum("bpd,cpd->bc", queries.parts(), keys.parts())
    shared = queries.known().to(total.dtype) @ keys.known().to(total.dtype).T  # [B, C]
    across = queries.fused() @ keys.fused().T
    return torch.where(shared > 0, total / shared.clamp_min(1.0), across)

"""Scores taken apart into what belongs to items and what belongs to histories."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vlmrec.core.protocols import Ranker


@dataclass(frozen=True, eq=False)
class InnerProduct:
    """Keys and queries whose inner product is a ranker's score.

    Attributes:
        keys: ``[I + 1, W] float32``; row 0 is padding.
        queries: Makes ``[B, W] float32`` of what the ranker's `encode` returned.
    """

    keys: Tensor
    queries: Callable[[Tensor], Tensor]

    def plus(self, bias: Tensor) -> "InnerProduct":
        """Returns the same with ``bias [I + 1]`` added to the scores of the items."""

        def queries(encoded: Tensor) -> Tensor:
            made = self.queries(encoded)
            return torch.cat([made, made.new_ones(made.shape[0], 1)], dim=1)

        return InnerProduct(torch.cat([self.keys, bias[:, None].to(self.keys)], dim=1), queries)


def as_they_are(encoded: Tensor) -> Tensor:
    """Returns the queries ``[B, W]`` of a ranker that compares them with keys unchanged."""
    return encoded


@runtime_checkable
class KeyedRanker(Ranker, Protocol):
    """A ranker whose scores may be inner products, so that an index can find its best items."""

    def inner_product(self) -> InnerProduct | None:
        """Returns keys and queries, None where scores are more than their inner product."""
        ...

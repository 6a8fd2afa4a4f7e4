"""Which prompts share a forward pass."""

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key", bound=Hashable)


def buckets(lengths: Sequence[int], budget: int, *, by_length: bool = True) -> Iterator[list[int]]:
    """Yields positions of rows that share a batch.

    Args:
        lengths: Tokens of each row.
        budget: Upper bound of rows times longest row; a longer row is alone.
        by_length: Sort by length first, which leaves little padding; otherwise rows keep their
            order and every batch is as wide as the longest row of all (padding to longest).
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__) if by_length else None
    widest = max(lengths, default=0)
    batch: list[int] = []
    for row in order or range(len(lengths)):
        width = lengths[row] if by_length else widest
        if batch and (len(batch) + 1) * width > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def distinct(values: Sequence[Key]) -> tuple[list[Key], list[int]]:
    """Returns the different values in order of first use, and where each value is among them.

    >>> distinct(["b", "a", "b"])
    (['b', 'a'], [0, 1, 0])
    """
    place: dict[Key, int] = {}
    where = [place.setdefault(value, len(place)) for value in values]
    return list(place), where


def in_order(parts: Sequence[Tensor], order: Sequence[int]) -> Tensor:
    """Returns the rows of all parts, ``[n, ...]``, where row i of them belongs at order[i].

    >>> in_order([torch.tensor([10, 30]), torch.tensor([20])], [0, 2, 1]).tolist()
    [10, 20, 30]
    """
    rows = torch.cat(list(parts))
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return rows[back.to(rows.device)]

"""Which items compete in a ranking, and the block of scores in which they do."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.core.protocols import Ranker

ITEM_CHUNK = 4096
"""Columns scored and counted at a time; small enough that temporaries stay in cache."""
_TILES = (16, 8)
"""Columns that a processor's routines for matrices multiply at a time."""


@dataclass(frozen=True)
class Pool:
    """The competing items and the column each has in a block of scores.

    Attributes:
        items: ``[P] int64`` internal ids, ascending.
        columns: ``[I + 1] int64`` the column of an internal id, -1 where it does not compete.
        whole: Whether the pool is the whole catalogue.
    """

    items: np.ndarray
    columns: np.ndarray
    whole: bool

    def __len__(self) -> int:
        return len(self.items)


def make_pool(n_items: int, candidates: np.ndarray | None) -> Pool:
    """Returns the pool of all items, or of `candidates` alone.

    Args:
        n_items: Number of items I that the ranker knows.
        candidates: ``[P] int`` internal ids in any order, or None for the whole catalogue.

    Raises:
        ConfigError: The pool is empty, or holds an id outside 1..I.
    """
    if candidates is None:
        items = np.arange(1, n_items + 1, dtype=np.int64)
    else:
        items = np.unique(np.asarray(candidates, dtype=np.int64))
    if len(items) == 0:
        raise ConfigError(
            "The pool of candidates is empty; at least one item was expected.",
            "Leave the candidates out to rank the whole catalogue.",
        )
    if items[0] < 1 or items[-1] > n_items:
        raise ConfigError(
            f"The candidates reach from {items[0]} to {items[-1]}; "
            f"internal item ids from 1 to {n_items} were expected.",
            "Translate external ids with the dataset's item vocabulary.",
        )
    columns = np.full(n_items + 1, -1, dtype=np.int64)
    columns[items] = np.arange(len(items))
    return Pool(items, columns, whole=len(items) == n_items)


def target_columns(pool: Pool, targets: np.ndarray) -> np.ndarray:
    """Returns ``[n] int64`` the column of every target.

    Raises:
        ConfigError: A target is unknown to the ranker or not among the candidates.
    """
    known = (targets >= 1) & (targets < len(pool.columns))
    columns = np.where(known, pool.columns[np.where(known, targets, 0)], -1)
    missing = int((columns < 0).sum())
    if missing:
        raise ConfigError(
            f"{missing:,} of {len(targets):,} targets are not among the {len(pool):,} items "
            "that compete; every target must be, or its rank means nothing.",
            "Widen the candidates, or keep only the cases whose target is one of them.",
        )
    return columns


def fill_scores(ranker: Ranker, queries: Tensor, pool: Pool, scores: Tensor) -> None:
    """Writes the score of every query and competing item into ``scores [B, P] float32``.

    Raises:
        FloatingPointError: A score is NaN or infinite. Comparisons with NaN are all false, so
            it would look like the best item of the catalogue.
    """
    for start, stop in item_parts(len(pool.columns) - 1, ITEM_CHUNK):
        first, last = np.searchsorted(pool.items, [start, stop])
        if first == last:
            continue
        chunk = ranker.score(queries, start, stop)  # [B, stop - start]
        if not pool.whole:
            places = pool.items[first:last] - start
            chunk = chunk[:, torch.as_tensor(places, device=chunk.device)]
        require_rankable(chunk)
        scores[:, first:last].copy_(chunk)


def item_parts(n_items: int, at_most: int) -> list[tuple[int, int]]:
    """Returns parts of the ids 1..n_items, all of one width; neighbours may overlap.

    The width is a multiple of what the linear algebra library multiplies at a time, where there
    are so many items. A rest of one or two columns, or a narrow part beside wide ones, goes
    through another routine, and two items with the same vector would then differ in the last
    digit: a tie would be missed.

    >>> item_parts(1682, 4096)
    [(1, 849), (835, 1683)]
    >>> item_parts(48, 16), item_parts(5, 4096)
    ([(1, 17), (17, 33), (33, 49)], [(1, 6)])
    """
    tile = next((tile for tile in _TILES if tile <= n_items), 0)
    if not tile:
        return [(1, n_items + 1)]
    n_parts = max(-(-n_items // max(at_most, tile)), 1)
    while (width := -(-n_items // (n_parts * tile)) * tile) > n_items:
        n_parts += 1
    starts = (1 + i * width for i in range(-(-n_items // width)))
    return [(one, one + width) for one in (min(at, n_items + 1 - width) for at in starts)]


def even_parts(start: int, stop: int, at_most: int) -> list[tuple[int, int]]:
    """Returns the fewest consecutive parts of start..stop-1 with at most `at_most` each.

    The parts are as equal as can be. A narrow rest would be multiplied by another routine of
    the linear algebra library than the wide parts, and two items with the same vector would
    then differ in the last digit: a tie would be missed.

    >>> even_parts(1, 10, 4)
    [(1, 4), (4, 7), (7, 10)]
    """
    n_parts = -(-(stop - start) // at_most)
    edges = [start + (stop - start) * i // max(n_parts, 1) for i in range(n_parts + 1)]
    return list(pairwise(edges))


def require_rankable(scores: Tensor) -> None:
    """Raises FloatingPointError where ``scores`` hold NaN or infinity.

    The sum of finite numbers is finite unless it overflows, so one cheap pass clears nearly
    every block, and only a suspicious one is looked at number by number.
    """
    if bool(torch.isfinite(scores.sum())):
        return
    finite = torch.isfinite(scores)
    if not bool(finite.all()):
        raise FloatingPointError(
            f"{int((~finite).sum()):,} of {scores.numel():,} scores are NaN or infinite; "
            "they cannot be ranked. Training has probably diverged: lower the learning rate."
        )

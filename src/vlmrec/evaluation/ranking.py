"""The rank of each target among all items: in chunks, tie-safe, the same in any order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.protocols import PersonalRanker, Ranker
from vlmrec.data.splits import Cases
from vlmrec.evaluation.pool import (
    ITEM_CHUNK,
    Pool,
    even_parts,
    fill_scores,
    make_pool,
    target_columns,
)
from vlmrec.evaluation.quota import MixedPool, Quota
from vlmrec.evaluation.seen import hide_seen
from vlmrec.evaluation.top_items import best_columns

OnBlock = Callable[[np.ndarray, Tensor, Tensor], None]
"""Told the rows ``[b]`` of a block, their queries ``[b, ...]`` and scores ``[b, P]``."""

MEBIBYTE = 1 << 20
_MOST_CASES_AT_A_TIME = 256
_FEWEST_CASES_AT_A_TIME = 3  # even parts of at most 3 never leave a single case, see below


@dataclass(frozen=True)
class RankResult:
    """What ranking found for each of n cases, in the order of the cases.

    Attributes:
        ranks: ``[n] float64`` from 1; halves occur where scores tie.
        ties: ``[n] int64`` how many *other* items have exactly the target's score.
        scores: ``[n] float32`` the target's score.
        impossible: ``[n] bool`` seen items were filtered and the target is one of them.
        top_items: ``[n, k] int32`` best internal ids first; 0 where no item is left.
        top_scores: ``[n, k] float32``; -inf where no item is left.
        pool_items: ``[P] int64`` the internal ids that competed.
        filtered: ``[n] float64`` the ranks with seen items left out, where they were asked for
            beside the others.
    """

    ranks: np.ndarray
    ties: np.ndarray
    scores: np.ndarray
    impossible: np.ndarray
    top_items: np.ndarray
    top_scores: np.ndarray
    pool_items: np.ndarray
    filtered: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ranks)


@torch.no_grad()
def rank_targets(
    ranker: Ranker,
    cases: Cases,
    *,
    filter_seen: bool = False,
    also_filtered: bool = False,
    candidates: np.ndarray | None = None,
    quota: Quota | None = None,
    top_k: int = 0,
    memory_budget: int = 64 * MEBIBYTE,
    on_progress: Callable[[int, int], None] | None = None,
    on_block: OnBlock | None = None,
) -> RankResult:
    """Returns the rank of every case's target among all items.

    ``rank = 1 + number of higher scores + half the number of other equal scores``, all in
    float32: the expected rank if equals were shuffled. A model that gives every item the same
    score therefore gets (P + 1) / 2, not first place.

    Each block of cases is scored once into a buffer of all P competing items. The target's
    score is read from that buffer, so that it is the same number that its rivals meet. Cases
    are processed in an order of their own (by history length), so the order in which they
    are given changes nothing, not even the last digit of a score.

    Args:
        ranker: What scores the items.
        cases: Histories and their targets.
        filter_seen: Give -inf to all items of the case's whole history, except the target.
        also_filtered: Give the ranks with seen items left out as well, from the same scores.
        candidates: ``[P] int`` internal ids that compete, or None for the whole catalogue.
        quota: Mix lists by quota; a rank is then the place in the mixed list, and ties are
            those with items of the target's own kind.
        top_k: Also return the best `top_k` items of each case.
        memory_budget: Bytes that the score buffers may use. At least three rows of scores
            are always held, each 4 bytes an item.
        on_progress: Called with the number of cases done and the number of all cases.
        on_block: Told every block before its scores are overwritten by the next; -inf where
            seen items are filtered. For what can be learned from scores besides ranks.

    Raises:
        ConfigError: The pool is empty or foreign, or a target is not part of it.
        FloatingPointError: A score is NaN or infinite.
    """
    pool = make_pool(ranker.n_items, candidates)
    mixed = None if quota is None else quota.over(pool.items)
    targets = np.asarray(cases.targets, dtype=np.int64)
    columns = target_columns(pool, targets)
    result = _empty_result(len(targets), top_k, pool, also_filtered=also_filtered)
    order = _processing_order(cases)
    parts = even_parts(0, len(order), _cases_at_a_time(len(pool), memory_budget))
    largest = max((stop - start for start, stop in parts), default=0)
    buffer = torch.empty((largest, len(pool)), device=ranker.device)
    for start, stop in parts:
        rows = order[start:stop]
        scores = buffer[: len(rows)]
        queries = _score_block(ranker, cases, rows, pool, scores)
        if filter_seen:
            result.impossible[rows] = hide_seen(scores, cases.subset(rows), pool)
        if on_block is not None:
            on_block(rows, queries, scores)
        result.scores[rows] = scores_at(scores, columns[rows])[:, 0].cpu().numpy()
        result.ranks[rows], result.ties[rows] = ranks_in(scores, columns[rows], mixed)
        if top_k:
            _list_block(scores, pool, mixed, rows, result)
        if result.filtered is not None:
            hide_seen(scores, cases.subset(rows), pool)
            result.filtered[rows] = ranks_in(scores, columns[rows], mixed)[0]
        if on_progress is not None:
            on_progress(min(stop, len(cases)), len(cases))
    return result


def _empty_result(n: int, top_k: int, pool: Pool, *, also_filtered: bool) -> RankResult:
    return RankResult(
        ranks=np.zeros(n),
        ties=np.zeros(n, dtype=np.int64),
        scores=np.zeros(n, dtype=np.float32),
        impossible=np.zeros(n, dtype=bool),
        top_items=np.full((n, top_k), PADDING_ID, dtype=np.int32),
        top_scores=np.full((n, top_k), -np.inf, dtype=np.float32),
        pool_items=pool.items,
        filtered=np.zeros(n) if also_filtered else None,
    )


def _processing_order(cases: Cases) -> np.ndarray:
    """Returns an order that follows from the cases' content alone; like lengths sit together.

    A single case is ranked twice in one block: the product of one row with a matrix rounds
    its columns unevenly, so that items with the same vector would not tie.
    """
    histories = cases.histories
    order = np.lexsort((cases.targets, histories.start, cases.users, histories.lengths))
    return np.repeat(order, 2) if len(order) == 1 else order


def _cases_at_a_time(n_pool: int, memory_budget: int) -> int:
    # The buffer itself, the chunk that the ranker returns, and the counting scratch.
    bytes_a_case = 4 * (n_pool + 2 * ITEM_CHUNK)
    return max(_FEWEST_CASES_AT_A_TIME, min(_MOST_CASES_AT_A_TIME, memory_budget // bytes_a_case))


def _score_block(
    ranker: Ranker, cases: Cases, rows: np.ndarray, pool: Pool, scores: Tensor
) -> Tensor:
    """Fills in the scores ``[b, P]`` and returns the queries."""
    longest = int(np.max(cases.histories.lengths[rows]))
    padded = cases.histories.padded(rows, max(1, min(ranker.max_len, longest)))  # [B, T]
    histories = torch.as_tensor(padded, device=ranker.device)
    if isinstance(ranker, PersonalRanker):
        users = torch.as_tensor(cases.users[rows], device=ranker.device)
        queries = ranker.encode_users(histories, users)
    else:
        queries = ranker.encode(histories)
    fill_scores(ranker, queries, pool, scores)
    return queries


def ranks_in(
    scores: Tensor, columns: np.ndarray, mixed: MixedPool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the expected ranks and the ties ``[B]`` of the items in ``columns [B]``.

    Args:
        scores: ``[B, P] float32``.
        columns: Where each row's target is.
        mixed: How lists are mixed, if they are.
    """
    target = scores_at(scores, columns)
    if mixed is not None:
        return _mixed_ranks(scores, target, columns, mixed)
    greater, not_less = _count(scores, target)
    # `not_less` counts the target itself, so the other equals are not_less - greater - 1
    # and 1 + greater + half of them is the mean of greater and not_less plus one half.
    return (greater + not_less + 1) / 2, (not_less - greater - 1).astype(np.int64)


def _mixed_ranks(
    scores: Tensor, target: Tensor, columns: np.ndarray, mixed: MixedPool
) -> tuple[np.ndarray, np.ndarray]:
    ranks, ties = np.zeros(len(columns)), np.zeros(len(columns), dtype=np.int64)
    for new in (False, True):
        rows = np.flatnonzero(mixed.new[columns] == new)
        if not len(rows):
            continue
        of_rows = scores[torch.as_tensor(rows, device=scores.device)]
        own, others = (
            of_rows[:, torch.as_tensor(mixed.columns_of(new=kind), device=scores.device)]
            for kind in (new, not new)
        )
        greater, not_less = _count(own, target[torch.as_tensor(rows, device=scores.device)])
        n_others = (others > float("-inf")).sum(dim=1).cpu().numpy()
        ranks[rows] = mixed.expected_places(greater, not_less, n_others, new=new)
        ties[rows] = (not_less - greater - 1).astype(np.int64)
    return ranks, ties


def scores_at(scores: Tensor, columns: np.ndarray) -> Tensor:
    """Returns ``[B, 1]``, the score of each row's target."""
    return scores.gather(1, torch.as_tensor(columns, device=scores.device).unsqueeze(1))


def _count(scores: Tensor, target: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many scores of each row are above, and how many not below, ``target [B, 1]``.

    Comparing into float32 scratch and summing it is several times faster on CPUs than
    counting booleans; a chunk's counts are far below 2^24, where float32 is exact.
    """
    B, P = scores.shape
    scratch = torch.empty((B, min(P, ITEM_CHUNK)), device=scores.device)
    greater = torch.zeros(B, dtype=torch.float64, device=scores.device)
    not_less = torch.zeros_like(greater)
    for start in range(0, P, ITEM_CHUNK):
        chunk = scores[:, start : start + ITEM_CHUNK]
        space = scratch[:, : chunk.shape[1]]
        greater += torch.gt(chunk, target, out=space).sum(dim=1)
        not_less += torch.ge(chunk, target, out=space).sum(dim=1)
    return greater.cpu().numpy(), not_less.cpu().numpy()


def _list_block(
    scores: Tensor, pool: Pool, mixed: MixedPool | None, rows: np.ndarray, result: RankResult
) -> None:
    k = min(result.top_items.shape[1], len(pool))
    columns, values = best_columns(scores, k) if mixed is None else mixed.best(scores, k)
    values = values.cpu().numpy()
    items = pool.items[columns.cpu().numpy()]
    result.top_items[rows, :k] = np.where(np.isneginf(values), PADDING_ID, items)
    result.top_scores[rows, :k] = values

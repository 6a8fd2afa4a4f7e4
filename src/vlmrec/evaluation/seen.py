"""Hiding what a user already has, without ever hiding the answer."""

import numpy as np
import torch
from torch import Tensor

from vlmrec.data.splits import Cases
from vlmrec.evaluation.pool import Pool

_EVENTS_AT_A_TIME = 1 << 20


def hide_seen(scores: Tensor, cases: Cases, pool: Pool) -> np.ndarray:
    """Sets the scores of all items in each case's history to -inf, the target's excepted.

    The whole history counts, not only the part that the model reads.

    Args:
        scores: ``[B, P] float32``, changed in place.
        cases: The B cases whose scores these are.
        pool: The competing items.

    Returns:
        ``[B] bool``: the target itself is in the history. A recommender that filters seen
        items could never show it, so such cases are counted ("impossible") and ranked as if
        the target alone had not been filtered.
    """
    impossible = np.zeros(len(cases), dtype=bool)
    ends = np.cumsum(cases.histories.lengths)
    first = 0
    while first < len(cases):  # long histories in parts: bounded memory
        done = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, done + _EVENTS_AT_A_TIME, side="right"))
        last = max(last, first + 1)
        part = cases.subset(np.arange(first, last))
        items = part.histories.flat()
        rows = part.histories.row_of_events()
        is_target = items == part.targets[rows]
        impossible[first + rows[is_target]] = True
        columns = pool.columns[items]
        hidden = (columns >= 0) & ~is_target
        places = (
            torch.as_tensor(first + rows[hidden], device=scores.device),
            torch.as_tensor(columns[hidden], device=scores.device),
        )
        scores[places] = float("-inf")
        first = last
    return impossible

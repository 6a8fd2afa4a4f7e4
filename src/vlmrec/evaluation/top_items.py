"""The best items of each row, with ties decided by the lower id: the same list every time."""

import torch
from torch import Tensor

_ELEMENTS_AT_A_TIME = 1 << 22


def best_columns(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns the columns of the k highest scores of each row, best first.

    `torch.topk` leaves the order of equals open. Here the lower column comes first, both
    within the list and at its end, so that lists do not depend on library or device.

    Args:
        scores: ``[B, P] float``; may hold -inf, no NaN.
        k: Length of the lists, at most P.

    Returns:
        ``[B, k] int64`` columns and ``[B, k] float`` their scores.

    >>> best_columns(torch.tensor([[1.0, 3.0, 2.0, 2.0, 2.0]]), 3)[0].tolist()
    [[1, 2, 3]]
    """
    values, columns = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    if values.shape[1] > k:
        undecided = (values[:, k - 1] == values[:, k]).nonzero().flatten()
        values, columns = values[:, :k], columns[:, :k].contiguous()
        step = max(1, _ELEMENTS_AT_A_TIME // scores.shape[1])
        for first in range(0, len(undecided), step):
            rows = undecided[first : first + step]
            columns[rows] = _lowest_columns_among_equals(scores[rows], values[rows, k - 1 :], k)
    columns = columns.sort(dim=1).values
    values, order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return columns.gather(1, order), values


def _lowest_columns_among_equals(scores: Tensor, least: Tensor, k: int) -> Tensor:
    """Returns ``[b, k]`` columns: all above ``least [b, 1]``, then the first that equal it."""
    above = scores > least
    equal = scores == least
    room = k - above.sum(dim=1, keepdim=True, dtype=torch.int32)
    equal &= equal.cumsum(dim=1, dtype=torch.int32) <= room
    return (above | equal).nonzero()[:, 1].view(len(scores), k)

"""What many offsets and quotas of new items would give and cost, from one pass over the scores."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.core.protocols import Ranker
from vlmrec.data.splits import Cases
from vlmrec.evaluation.pool import make_pool, target_columns
from vlmrec.evaluation.quota import Quota
from vlmrec.evaluation.ranking import rank_targets, ranks_in


def ranks_with_help(
    ranker: Ranker,
    cases: Cases,
    new: NDArray[np.bool_],
    *,
    offsets: Sequence[float] = (),
    quotas: Sequence[float] = (),
    candidates: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Returns ``[n, K + Q]`` ranks, a column for each offset and then for each quota.

    They are those that `rank_targets` finds of the ranker lifted by the offset, or with lists
    mixed by the quota.

    Args:
        ranker: Scores items as they are.
        cases: n histories and their targets.
        new: ``[I + 1] bool`` which internal ids are new.
        offsets: K numbers that are added to the scores of new items.
        quotas: Q shares of the places.
        candidates: Internal ids that compete, or None for the whole catalogue.
    """
    pool = make_pool(ranker.n_items, candidates)
    columns = target_columns(pool, cases.targets)
    lift = torch.as_tensor(new[pool.items], dtype=torch.float32, device=ranker.device)
    mixed = [Quota(new, share).over(pool.items) for share in quotas]
    ranks = np.zeros((len(cases), len(offsets) + len(quotas)))

    def count(rows: np.ndarray, queries: Tensor, scores: Tensor) -> None:
        del queries
        for place, offset in enumerate(offsets):
            ranks[rows, place] = ranks_in(scores + lift * offset, columns[rows])[0]
        for place, one in enumerate(mixed, start=len(offsets)):
            ranks[rows, place] = ranks_in(scores, columns[rows], one)[0]

    rank_targets(ranker, cases, candidates=candidates, on_block=count)
    return ranks

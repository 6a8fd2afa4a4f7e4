"""What a metric would be if the target competed with a random sample only, without sampling.

Many papers rank the target among itself and 100 random items that the user has not seen. Such
numbers are several times higher than full ranking and can order models differently (Krichene and
Rendle, 2020, "On Sampled Metrics for Item Recommendation"). They are computed here for comparison
with those papers, as expectation over all samples, so that no luck of a draw is in them.
"""

import numpy as np

from vlmrec.data.splits import Cases
from vlmrec.evaluation.metrics import RankMetric

_CASES_AT_A_TIME = 1 << 14


def sampled_metric(
    metric: RankMetric, ranks: np.ndarray, n_others: np.ndarray, n_sampled: int
) -> np.ndarray:
    """Returns the expected metric of each case among `n_sampled` random other items.

    Of M other items b are ahead of the target, so among n of them that are drawn without
    replacement K ~ Hypergeometric(M, b, n) are, and the target's rank is 1 + K. Where half of an
    equal score makes b end in .5, the expectations of its neighbours are averaged. Where there
    are no more than n other items, all of them compete.

    Args:
        metric: Of ranks.
        ranks: ``[c] float`` rank of the target among itself and all M others.
        n_others: ``[c] int`` M.
        n_sampled: n.

    Returns:
        ``[c] float64``.
    """
    values = metric.per_case(np.arange(1, n_sampled + 2))  # [n + 1] by K
    log_factorial = np.concatenate([[0.0], np.log(np.arange(1, int(n_others.max()) + 1)).cumsum()])
    found = np.empty(len(ranks))
    for start in range(0, len(ranks), _CASES_AT_A_TIME):
        part = slice(start, start + _CASES_AT_A_TIME)
        ahead, others = np.asarray(ranks[part]) - 1.0, n_others[part]
        low, high = np.floor(ahead).astype(np.int64), np.ceil(ahead).astype(np.int64)
        found[part] = 0.5 * (
            _expected(values, low, others, log_factorial)
            + _expected(values, high, others, log_factorial)
        )
    return found


def n_unseen(cases: Cases, n_items: int) -> np.ndarray:
    """Returns ``[c] int64``: how many items, the target apart, are not in each case's history."""
    items, rows = cases.histories.flat(), cases.histories.row_of_events()
    others = items != cases.targets[rows]
    distinct = np.unique(rows[others].astype(np.int64) * (n_items + 1) + items[others])
    seen = np.bincount(distinct // (n_items + 1), minlength=len(cases))
    return n_items - 1 - seen


def _expected(
    values: np.ndarray, ahead: np.ndarray, others: np.ndarray, log_factorial: np.ndarray
) -> np.ndarray:
    """Returns ``[c]``, the sum over K of P(K) times its value."""
    K = np.arange(len(values))[None, :]  # [1, n + 1]
    b, m = ahead[:, None], others[:, None]
    n = np.minimum(len(values) - 1, m)
    possible = (K <= b) & (K <= n) & (n - K <= m - b)

    def log_choose(top: np.ndarray, below: np.ndarray) -> np.ndarray:
        below = np.clip(below, 0, top)
        return log_factorial[top] - log_factorial[below] - log_factorial[top - below]

    log_share = log_choose(b, K) + log_choose(m - b, n - K) - log_choose(m, n)
    return np.where(possible, np.exp(log_share), 0.0) @ values

"""What each modality is worth: scores of the views, drops, and shares of the gain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlmrec.diagnosis.measuring import METRICS, NDCG, Measured, Setting
from vlmrec.diagnosis.views import BOTH, NOTHING, OTHER, noisy, only, shuffled
from vlmrec.evaluation.metrics import RankMetric
from vlmrec.evaluation.significance import Estimate


@dataclass(frozen=True)
class Scores:
    """How well the views rank, and what follows from it.

    Attributes:
        views: View -> metric -> mean and interval.
        chance: Metric -> what a random order of the candidates would score.
        drops: Modality -> share of NDCG@10 that is lost without it, R = 1 - without / both.
        worth: Modality -> its Shapley value: what it adds to NDCG@10, averaged over the two
            orders in which the modalities can be added to nothing.
        shares: Modality -> its share of the sum of the Shapley values; NaN where the interval
            of that sum reaches down to 0, because then there is nothing to share.
        reads_more: Something besides text and picture ranks the items (learned ids).
    """

    views: Mapping[str, Mapping[str, Estimate]]
    chance: Mapping[str, float]
    drops: Mapping[str, Estimate]
    worth: Mapping[str, Estimate]
    shares: Mapping[str, Estimate]
    reads_more: bool


def score_views(
    results: Mapping[str, Measured], modalities: Sequence[str], setting: Setting
) -> Scores:
    """Returns the scores of the main views, with drops and Shapley values.

    Args:
        results: Of all views.
        modalities: What the model reads.
        setting: On what was measured.
    """
    names = [BOTH, *(only(name, modalities) for name in modalities)]
    names += [*map(shuffled, modalities), *(noisy(name, 1.0) for name in modalities), NOTHING]
    nothing = results[NOTHING].found
    views = {
        name: _estimates(results[name], setting, fair=name == NOTHING)
        for name in dict.fromkeys(names)
    }
    drops, worth, shares = _worth(results, modalities, setting)
    return Scores(
        views=views,
        chance={metric.name: setting.chance(metric, nothing.pool_items) for metric in METRICS},
        drops=drops,
        worth=worth,
        shares=shares,
        reads_more=not bool((nothing.ties[~nothing.impossible] > 0).all()),
    )


def fair_values(metric: RankMetric, ranks: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Returns ``[n]`` the mean of a metric over all orders of the items that tie with the target.

    The house gives ties the middle rank, by which a ranking of equals scores 0. Where a view can
    say nothing at all, drawing lots is the fairer floor: with all items equal it is chance.

    Args:
        metric: Cut at k.
        ranks: ``[n]`` with ties counted half.
        ties: ``[n]`` how many other items have the target's score.
    """
    above = ranks - 1 - ties / 2  # items that are certainly before the target
    reached = np.concatenate([[0.0], np.cumsum(metric.per_case(np.arange(1, metric.k + 1)))])
    first = np.minimum(above, metric.k).astype(np.int64)
    last = np.minimum(above + ties + 1, metric.k).astype(np.int64)
    return (reached[last] - reached[first]) / (ties + 1)


def _estimates(measured: Measured, setting: Setting, *, fair: bool) -> dict[str, Estimate]:
    found = measured.found
    columns = [
        fair_values(metric, found.ranks, found.ties) if fair else metric.per_case(found.ranks)
        for metric in METRICS
    ]
    estimates = setting.resample(columns, "views").estimates()
    return {metric.name: one for metric, one in zip(METRICS, estimates, strict=True)}


def _worth(
    results: Mapping[str, Measured], modalities: Sequence[str], setting: Setting
) -> tuple[dict[str, Estimate], dict[str, Estimate], dict[str, Estimate]]:
    """Returns drops, Shapley values and their shares; none where one modality is read."""
    if len(modalities) < 2:
        return {}, {}, {}
    floor = results[NOTHING].found
    columns = [results[BOTH].gains, fair_values(NDCG, floor.ranks, floor.ties)]
    columns += [results[only(name, modalities)].gains for name in modalities]
    means = setting.resample(columns, "worth")
    place = {name: 2 + i for i, name in enumerate(modalities)}

    def value(drawn: np.ndarray, name: str) -> np.ndarray:
        both, none = drawn[..., 0], drawn[..., 1]
        alone, other = drawn[..., place[name]], drawn[..., place[OTHER[name]]]
        return ((alone - none) + (both - other)) / 2

    def gain(drawn: np.ndarray) -> np.ndarray:
        return drawn[..., 0] - drawn[..., 1]

    gained = means.estimate(gain).low > 0

    def share(drawn: np.ndarray, name: str) -> np.ndarray:
        total = gain(drawn) if gained else np.full(drawn.shape[:-1], np.nan)
        return value(drawn, name) / np.where(total > 0, total, np.nan)

    def drop(drawn: np.ndarray, name: str) -> np.ndarray:
        both = drawn[..., 0]
        return 1 - drawn[..., place[OTHER[name]]] / np.where(both > 0, both, np.nan)

    return (
        {name: means.estimate(lambda d, name=name: drop(d, name)) for name in modalities},
        {name: means.estimate(lambda d, name=name: value(d, name)) for name in modalities},
        {name: means.estimate(lambda d, name=name: share(d, name)) for name in modalities},
    )

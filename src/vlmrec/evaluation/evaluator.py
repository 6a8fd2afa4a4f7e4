"""A measured recommender: metrics with intervals, slices, spread, and every case's rank."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from vlmrec.core.columns import ITEM_ID, RANK, SCORE, USER_ID
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.protocols import Ranker
from vlmrec.core.random import Streams
from vlmrec.data.splits import Cases
from vlmrec.evaluation.metrics import RankMetric, coverage, gini, parse_metrics
from vlmrec.evaluation.protocol import describe_protocol
from vlmrec.evaluation.quota import Quota
from vlmrec.evaluation.ranking import RankResult, rank_targets
from vlmrec.evaluation.significance import Estimate, bootstrap_means
from vlmrec.evaluation.slices import Slice
from vlmrec.evaluation.table import format_evaluation

RANK_FILTERED = "rank_filtered"
"""Column of cases: the rank with items of the history left out, beside that among all."""
DEFAULT_METRICS = tuple(f"{kind}@{k}" for k in (5, 10, 20) for kind in ("NDCG", "Recall", "MRR"))


@dataclass(frozen=True)
class SliceResult:
    """The metrics of one group of cases.

    Attributes:
        name: What the group is called.
        definition: Which cases belong to it.
        n_cases: How many do.
        metrics: By metric name; NaN where no case belongs.
    """

    name: str
    definition: str
    n_cases: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate_ranker` measured. Print it for a table; metrics are fractions.

    Attributes:
        metrics: By name ("NDCG@10"): mean and interval.
        chance: By name: the mean that random order would have.
        slices: The same metrics for groups of cases.
        coverage: Share of the pool that is in anybody's list.
        gini: How unequally the lists use the pool: 0 all alike, near 1 a single item.
        list_length: Length of those lists.
        n_cases: Number of ranked cases.
        n_impossible: Cases whose target a filter of seen items would have hidden.
        n_tied: Cases in which another item has exactly the target's score.
        protocol: How it was measured, in words.
        filter_seen: Whether seen items were filtered.
        confidence: Probability content of the intervals.
        n_resamples: Bootstrap resamples behind the intervals.
        seed: Seed of the resampling.
        cases: One row a case: ``user_id`` and ``item_id`` (internal), ``score`` and ``rank``
            of the target, ``ties``, ``history_length``, ``impossible``, and ``rank_filtered``
            where it was asked for.
        filtered: The metrics with seen items left out, where they were asked for beside the
            others.
    """

    metrics: Mapping[str, Estimate]
    chance: Mapping[str, float]
    slices: tuple[SliceResult, ...]
    coverage: float
    gini: float
    list_length: int
    n_cases: int
    n_impossible: int
    n_tied: int
    protocol: str
    filter_seen: bool
    confidence: float
    n_resamples: int
    seed: int
    cases: pl.DataFrame
    filtered: Mapping[str, Estimate] | None = None

    def __str__(self) -> str:
        return format_evaluation(self)

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the table of cases as plain JSON values; NaN becomes null."""
        found = {} if self.filtered is None else {"filtered": _estimates_to_json(self.filtered)}
        return {
            **found,
            "protocol": self.protocol,
            "filter_seen": self.filter_seen,
            "n_cases": self.n_cases,
            "n_impossible": self.n_impossible,
            "n_tied": self.n_tied,
            "confidence": self.confidence,
            "n_resamples": self.n_resamples,
            "seed": self.seed,
            "metrics": _estimates_to_json(self.metrics),
            "chance": dict(self.chance),
            f"Coverage@{self.list_length}": _number_or_none(self.coverage),
            f"Gini@{self.list_length}": _number_or_none(self.gini),
            "slices": [
                {
                    "name": part.name,
                    "definition": part.definition,
                    "n_cases": part.n_cases,
                    "metrics": _estimates_to_json(part.metrics),
                }
                for part in self.slices
            ],
        }


def evaluate_ranker(
    ranker: Ranker,
    cases: Cases,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    filter_seen: bool = False,
    also_filtered: bool = False,
    candidates: np.ndarray | None = None,
    quota: Quota | None = None,
    slices: Sequence[Slice] = (),
    list_length: int = 10,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Returns how well `ranker` places the targets of `cases` among all items.

    Args:
        ranker: What scores the items.
        cases: Histories and their targets.
        metrics: Names such as "NDCG@10", "hr@5", "MRR@20", in upper or lower case.
        filter_seen: Rank as if items of the case's history were not there (the target
            excepted).
        also_filtered: Measure with these items left out as well, on the same scores.
        candidates: ``[P] int`` internal ids that compete, or None for the whole catalogue.
        quota: Mix lists by quota, see there; None ranks by score alone.
        slices: Groups of cases to report by themselves.
        list_length: How many recommendations a user gets, for coverage and Gini.
        n_resamples: Bootstrap resamples of users behind each interval.
        confidence: Probability content of the intervals.
        seed: Seed of the resampling; nothing else is random.
        on_progress: Called with the number of cases done and the number of all cases.

    Raises:
        DataError: There is no case.
        ConfigError: A metric is unknown, a slice belongs to other cases, or a target is not
            among the candidates.
        FloatingPointError: A score is NaN or infinite.
    """
    means = _Means(parse_metrics(metrics), Streams(seed), n_resamples, confidence)
    _check_cases(cases, slices, list_length)
    result = rank_targets(
        ranker,
        cases,
        filter_seen=filter_seen,
        also_filtered=also_filtered and not filter_seen,
        candidates=candidates,
        quota=quota,
        top_k=list_length,
        on_progress=on_progress,
    )
    filtered = result.filtered
    return Evaluation(
        metrics=means.over("all", result.ranks, cases.users),
        chance=means.at_random(len(result.pool_items)),
        slices=tuple(_slice_result(part, means, result.ranks, cases.users) for part in slices),
        coverage=coverage(result.top_items, list_length, result.pool_items),
        gini=gini(result.top_items, list_length, result.pool_items),
        list_length=list_length,
        n_cases=len(cases),
        n_impossible=int(result.impossible.sum()),
        n_tied=int((result.ties > 0).sum()),
        protocol=_protocol(ranker, cases, result, filter_seen),
        filter_seen=filter_seen,
        confidence=confidence,
        n_resamples=n_resamples,
        seed=seed,
        cases=_case_table(cases, result),
        filtered=None if filtered is None else means.over("all", filtered, cases.users),
    )


@dataclass(frozen=True)
class _Means:
    """How the means over some cases and their intervals are computed."""

    metrics: tuple[RankMetric, ...]
    streams: Streams
    n_resamples: int
    confidence: float

    def over(self, name: str, ranks: np.ndarray, users: np.ndarray) -> dict[str, Estimate]:
        """Returns the estimates over the cases with these `ranks`, resampled under `name`."""
        estimates = bootstrap_means(
            np.column_stack([metric.per_case(ranks) for metric in self.metrics]),
            streams=self.streams,
            address=(name,),
            users=users,
            n_resamples=self.n_resamples,
            confidence=self.confidence,
        )
        return {metric.name: one for metric, one in zip(self.metrics, estimates, strict=True)}

    def at_random(self, n_pool: int) -> dict[str, float]:
        """Returns what a random order of `n_pool` items would score."""
        return {metric.name: metric.at_random(n_pool) for metric in self.metrics}


def _slice_result(part: Slice, means: _Means, ranks: np.ndarray, users: np.ndarray) -> SliceResult:
    metrics = means.over(part.name, ranks[part.mask], users[part.mask])
    return SliceResult(part.name, part.definition, int(part.mask.sum()), metrics)


def _check_cases(cases: Cases, slices: Sequence[Slice], list_length: int) -> None:
    if len(cases) == 0:
        raise DataError(
            "There is no case to evaluate; at least one history with a target was expected.",
            "Choose a split that leaves users to test on.",
        )
    if list_length < 1:
        raise ConfigError(f"A list length of {list_length} was given; at least 1 was expected.")
    for part in slices:
        if part.mask.shape != (len(cases),):
            raise ConfigError(
                f"Slice '{part.name}' has a mask of shape {part.mask.shape} "
                f"for {len(cases):,} cases.",
                "Make slices from the targets and histories of the same cases.",
            )


def _protocol(ranker: Ranker, cases: Cases, result: RankResult, filter_seen: bool) -> str:
    return describe_protocol(
        n_cases=len(cases),
        n_users=len(np.unique(cases.users)),
        n_pool=len(result.pool_items),
        n_items=ranker.n_items,
        filter_seen=filter_seen,
        n_impossible=int(result.impossible.sum()),
    )


def _case_table(cases: Cases, result: RankResult) -> pl.DataFrame:
    filtered = {} if result.filtered is None else {RANK_FILTERED: result.filtered}
    return pl.DataFrame(
        {
            USER_ID: np.asarray(cases.users, dtype=np.int64),
            ITEM_ID: np.asarray(cases.targets, dtype=np.int64),
            SCORE: result.scores,
            RANK: result.ranks,
            "ties": result.ties,
            "history_length": np.asarray(cases.histories.lengths, dtype=np.int64),
            "impossible": result.impossible,
            **filtered,
        }
    )


def _estimates_to_json(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {
        name: {
            "mean": _number_or_none(value.mean),
            "low": _number_or_none(value.low),
            "high": _number_or_none(value.high),
        }
        for name, value in estimates.items()
    }


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value

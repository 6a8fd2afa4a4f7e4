"""Ranks every view once and keeps what the parts of the report card need of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.protocols import Multimodal, Ranker, VectorRanker
from vlmrec.core.random import Streams
from vlmrec.data.splits import Cases
from vlmrec.diagnosis.views import Changes
from vlmrec.evaluation.metrics import RankMetric
from vlmrec.evaluation.ranking import RankResult, rank_targets
from vlmrec.evaluation.significance import ResampledMeans, resample_means

TOP = 10
NDCG, RECALL = RankMetric("NDCG", TOP), RankMetric("Recall", TOP)
METRICS = (NDCG, RECALL)


@dataclass(frozen=True, eq=False)
class Setting:
    """On what, and how, every view is measured.

    Attributes:
        cases: Histories and their targets.
        candidates: ``[P] int`` internal ids that compete, or None for the whole catalogue.
        filter_seen: Leave items of the history out of the ranking.
        streams: Source of randomness.
        n_resamples: Bootstrap resamples of users behind each interval.
        confidence: Probability content of the intervals.
    """

    cases: Cases
    candidates: np.ndarray | None
    filter_seen: bool
    streams: Streams
    n_resamples: int = 1000
    confidence: float = 0.95

    def resample(
        self, columns: list[np.ndarray], name: str, rows: np.ndarray | None = None
    ) -> ResampledMeans:
        """Returns resampled means of columns ``[n]`` over users; columns share the users drawn.

        Args:
            columns: One value a case each.
            name: Distinguishes this draw from others.
            rows: ``[n] bool`` the cases that count, None for all.
        """
        values, users = np.column_stack(columns), self.cases.users
        return resample_means(
            values if rows is None else values[rows],
            streams=self.streams,
            address=(name,),
            users=users if rows is None else users[rows],
            n_resamples=self.n_resamples,
            confidence=self.confidence,
        )

    def chance(self, metric: RankMetric, pool_items: np.ndarray) -> float:
        """Returns what a random order of the items that compete in each case would score.

        Args:
            metric: Of the target's rank.
            pool_items: ``[P]`` the candidates; seen ones compete only where not filtered.
        """
        sizes, cases = np.unique(self._competing(pool_items), return_counts=True)
        means = [metric.at_random(int(size)) for size in sizes]
        return float(np.average(means, weights=cases))

    def _competing(self, pool_items: np.ndarray) -> np.ndarray:
        """Returns ``[n]`` how many items each target is ranked among, itself included."""
        whole = np.full(len(self.cases), len(pool_items))
        if not self.filter_seen:
            return whole
        histories = self.cases.histories
        rows, items = histories.row_of_events(), histories.flat()
        hidden = np.isin(items, pool_items) & (items != self.cases.targets[rows])
        seen = np.unique(np.stack([rows[hidden], items[hidden]]), axis=1)  # once each
        return whole - np.bincount(seen[0], minlength=len(whole))


@dataclass(frozen=True, eq=False)
class Vectors:
    """What only a view of item vectors has.

    Attributes:
        items: ``[I + 1, D] float32`` on the CPU; zero rows are items without the modality.
        margins: ``[n] float64`` by how many standard deviations the target's score lies above
            the mean of all other candidates; NaN where the target lacks the modality.
        distances: ``[n] float64`` squared distance of query and target at length 1; NaN where
            one of them is zero. None where queries live in another space.
    """

    items: Tensor
    margins: np.ndarray
    distances: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Measured:
    """What ranking one view found for each of n cases.

    Attributes:
        found: Ranks, ties and the best items.
        vectors: Only for views whose items are vectors and for which they were asked.
        seconds: What the view cost.
    """

    found: RankResult
    vectors: Vectors | None
    seconds: float

    @property
    def gains(self) -> np.ndarray:
        """``[n]`` NDCG@10 of each case."""
        return NDCG.per_case(self.found.ranks)

    @property
    def hits(self) -> np.ndarray:
        """``[n] bool``: the target is among the first 10."""
        return RECALL.per_case(self.found.ranks) > 0


def measure_views(
    model: Multimodal,
    plan: Mapping[str, Changes],
    setting: Setting,
    *,
    with_vectors: frozenset[str] = frozenset(),
    on_view: Callable[[int, int], None] | None = None,
) -> dict[str, Measured]:
    """Returns what each planned view finds.

    Args:
        model: What is taken apart.
        plan: Changes of content by name of the view.
        setting: On what to measure.
        with_vectors: Views whose item vectors and margins are kept.
        on_view: Called with the number of views done and the number of all views.

    Raises:
        ConfigError: A target is not among the candidates.
        FloatingPointError: A score is NaN or infinite.
    """
    results: dict[str, Measured] = {}
    for number, (name, changes) in enumerate(plan.items()):
        if on_view is not None:
            on_view(number, len(plan))
        started = time.perf_counter()
        ranker = model.ranker_with(changes)
        found, vectors = _rank(ranker, setting, keep=name in with_vectors)
        results[name] = Measured(found, vectors, time.perf_counter() - started)
    if on_view is not None:
        on_view(len(plan), len(plan))
    return results


def rank_alone(ranker: Ranker, setting: Setting) -> Measured:
    """Returns what another model finds for the same cases."""
    started = time.perf_counter()
    found, _ = _rank(ranker, setting, keep=False)
    return Measured(found, None, time.perf_counter() - started)


def _rank(ranker: Ranker, setting: Setting, *, keep: bool) -> tuple[RankResult, Vectors | None]:
    notes = None
    if keep and isinstance(ranker, VectorRanker):
        notes = _Notes(ranker.item_vectors, setting.cases.targets)
    found = rank_targets(
        ranker,
        setting.cases,
        filter_seen=setting.filter_seen,
        candidates=setting.candidates,
        top_k=TOP,
        on_block=None if notes is None else notes.take,
    )
    return found, None if notes is None else notes.vectors(found)


class _Notes:
    """Writes down, block by block, what queries and scores say besides ranks."""

    def __init__(self, items: Tensor, targets: np.ndarray) -> None:
        n = len(targets)
        self._items = items
        self._targets = torch.as_tensor(np.asarray(targets, dtype=np.int64))
        self._sums = np.zeros((n, 3))  # count, sum and sum of squares of the scores
        self._distances = np.full(n, np.nan)
        self._same_space = True

    def take(self, rows: np.ndarray, queries: Tensor, scores: Tensor) -> None:
        shown = torch.isfinite(scores)
        level = scores.masked_fill(~shown, 0.0).double()
        parts = (shown.sum(dim=1), level.sum(dim=1), (level * level).sum(dim=1))
        self._sums[rows] = torch.stack([part.double() for part in parts], dim=1).cpu().numpy()
        if queries.dim() != 2 or queries.shape[1] != self._items.shape[1]:
            self._same_space = False
            return
        targets = self._items[self._targets[rows].to(self._items.device)].double()
        gap = F.normalize(queries.double(), dim=-1) - F.normalize(targets, dim=-1)
        usable = queries.any(dim=1) & targets.any(dim=1)
        squared = (gap * gap).sum(dim=1).masked_fill(~usable, float("nan"))
        self._distances[rows] = squared.cpu().numpy()

    def vectors(self, found: RankResult) -> Vectors:
        items = self._items.detach().float().cpu()
        margins = standard_margins(found.scores, *self._sums.T)
        margins[~items.any(dim=1)[self._targets].numpy()] = np.nan
        return Vectors(items, margins, self._distances if self._same_space else None)


def standard_margins(
    scores: np.ndarray, counts: np.ndarray, sums: np.ndarray, squares: np.ndarray
) -> np.ndarray:
    """Returns how far targets lie above the other candidates, in their standard deviations.

    Scores of two modalities have different scales; standardised they can be compared.

    Args:
        scores: ``[n]`` of the targets.
        counts: ``[n]`` candidates, the target among them.
        sums: ``[n]`` of their scores.
        squares: ``[n]`` sums of their squared scores.

    Returns:
        ``[n] float64``; 0 where all other candidates have one score.
    """
    target = scores.astype(np.float64)
    others = np.maximum(counts - 1, 1)
    mean = (sums - target) / others
    variance = np.maximum((squares - target**2) / others - mean**2, 0.0)
    spread = np.sqrt(variance)
    flat = spread <= 1e-7 * np.maximum(np.abs(mean), 1e-12)
    return np.where(flat, 0.0, (target - mean) / np.where(flat, 1.0, spread))

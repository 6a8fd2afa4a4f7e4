"""Measuring a run on a split: the same protocol, slices and anchors for every model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from vlmrec.core.columns import RANK
from vlmrec.core.errors import ArtifactError
from vlmrec.core.protocols import Ranker, VectorRanker
from vlmrec.data.splits import Cases, Split
from vlmrec.evaluation.evaluator import Evaluation, evaluate_ranker
from vlmrec.evaluation.lifting import lifted
from vlmrec.evaluation.slices import popularity_slices
from vlmrec.models.item_knn import ItemKNN
from vlmrec.models.popularity import Popularity
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender, TrainingData
from vlmrec.pipeline.new_items import NewItems, with_new_vectors
from vlmrec.pipeline.run import Run

RANK_AMONG_ALL = "rank_among_all"
"""Column of a run's test cases: the rank in the whole catalogue, beside that among candidates."""
RANK_LIFTED = "rank_lifted"
"""The same with new items placed as `add_items` does."""
_KNN_ITEMS_AT_MOST = 60_000
"""Beyond this catalogue size the item-kNN anchor is left out: all pairs of items are compared."""


@dataclass(frozen=True)
class LiftedEvaluation:
    """What `add_items` would make of the items that training never saw.

    Attributes:
        offset: Added to their scores; None where the model's items are no vectors, so that
            nothing can be lifted and new items stay where they are.
        test_among_all: The test cases among the whole catalogue.
        warm_among_all: The cases about items that training saw.
    """

    offset: float | None
    test_among_all: Evaluation
    warm_among_all: Evaluation

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain JSON values."""
        return {
            "offset": self.offset,
            "test_among_all": self.test_among_all.to_json(),
            "warm_among_all": self.warm_among_all.to_json(),
        }


@dataclass(frozen=True)
class SplitEvaluation:
    """All that was measured on one split.

    Attributes:
        test: The model on the test cases, ranked as the split says.
        test_among_all: The same cases among the whole catalogue; only for splits that restrict
            the candidates.
        anchors: Popularity and item-kNN on the same cases, the bar that any model has to clear.
        warm_among_all: The cases about items that training saw, among the whole catalogue; only
            for splits that have both kinds.
        lifted: Both kinds with new items lifted.
    """

    test: Evaluation
    test_among_all: Evaluation | None
    anchors: Mapping[str, Evaluation]
    warm_among_all: Evaluation | None = None
    lifted: LiftedEvaluation | None = None

    @property
    def cases(self) -> pl.DataFrame:
        """One row a test case, with ``rank_among_all`` where the split restricts candidates.

        Where new items were lifted as well, also with ``rank_lifted``.
        """
        table = self.test.cases
        if self.test_among_all is not None:
            table = table.with_columns(self.test_among_all.cases[RANK].alias(RANK_AMONG_ALL))
        if self.lifted is not None:
            table = table.with_columns(self.lifted.test_among_all.cases[RANK].alias(RANK_LIFTED))
        return table

    @property
    def warm_cases(self) -> pl.DataFrame | None:
        """One row a case about an item that training saw, ranked among the whole catalogue."""
        if self.warm_among_all is None:
            return None
        table = self.warm_among_all.cases
        if self.lifted is None:
            return table
        return table.with_columns(self.lifted.warm_among_all.cases[RANK].alias(RANK_LIFTED))

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain JSON values."""
        result: dict[str, Any] = {
            "test": self.test.to_json(),
            "anchors": {name: one.to_json() for name, one in self.anchors.items()},
        }
        if self.test_among_all is not None:
            result["test_among_all"] = self.test_among_all.to_json()
        if self.warm_among_all is not None:
            result["warm_among_all"] = self.warm_among_all.to_json()
        if self.lifted is not None:
            result["lifted"] = self.lifted.to_json()
        return result


def evaluate(run: Run, cases: Cases, *, filter_seen: bool = False, seed: int = 0) -> Evaluation:
    """Returns how well a run ranks the targets of `cases` among the whole catalogue.

    Args:
        run: A trained model.
        cases: ``split.valid`` or ``split.test`` of the dataset it was trained on.
        filter_seen: Leave items of the history out of the ranking.
        seed: Of the bootstrap intervals.

    Raises:
        ArtifactError: The cases name items that the run does not know.
    """
    ranker = run.ranker()
    if len(cases) and int(cases.targets.max()) > ranker.n_items:
        raise ArtifactError("The cases belong to another dataset than the run.")
    counts = np.concatenate([[0], run.items["n_train"].to_numpy()])
    slices = popularity_slices(counts, cases.targets)
    return evaluate_ranker(
        ranker,
        cases,
        filter_seen=filter_seen,
        also_filtered=True,
        quota=run.quota(),
        slices=slices,
        seed=seed,
    )


def evaluate_split(
    ranker: Ranker,
    split: Split,
    *,
    filter_seen: bool = False,
    anchors: bool = True,
    model: Recommender | None = None,
    new_items: NewItems | None = None,
) -> SplitEvaluation:
    """Returns the test figures of a ranker, with popularity and item-kNN beside them.

    Args:
        ranker: A frozen view of a model.
        split: Whose test cases are ranked.
        filter_seen: Leave items of the history out of the ranking.
        anchors: Also measure popularity and item-kNN.
        model: What the ranker is a view of. With it, items that training never saw are also
            measured as `add_items` would place them, where the split has some.
        new_items: How they are placed.
    """
    counts = split.train.item_counts(split.dataset.n_items)

    def measured(view: Ranker, cases: Cases, pool: np.ndarray | None = None) -> Evaluation:
        return evaluate_ranker(
            view,
            cases,
            filter_seen=filter_seen,
            also_filtered=True,
            candidates=pool,
            slices=popularity_slices(counts, cases.targets),
        )

    pool = split.test_candidates
    bars = _anchors(split) if anchors else {}
    found = SplitEvaluation(
        test=measured(ranker, split.test, pool),
        test_among_all=None,
        anchors={name: measured(one, split.test, pool) for name, one in bars.items()},
    )
    if pool is None:
        return found
    among_all = measured(ranker, split.test)
    found = replace(found, test_among_all=among_all)
    if split.test_warm is None or not len(split.test_warm):
        return found
    warm = measured(ranker, split.test_warm)
    found = replace(found, warm_among_all=warm)
    if model is None:
        return found
    if not isinstance(ranker, VectorRanker):
        return replace(found, lifted=LiftedEvaluation(None, among_all, warm))
    new, options = np.isin(np.arange(ranker.n_items + 1), pool), new_items or NewItems()
    vectors = with_new_vectors(options, model, ranker.item_vectors, counts, new)
    placed = model.ranker(vectors)
    offset = options.offset_over(placed, counts, new, own=ranker)
    view = lifted(placed, new, offset)
    both = LiftedEvaluation(offset, measured(view, split.test), measured(view, split.test_warm))
    return replace(found, lifted=both)


def require_same_data(info: Mapping[str, Any], split: Split) -> None:
    """Raises ArtifactError when a run was trained on another dataset or split.

    Args:
        info: The run's record.
        split: What it is about to be measured on.
    """
    if info["dataset"]["fingerprint"] != split.dataset.fingerprint:
        raise ArtifactError(
            f"The run was trained on a dataset with fingerprint "
            f"{info['dataset']['fingerprint']}; this one has {split.dataset.fingerprint}.",
            "Give the dataset it was trained on with --data.",
        )
    if info["split"]["fingerprint"] != split.fingerprint:
        raise ArtifactError(
            f"The run was trained on another {info['split']['name']} split of this dataset."
        )


def counted(spec: ModelSpec, split: Split) -> Ranker:
    """Returns a ranker of a model that is counted, not trained."""
    model = spec.build(CatalogShape(split.dataset.n_items))
    model.prepare(training_data(split))
    return model.ranker()


def training_data(split: Split) -> TrainingData:
    """Returns what a model without content may learn from."""
    n_items = split.dataset.n_items
    known = split.training_items
    known = np.arange(1, n_items + 1, dtype=np.int64) if known is None else known
    shape = CatalogShape(n_items, n_users=split.dataset.n_users)
    return TrainingData(split.train, shape, known, fingerprint=split.fingerprint)


def _anchors(split: Split) -> dict[str, Ranker]:
    bars: dict[str, Ranker] = {Popularity.name: counted(Popularity(), split)}
    if split.dataset.n_items <= _KNN_ITEMS_AT_MOST:
        bars[ItemKNN.name] = counted(ItemKNN(), split)
    return bars

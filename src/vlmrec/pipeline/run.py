"""A trained model with all that belongs to it, in memory or in a run folder."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.bundle import Bundle, unfinish, write_bundle
from vlmrec.core.columns import ITEM_ID
from vlmrec.core.protocols import Ranker
from vlmrec.data.vocabulary import Vocabulary
from vlmrec.evaluation.lifting import lifted
from vlmrec.evaluation.quota import Quota
from vlmrec.models.spec import ModelSpec, Recommender
from vlmrec.models.stored import load_model
from vlmrec.pipeline.late_content import LateContent
from vlmrec.pipeline.new_items import NewItems

NEW_ITEMS = "new_items"
"""Part of a run's record: how items that were added after training get into lists."""


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model, the items it knows, and the record of how it came about.

    Attributes:
        spec: The model's specification.
        model: The trained model.
        item_vectors: ``[I + 1, D]`` in model space (with items added after training), or None.
        items: One row an item in internal order: ``item_id``, ``title``, ``n_train``.
        info: Configuration, versions, fingerprints, figures: what ``run.json`` holds.
        folder: Where it is stored, if it is.
        ranks: One row a test case, or None.
        warm_ranks: One row a case about an item that training saw, where the test cases are
            about items that it did not; else None.
        late: What was read of items that came or changed after training.
    """

    spec: ModelSpec
    model: Recommender
    item_vectors: Tensor | None
    items: pl.DataFrame
    info: dict[str, Any]
    folder: Path | None = None
    ranks: pl.DataFrame | None = None
    warm_ranks: pl.DataFrame | None = None
    late: LateContent = field(default_factory=LateContent)

    @property
    def vocabulary(self) -> Vocabulary:
        """External and internal item ids."""
        return Vocabulary(self.items[ITEM_ID], "item")

    @property
    def added(self) -> NDArray[np.bool_]:
        """``[I + 1] bool``: which internal ids were added after training."""
        return np.arange(self.items.height + 1) > self.info["shape"]["n_items"]

    def ranker(self) -> Ranker:
        """Returns the one view that evaluation, recommendation, index and service share.

        Items that were added after training are lifted as `add_items` found right.
        """
        return self.lifted(self.model.ranker(self.item_vectors))

    def lifted(self, ranker: Ranker) -> Ranker:
        """Returns a ranker of the same items that lifts those that were added as much."""
        return lifted(ranker, self.added, self.offset) if self.offset else ranker

    @property
    def offset(self) -> float:
        """What the scores of items that were added after training are lifted by."""
        return self.info.get(NEW_ITEMS, {}).get("offset", 0.0)

    @property
    def new_items(self) -> NewItems:
        """How items that were added get into lists; the default where none were."""
        return NewItems(**self.info.get(NEW_ITEMS, {}).get("options", {}))

    def quota(self) -> Quota | None:
        """Returns how lists are mixed, None where scores alone decide."""
        share = self.info.get(NEW_ITEMS, {}).get("quota", 0.0)
        return Quota(self.added, share) if share else None

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the run folder.

        Raises:
            DataError: The folder is read-only or the disk is full.
        """
        target = Path(folder)
        unfinish(target)
        weights = self.model.own_weights()
        parts = self.model.write_parts(target)
        bundle = Bundle(
            self.info,
            weights,
            self.item_vectors,
            self.items,
            self.ranks,
            self.warm_ranks,
            self.late.to_tensors(),
        )
        write_bundle(target, bundle, parts)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Run":
        """Returns the run in a folder; needs nothing else of the project's data.

        Raises:
            ArtifactError: The folder holds no finished run, or a file is damaged.
        """
        path = Path(folder)
        one = load_model(path)
        return cls(
            one.spec,
            one.model,
            one.item_vectors,
            one.items,
            one.info,
            path,
            one.ranks,
            one.warm_ranks,
            LateContent.from_tensors(one.late),
        )


def vectors_of(ranker: Ranker) -> Tensor | None:
    """Returns a copy of a ranker's item vectors, None where it has none."""
    vectors = getattr(ranker, "item_vectors", None)
    return vectors.detach().cpu().clone() if isinstance(vectors, torch.Tensor) else None

"""A run as it is served at one moment: nothing in it changes; a change makes another one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.bundle import run_identity
from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.errors import DataError
from vlmrec.core.protocols import Ranker
from vlmrec.evaluation.quota import Quota
from vlmrec.index.mixed import MixedIndex
from vlmrec.index.search import Index, everything
from vlmrec.pipeline.encoders import Encoders
from vlmrec.pipeline.indexing import BuiltIndex, index_of
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.run import Run
from vlmrec.pipeline.viewing import View
from vlmrec.serve.filters import allowed_by
from vlmrec.serve.popular import PopularIndex

_MASKS = 64
"""Filters whose items are remembered."""
_DERIVED = {"run": ("vectors", "popularity", "by_popularity"), "present": ("left",)}
"""Attributes, and which cached properties are made of each alone."""


@dataclass(frozen=True, eq=False)
class Live:
    """What is served.

    Attributes:
        run: The trained model with all items.
        identity: Changes whenever the run does.
        ranker: Makes queries of histories.
        built: The index as it was built or loaded.
        index: Finds the best items of queries, also those that came or changed since.
        table: ``[I]`` rows in internal order: ``item_id``, ``title`` and all known attributes.
        rows: Item id -> internal id.
        names: Item ids in internal order; the first is padding.
        titles: Titles in internal order; the first is padding.
        pictures: Item id -> picture file, of items that have one.
        present: ``[I + 1] bool``: what may be recommended; items that were removed may not.
        changed: Internal ids of items that have other vectors than the index was built of.
        change: Number of the latest change in the database that is part of this.
        views: By what is absent, items as the model places them then; kept over changes.
        read: By what is absent, a model that reads items itself, over these items or the first
            of them, once asked.
        alone: What is served by one modality alone, once asked.
        masks: Which items the latest filters allow.
        moments: Mean and spread of frozen vectors by modality, once asked.
        placing: What was found of the model when items were added or changed.
    """

    run: Run
    identity: str
    ranker: Ranker
    built: BuiltIndex
    index: Index
    table: pl.DataFrame
    rows: Mapping[str, int]
    names: list[str]
    titles: list[str | None]
    pictures: Mapping[str, Path]
    present: Tensor
    changed: frozenset[int] = frozenset()
    change: int = 0
    views: dict[tuple[str, ...], View] = field(default_factory=dict)
    read: dict[tuple[str, ...], Ranker] = field(default_factory=dict)
    moments: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    alone: dict[str, "Live"] = field(default_factory=dict)
    masks: dict[str, Tensor] = field(default_factory=dict)
    placing: Placing = field(default_factory=Placing)

    @cached_property
    def vectors(self) -> Tensor | None:
        """``[I + 1, D]`` item vectors at length 1; None for models without."""
        vectors = self.run.item_vectors
        return None if vectors is None else torch.nn.functional.normalize(vectors.float(), dim=1)

    @cached_property
    def left(self) -> Tensor | None:
        """`present`, None where no item was removed: counted once, not by every request."""
        return None if bool(self.present[1:].all()) else self.present

    @cached_property
    def popularity(self) -> Tensor:
        """``[I + 1] float32``: how often training saw each item."""
        counts = self.run.items["n_train"].to_numpy()
        return torch.as_tensor(np.concatenate([[0], counts]), dtype=torch.float32)

    @cached_property
    def by_popularity(self) -> PopularIndex:
        """Finds what training saw most often."""
        return PopularIndex(self.popularity)

    @property
    def fields(self) -> list[str]:
        """Attributes that items have, or that the model reads of them."""
        read = [TITLE, *(self.run.info.get("text_fields") or []), *self.table.columns]
        return [name for name in dict.fromkeys(read) if name not in (ITEM_ID, "image")]

    def after(self, old: "Live") -> "Live":
        """Returns this, with what another one has worked out of parts that both share.

        Vectors of many items take a good part of a second, in which nobody would be answered.
        """
        for source, derived in _DERIVED.items():
            if getattr(self, source) is getattr(old, source):
                known = {name: vars(old)[name] for name in derived if name in vars(old)}
                vars(self).update(known)
        return self

    def known(self, items: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
        """Returns the internal ids of the items that are known, and the names of the others."""
        found = [self.rows.get(name, 0) for name in items]
        unknown = [name for name, row in zip(items, found, strict=True) if not row]
        return np.array([row for row in found if row], dtype=np.int64), unknown

    def mask(self, expression: str) -> Tensor:
        """Returns ``[I + 1] bool``: which items a filter allows.

        Raises:
            ConfigError: The filter cannot be read.
        """
        mask = self.masks.get(expression)
        if mask is None:
            mask = torch.as_tensor(np.concatenate([[False], allowed_by(expression, self.table)]))
            for oldest in list(self.masks)[: max(0, len(self.masks) - _MASKS + 1)]:
                self.masks.pop(oldest, None)  # another thread may have been here
            self.masks[expression] = mask
        return mask

    def allowed(
        self, expression: str | None, allow: Sequence[str] | None, deny: Sequence[str]
    ) -> Tensor | None:
        """Returns ``[I + 1] bool``, None where nothing is forbidden.

        Args:
            expression: A filter over attributes.
            allow: Only these items, as far as they are known.
            deny: None of these.
        """
        mask = self.left
        if expression is not None:
            mask = self.mask(expression) if mask is None else mask & self.mask(expression)
        if allow is not None:
            among = torch.zeros(len(self.present), dtype=torch.bool)
            among[torch.as_tensor(self.known(allow)[0])] = True
            mask = among if mask is None else mask & among
        denied = self.known(deny)[0] if deny else None
        if denied is not None and len(denied):
            mask = everything(self.ranker.n_items) if mask is None else mask.clone()
            mask[torch.as_tensor(denied)] = False
        return mask

    def searched(self, promoted: Tensor | None = None, share: float = 0.0) -> Index:
        """Returns the index, with places for what is new in this run or is promoted.

        Args:
            promoted: ``[I + 1] bool`` items that get a share of the places of their own.
            share: Of the places.
        """
        if promoted is not None and share:
            return MixedIndex(self.index, Quota(promoted.numpy(), share))
        quota = self.run.quota()
        return self.index if quota is None else MixedIndex(self.index, quota)

    def popular(self, promoted: Tensor | None = None, share: float = 0.0) -> Index:
        """Returns what finds items that training saw most often, for people nothing is known of.

        Args:
            promoted: ``[I + 1] bool`` items that get a share of the places of their own.
            share: Of the places.
        """
        if promoted is None or not share:
            return self.by_popularity
        return MixedIndex(self.by_popularity, Quota(promoted.numpy(), share))


def go_live(
    run: Run,
    *,
    attributes: pl.DataFrame | None = None,
    images: Path | None = None,
    encoders: Encoders | None = None,
) -> Live:
    """Returns a run ready to serve, with the index that is stored with it or one built now.

    Args:
        run: What to serve.
        attributes: ``item_id`` and further columns, to filter by and to show.
        images: Folder that the column ``image`` of the attributes is relative to.
        encoders: Those that are loaded already, for items that are added.

    Raises:
        DataError: The run knows no items.
    """
    if not run.items.height:
        raise DataError("The run knows no items; there is nothing to recommend.")
    table = run.items.select(ITEM_ID, TITLE)
    pictures: dict[str, Path] = {}
    if attributes is not None:
        more = attributes.select(pl.exclude(TITLE)).unique(ITEM_ID, keep="first")
        table = table.join(more, on=ITEM_ID, how="left", maintain_order="left")
    if images is not None and "image" in table.columns:
        pairs = table.select(ITEM_ID, "image").drop_nulls().iter_rows()
        pictures = {name: images / path for name, path in pairs}
    built, names = index_of(run), table[ITEM_ID].to_list()
    identity = "unsaved" if run.folder is None else run_identity(run.folder)[:16]
    return Live(
        run=run,
        identity=identity,
        ranker=run.ranker(),
        built=built,
        index=built.index,
        table=table,
        rows={name: row for row, name in enumerate(names, start=1)},
        names=["", *names],
        titles=[None, *table[TITLE].to_list()],
        pictures=pictures,
        present=everything(run.items.height),
        placing=Placing(encoders),
    )

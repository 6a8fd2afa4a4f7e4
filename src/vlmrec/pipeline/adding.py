"""Products that appeared after training: recommendable at once, without training again."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.catalog import Catalog, complete_table, match_pictures
from vlmrec.data.frames import Frame, to_polars
from vlmrec.data.vocabulary import Vocabulary
from vlmrec.items.cache import VectorCache
from vlmrec.pipeline.new_items import NewItems
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.run import NEW_ITEMS, Run


def add_items(
    run: Run | str | os.PathLike[str],
    items: Frame,
    images: str | os.PathLike[str] | None = None,
    *,
    new_items: NewItems | None = None,
    cache: VectorCache | None = None,
    placing: Placing | None = None,
) -> Run:
    """Returns the run with more items, embedded from their words and pictures.

    The new items can be recommended and can stand in histories at once. As models place what
    training never saw too low, their scores are lifted, see `NewItems`. Store the result with
    ``save``.

    Args:
        run: A run of a content model, or its folder.
        items: ``item_id`` and, as far as there are any, the columns the model read in training
            (``title``, ``description``, ...) and ``image``.
        images: Folder that image paths are relative to; without an ``image`` column pictures
            are found by ``<item_id>.<suffix>``.
        new_items: How new items get into lists. Holds for all that were ever added to the run;
            default: as when the latest were added.
        cache: Where frozen vectors are kept; default: the user's cache folder.
        placing: What was found of the same model when others were added.

    Raises:
        ConfigError: The model knows items by id only.
        DataError: An id is already known, or an item has neither text nor picture.
        ArtifactError: The encoder is not the one that the run was trained with.
    """
    run = run if isinstance(run, Run) else Run.load(Path(run))
    vectors = run.item_vectors
    catalog = new_catalog(items, images)
    known = run.vocabulary.to_internal(catalog.table[ITEM_ID])
    if known.any():
        name = catalog.table[ITEM_ID][int(known.nonzero()[0][0])]
        raise DataError(f"Item '{name}' is already known to the run.", "Leave it out.")
    grown, options = run.model.with_items(catalog), new_items or run.new_items
    if vectors is None or (grown is None and not run.spec.content()):
        raise ConfigError(
            f"The model '{run.spec.name}' knows items by id only; it cannot place new ones.",
            "Train a content model, such as sasrec-content.",
        )
    placing, late = placing or Placing(), run.late
    if grown is not None:
        model, own = grown
        added = own
    else:
        model = run.model
        own, added, content = placing.placed(run, catalog, cache, options)
        late = late.with_items(range(len(vectors), len(vectors) + len(own)), content)
    require_content(catalog, ~added.any(dim=1))
    table = pl.concat(
        [run.items, catalog.table.select(ITEM_ID, TITLE).with_columns(n_train=pl.lit(0))],
        how="vertical_relaxed",
    )
    grown_run = replace(
        run,
        model=model,
        item_vectors=placing.table.longer(vectors, added),
        items=table,
        late=late,
        info={name: value for name, value in run.info.items() if name != NEW_ITEMS},
    )
    offset = None if grown is not None else placing.offset(grown_run, own, options)
    if offset is None:
        offset = _offset(grown_run, options, torch.cat([vectors, own]))
    record = {"offset": offset, "quota": options.quota, "options": options.model_dump()}
    return replace(grown_run, info={**grown_run.info, NEW_ITEMS: record})


def _offset(run: Run, options: NewItems, own: torch.Tensor) -> float:
    """Returns what the scores of added items are lifted by.

    Args:
        run: With the items added.
        options: How they get into lists.
        own: ``[I + 1, D]`` the vectors of the items, of the latest ones without neighbours.
    """
    n_train = np.concatenate([[0], run.items["n_train"].to_numpy()])
    alone = replace(run, item_vectors=own).ranker()
    return options.offset_over(run.ranker(), n_train, run.added, own=alone)


def require_content(catalog: Catalog, lost: torch.Tensor) -> None:
    """Refuses items ``[n] bool`` of which the model can read nothing.

    Raises:
        DataError: There is one.
    """
    if bool(lost.any()):
        name = catalog.table[ITEM_ID][int(lost.nonzero()[0])]
        raise DataError(
            f"Item '{name}' has none of what the model reads.",
            "Give it a text or a readable picture.",
        )


def new_catalog(items: Frame, images: str | os.PathLike[str] | None) -> Catalog:
    """Returns the words and pictures that were given for items.

    Raises:
        DataError: There are none, or an id is missing or there twice.
    """
    table = to_polars(items, "items")
    if ITEM_ID not in table.columns or not table.height:
        raise DataError(
            f"The new items need a column '{ITEM_ID}' and at least one row; "
            f"given were {table.height} rows with {table.columns}."
        )
    table = complete_table(table, pl.Series([], dtype=pl.String))
    Vocabulary(table[ITEM_ID], "item")  # refuses an id that is null or there twice
    root = None if images is None else Path(images)
    if root is not None:
        table = match_pictures(table, root)
    return Catalog(table, root)

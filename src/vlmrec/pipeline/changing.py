"""Known items whose words or pictures changed: placed anew, without training again."""

import os
from dataclasses import replace

import polars as pl
import torch

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.catalog import Catalog
from vlmrec.data.frames import Frame
from vlmrec.data.sequences import IntArray
from vlmrec.items.cache import VectorCache
from vlmrec.pipeline.adding import new_catalog, require_content
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.run import Run


def change_items(
    run: Run,
    items: Frame,
    images: str | os.PathLike[str] | None = None,
    *,
    cache: VectorCache | None = None,
    placing: Placing | None = None,
) -> Run:
    """Returns the run with other words and pictures for items that it knows.

    An item that training saw moves as far as the model moves it for its content; what clicks
    taught of it besides stays. One that was added later is placed as if it were added now, with
    the options that it was added with.

    Args:
        run: A run of a model over frozen content.
        items: ``item_id`` and the columns the model reads, as for `add_items`: all of an item,
            not only what is new.
        images: Folder that image paths are relative to.
        cache: Where frozen vectors are kept; default: the user's cache folder.
        placing: What was found of the same model when others were added or changed.

    Raises:
        ConfigError: The model knows items by id only, or reads them itself.
        DataError: An id is not known, or an item has neither text nor picture.
        ArtifactError: The encoder is not the one that the run was trained with.
    """
    catalog = new_catalog(items, images)
    rows = run.vocabulary.to_internal(catalog.table[ITEM_ID])
    if not rows.all():
        name = catalog.table[ITEM_ID][int((rows == 0).nonzero()[0][0])]
        raise DataError(f"Item '{name}' is not known to the run.", "Add it instead.")
    known = run.model.known_content()
    if run.item_vectors is None or known is None:
        raise ConfigError(
            f"The model '{run.spec.name}' does not make item vectors from frozen content, "
            "so the words and pictures of its items cannot be changed.",
            "Train a content model, such as sasrec-content.",
        )
    placing = placing or Placing()
    placed = placing.placed(run, catalog, cache, run.new_items)
    own = placed.own
    require_content(catalog, ~own.any(dim=1))
    vectors = run.item_vectors.clone()
    trained = rows <= run.info["shape"]["n_items"]
    vectors[rows[~trained]] = placed.leaning[~trained]
    there = torch.as_tensor(rows[trained])
    content = {name: one.rows(there) for name, one in known.items()}
    learned, from_content = run.model.vectors_at(there), run.model.content_vectors(content)
    if learned is not None and from_content is not None:
        vectors[there] = learned + own[trained] - from_content
    late = run.late.with_items(rows, placed.content)
    return replace(run, item_vectors=vectors, items=_retitled(run, catalog, rows), late=late)


def _retitled(run: Run, catalog: Catalog, rows: IntArray) -> pl.DataFrame:
    titles = run.items[TITLE].clone()
    titles.scatter(rows - 1, catalog.table[TITLE])
    return run.items.with_columns(titles)

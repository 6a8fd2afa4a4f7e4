"""What is served after items were added, changed or removed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.errors import DataError, nearest
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.changing import change_items
from vlmrec.serve.live import Live
from vlmrec.serve.pictures import kept_picture
from vlmrec.serve.store.records import StoredItem

IMAGE = "image"
_MOST_CHUNKS = 64
"""A table that was put together of more parts is slow to filter."""


def with_changes(live: Live, items: Sequence[StoredItem], folder: Path) -> Live:
    """Returns what is served after changes; `live` itself stays as it is.

    Args:
        live: What is served now.
        items: Items as they are now; each takes the place of what was known of it.
        folder: Where pictures are kept as files.

    Raises:
        DataError: A field is not one of the catalogue, or an item has nothing to read.
        ConfigError: The model cannot take items in or change them.
    """
    given = [one for one in items if not _is_empty(one)]
    new = [one for one in given if one.item_id not in live.rows]
    known = [one for one in given if one.item_id in live.rows]
    for one in given:
        check_fields(live, one.fields)
    files = {
        one.item_id: kept_picture(one.picture, folder) for one in given if one.picture is not None
    }
    run = live.run
    if new:
        run = add_items(run, _frame(live, new, files), folder, placing=live.placing)
    if known:
        run = change_items(run, _frame(live, known, files), folder, placing=live.placing)
    changed = live.changed | {live.rows[one.item_id] for one in known}
    ranker = run.ranker() if given else live.ranker
    index = live.index
    if given:
        index = live.built.over(ranker, torch.tensor(sorted(changed), dtype=torch.int64))
    renewed = {one.item_id for one in known}
    pictures = {name: path for name, path in live.pictures.items() if name not in renewed}
    fresh = torch.tensor([not one.removed for one in new], dtype=torch.bool)
    present = torch.cat([live.present, fresh])
    for one in items:
        if one.item_id in live.rows:
            present[live.rows[one.item_id]] = not one.removed
    changed_live = replace(
        live,
        run=run,
        ranker=ranker,
        index=index,
        table=_table(live, new, known),
        rows=_rows(live, new),
        names=[*live.names, *(one.item_id for one in new)] if new else live.names,
        titles=_titles(live, new, known),
        pictures=pictures | files,
        present=present,
        changed=frozenset(changed),
        read=dict(live.read),
        alone={},
        masks={},
    )
    return changed_live.after(live)


def _is_empty(item: StoredItem) -> bool:
    """Returns whether nothing is known of an item but that it was removed."""
    return item.removed and not item.fields and item.picture is None


def check_fields(live: Live, fields: Mapping[str, Any]) -> None:
    """Refuses fields that items of this catalogue do not have, or of another kind.

    Raises:
        DataError: There is one.
    """
    schema = _schema(live)
    for name, value in fields.items():
        if name not in schema:
            raise DataError(
                f"'{name}' is no field of the items served here.", nearest(name, schema)
            )
        if value is not None and not _fits(value, schema[name]):
            raise DataError(
                f"The field '{name}' was given {str(value)[:60]!r}; expected "
                f"{_expected(schema[name])}."
            )


def _schema(live: Live) -> dict[str, Any]:
    """Returns the fields an item may have and their kinds."""
    read = {name: pl.String() for name in live.run.info.get("text_fields") or []}
    known = {name: kind for name, kind in live.table.schema.items() if name not in (ITEM_ID, IMAGE)}
    return {TITLE: pl.String(), **read, **known}


def _fits(value: object, kind: Any) -> bool:
    if isinstance(kind, pl.List):
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind == pl.String:
        return isinstance(value, str)
    if kind == pl.Boolean:
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if kind.is_integer():
        return float(value).is_integer() and abs(value) < 1 << 31
    return math.isfinite(value)


def _expected(kind: Any) -> str:
    if isinstance(kind, pl.List):
        return "a list of texts"
    if kind == pl.String:
        return "a text"
    if kind == pl.Boolean:
        return "true or false"
    return "a whole number" if kind.is_integer() else "a number"


def _frame(live: Live, items: Sequence[StoredItem], files: Mapping[str, Path]) -> pl.DataFrame:
    """Returns what the model may read of items."""
    kinds = _schema(live)
    columns: dict[str, Any] = {ITEM_ID: [one.item_id for one in items]}
    for name in kinds:
        if any(one.fields.get(name) is not None for one in items):
            values = [one.fields.get(name) for one in items]
            columns[name] = pl.Series(name, values, dtype=kinds[name], strict=False)
    paths = [files.get(one.item_id) for one in items]
    names = [None if path is None else path.name for path in paths]
    columns[IMAGE] = pl.Series(IMAGE, names, dtype=pl.String)
    return pl.DataFrame(columns)


def _rows(live: Live, new: Sequence[StoredItem]) -> Mapping[str, int]:
    if not new:
        return live.rows
    added = {one.item_id: row for row, one in enumerate(new, start=len(live.names))}
    return {**live.rows, **added}


def _titles(
    live: Live, new: Sequence[StoredItem], known: Sequence[StoredItem]
) -> Sequence[str | None]:
    if not new and not known:
        return live.titles
    titles = [*live.titles, *(one.fields.get(TITLE) for one in new)]
    for one in known:
        titles[live.rows[one.item_id]] = one.fields.get(TITLE)
    return titles


def _table(live: Live, new: Sequence[StoredItem], known: Sequence[StoredItem]) -> pl.DataFrame:
    """Returns the attributes of all items in internal order."""
    if not new and not known:
        return live.table
    schema = live.table.schema
    by_name = {one.item_id: one for one in known}

    def row(one: StoredItem) -> dict[str, Any]:
        return {name: one.fields.get(name) for name in schema} | {ITEM_ID: one.item_id}

    fresh = pl.DataFrame([row(one) for one in new], schema=schema, strict=False)
    table = live.table
    if known:
        rows = pl.DataFrame([row(one) for one in by_name.values()], schema=schema, strict=False)
        order = table.select(ITEM_ID)
        rest = table.filter(~pl.col(ITEM_ID).is_in(list(by_name)))
        table = order.join(pl.concat([rest, rows]), on=ITEM_ID, maintain_order="left")
    table = pl.concat([table, fresh]) if new else table
    return table.rechunk() if table.n_chunks() > _MOST_CHUNKS else table

"""The items: their words and where their pictures are, in the order of internal ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.columns import DESCRIPTION, IMAGE, ITEM_ID, TITLE
from vlmrec.core.errors import ConfigError, DataError, nearest

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Catalog:
    """Item attributes; row i belongs to the internal id i + 1.

    Attributes:
        table: ``item_id``, ``title``, ``description``, ``image`` (path relative to `root`,
            or null) and any further attribute columns.
        root: The folder that image paths are relative to, or None where there is none.
    """

    table: pl.DataFrame
    root: Path | None

    def __len__(self) -> int:
        return self.table.height

    def default_text_fields(self) -> list[str]:
        """Returns title, every attribute that is a list of words, and description."""
        lists = [
            name
            for name, kind in self.table.schema.items()
            if isinstance(kind, pl.List) and kind.inner == pl.String
        ]
        return [TITLE, *lists, DESCRIPTION]

    def texts(self, fields: Sequence[str] | None = None) -> list[str]:
        """Returns what there is to read about each item, "" where there is nothing.

        Title and description stand as they are, an attribute as ``name: value, value``;
        empty fields are skipped, so that no item reads ``description: None``.

        Args:
            fields: Columns in the order in which they are read; default: see
                `default_text_fields`.

        Raises:
            ConfigError: A field is not a column.
        """
        chosen = list(fields) if fields is not None else self.default_text_fields()
        for field in chosen:
            if field not in self.table.columns:
                raise ConfigError(
                    f"Text field '{field}' is not a column of the items table.",
                    nearest(field, self.table.columns),
                )
        parts = [_readable(field, self.table.schema[field]) for field in chosen]
        joined = self.table.select(pl.concat_str(parts, separator=". ", ignore_nulls=True))
        return [" ".join((text or "").replace("..", ".").split()) for text in joined.to_series()]

    def image_paths(self) -> list[Path | None]:
        """Returns where each item's picture should be, None where it has none."""
        if self.root is None:
            return [None] * len(self)
        root = self.root
        return [None if name is None else root / name for name in self.table[IMAGE]]


def _readable(field: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(field)
    text = column.list.join(", ") if isinstance(kind, pl.List) else column.cast(pl.String)
    text = text.str.strip_chars()
    kept = pl.when(text.str.len_chars() > 0).then(text)
    if field in (TITLE, DESCRIPTION):
        return kept.otherwise(None).alias(field)
    return pl.concat_str([pl.lit(f"{field}: "), kept.otherwise(None)]).alias(field)


def complete_table(items: pl.DataFrame | None, extra_ids: pl.Series) -> pl.DataFrame:
    """Returns an items table with the standard columns and a row for every known id.

    Args:
        items: The user's table, or None; must have ``item_id``.
        extra_ids: Ids that occur in interactions; those without a row get an empty one, behind
            the others, in this order.
    """
    table = items if items is not None else pl.DataFrame({ITEM_ID: pl.Series([], dtype=pl.String)})
    table = table.with_columns(pl.col(ITEM_ID).cast(pl.String))
    for name in (TITLE, DESCRIPTION, IMAGE):
        if name not in table.columns:
            table = table.with_columns(pl.lit(None, dtype=pl.String).alias(name))
    missing = extra_ids.unique(maintain_order=True).cast(pl.String).rename(ITEM_ID).to_frame()
    missing = missing.join(table.select(ITEM_ID), on=ITEM_ID, how="anti", maintain_order="left")
    empty = pl.col(IMAGE).cast(pl.String).str.strip_chars() == ""
    return pl.concat([table, missing], how="diagonal").with_columns(
        pl.when(empty).then(None).otherwise(pl.col(IMAGE)).alias(IMAGE)
    )


def match_pictures(table: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Returns the table with ``image`` filled by files named ``<item_id>.<suffix>``.

    Rows that name an image already keep it.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"The image folder '{folder}' does not exist.", "Correct --images.")
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    stems = [name.rsplit(".", 1)[0] for name in names]
    found = pl.DataFrame(
        {ITEM_ID: stems, "file": names}, schema={ITEM_ID: pl.String, "file": pl.String}
    ).unique(ITEM_ID, keep="first", maintain_order=True)
    joined = table.join(found, on=ITEM_ID, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(IMAGE, "file").alias(IMAGE)).drop("file")

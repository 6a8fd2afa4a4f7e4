"""Puts paths of pictures into a dataset folder's catalogue, and the manifest in step with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from vlmrec.core.columns import IMAGE
from vlmrec.core.files import atomic_file, write_json
from vlmrec.data.catalog import Catalog
from vlmrec.data.dataset import Dataset
from vlmrec.data.parquet_write import write_table


def put_images(
    folder: Path, dataset: Dataset, images: Sequence[str | None], said: dict[str, Any]
) -> Dataset:
    """Returns the dataset with these pictures, after the folder was made to hold it.

    The manifest is compared with the catalogue each time: where a call was killed after the one
    was written and before the other, the next call mends it.

    Args:
        folder: The dataset folder, as `vlmrec prepare` wrote it or with bare tables.
        dataset: What was loaded from there.
        images: A path for each item, in the order of the catalogue; None without picture.
        said: What the manifest should say about where pictures came from.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    column = pl.Series(IMAGE, images, dtype=pl.String)
    table = dataset.catalog.table
    now = dataset.with_catalog(Catalog(table.with_columns(column), dataset.catalog.root))
    if not table[IMAGE].equals(column, null_equal=True):
        path = folder / "items.parquet"
        # Bare tables may lack items that have events; these follow behind the table's own.
        stored = pl.read_parquet(path)
        with atomic_file(path) as temporary:
            write_table(stored.with_columns(column.head(stored.height)), temporary)
    if dataset.manifest:
        source = {**dataset.manifest.get("source", {}), "fetched_images": said}
        manifest = {**dataset.manifest, **now.describe(source)}
        if manifest != dataset.manifest:
            write_json(folder / "manifest.json", manifest)
    return now

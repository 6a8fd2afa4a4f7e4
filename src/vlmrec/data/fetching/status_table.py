"""What became of every picture that was asked for: a table in the dataset folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from vlmrec.core.columns import IMAGE_URL, ITEM_ID
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file
from vlmrec.data.parquet_write import write_table

Status = Literal["fetched", "missing", "refused", "broken", "failed"]

STATUS_FILE = "image_status.parquet"
_SCHEMA: dict[str, type[pl.DataType]] = {
    ITEM_ID: pl.String,
    IMAGE_URL: pl.String,
    "status": pl.String,
    "reason": pl.String,
    "bytes": pl.Int64,
    "tries": pl.Int64,
}


@dataclass(frozen=True)
class ImageStatus:
    """What became of one item's picture.

    Attributes:
        image_url: The address that was asked.
        status: ``fetched``; ``missing`` (the server says that there is none); ``refused`` (by
            our limits, or by the server for good); ``broken`` (what came is no picture);
            ``failed`` (a passing trouble; the next call asks again).
        reason: Why there is no picture; empty where there is one.
        bytes: Size of the file; None where there is none.
        tries: Requests for it so far, redirects included.
    """

    image_url: str
    status: Status
    reason: str
    bytes: int | None
    tries: int


def read_statuses(folder: Path) -> dict[str, ImageStatus]:
    """Returns what is known of each item's picture, by item id.

    Args:
        folder: Dataset folder; nothing is known where it holds no table.

    Raises:
        ArtifactError: The table is damaged.
    """
    path = folder / STATUS_FILE
    if not path.is_file():
        return {}
    try:
        table = pl.read_parquet(path).select(list(_SCHEMA))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ArtifactError(
            f"'{path}' cannot be read: {str(error).splitlines()[0]}.",
            "Remove it; pictures that are in the folder are not fetched again.",
        ) from None
    return {item_id: ImageStatus(*rest) for item_id, *rest in table.iter_rows()}


def write_statuses(folder: Path, statuses: Mapping[str, ImageStatus]) -> None:
    """Writes the table, atomically, by item id.

    Args:
        folder: Dataset folder.
        statuses: By item id.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    entries = sorted(statuses.items())
    columns: dict[str, list[object]] = {ITEM_ID: [item_id for item_id, _ in entries]}
    for name in list(_SCHEMA)[1:]:
        columns[name] = [getattr(status, name) for _, status in entries]
    with atomic_file(folder / STATUS_FILE) as temporary:
        write_table(pl.DataFrame(columns, schema=_SCHEMA), temporary)

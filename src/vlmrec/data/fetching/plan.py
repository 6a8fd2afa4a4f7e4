"""What is left to fetch: items with an address and without a picture."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from vlmrec.core.columns import IMAGE, IMAGE_URL, ITEM_ID
from vlmrec.core.errors import DataError
from vlmrec.data.fetching.picture_files import PictureFolder
from vlmrec.data.fetching.status_table import ImageStatus


@dataclass(frozen=True)
class Plan:
    """What there is, and what to ask for.

    Attributes:
        own: Items with an address whose picture is here without us.
        known: What became of items before, by item id. A picture that is there is ``fetched``,
            also where a killed run did not come to write so.
        images: Paths of fetched pictures that are there, by item id.
        wanted: Items to fetch a picture for, by its address; those that were asked for least
            come first, so that the ones that fail again and again keep nobody waiting.
    """

    own: int
    known: dict[str, ImageStatus]
    images: dict[str, str]
    wanted: dict[str, list[str]]


def plan_fetching(
    table: pl.DataFrame,
    before: Mapping[str, ImageStatus],
    stems: Mapping[str, str],
    files: PictureFolder,
    *,
    again: bool,
) -> Plan:
    """Returns what to ask for.

    Args:
        table: The catalogue's table.
        before: What earlier calls wrote about items, by item id.
        stems: File names without suffix, by item id.
        files: The pictures that are there.
        again: Ask again for what was missing, refused or broken.

    Raises:
        DataError: The items have no column of addresses.
    """
    own = 0
    known: dict[str, ImageStatus] = {}
    images: dict[str, str] = {}
    wanted: dict[str, list[str]] = defaultdict(list)
    for item_id, image, url in _with_address(table).iter_rows():
        last = before.get(item_id)
        if image is not None and (last is None or last.status != "fetched"):
            own += 1
            continue
        moved = last is not None and last.image_url != url
        found = None if moved else files.find(stems[item_id])
        if found is not None:
            images[item_id], size = found
            known[item_id] = ImageStatus(url, "fetched", "", size, _tries(before, item_id))
        elif last is None or moved or last.status == "fetched":  # never asked, or the file is gone
            wanted[url].append(item_id)
        else:
            known[item_id] = last
            if again or last.status == "failed":
                wanted[url].append(item_id)
    least_tried = sorted(wanted, key=lambda url: max(_tries(known, one) for one in wanted[url]))
    return Plan(own, known, images, {url: wanted[url] for url in least_tried})


def _tries(known: Mapping[str, ImageStatus], item_id: str) -> int:
    return known[item_id].tries if item_id in known else 0


def _with_address(table: pl.DataFrame) -> pl.DataFrame:
    """Returns item id, picture and address of the items that have an address."""
    if IMAGE_URL not in table.columns:
        raise DataError(
            f"The items have no column '{IMAGE_URL}'; they have {table.columns}.",
            "Prepare the dataset from a table of items with addresses of pictures.",
        )
    if table.schema[IMAGE_URL] != pl.String and table[IMAGE_URL].count():
        raise DataError(
            f"Column '{IMAGE_URL}' of the items holds {table.schema[IMAGE_URL]}; expected text.",
            "Keep one address an item.",
        )
    address = pl.col(IMAGE_URL).cast(pl.String).str.strip_chars()
    return table.select(ITEM_ID, IMAGE, address).filter(address != "")

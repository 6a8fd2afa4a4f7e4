"""The names of fetched pictures: the item's id, made safe, and a suffix by content."""

import hashlib
from collections import defaultdict
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import polars as pl

from vlmrec.core.columns import IMAGE, ITEM_ID
from vlmrec.core.files import atomic_file
from vlmrec.data.images import Picture

IMAGES = "images"
_LONGEST = 150
"""Characters of a name before its suffix; file systems end at 255 bytes."""
_KEPT = 60
_SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "JPEG2000": ".jp2",
    "PPM": ".ppm",
    "ICO": ".ico",
}


def suffix_of(picture: Picture) -> str:
    """Returns the suffix for a picture of this format, whatever its address ended in."""
    return _SUFFIXES[picture.format]


def file_stems(table: pl.DataFrame) -> dict[str, str]:
    """Returns for each item id the name, without suffix, that its picture's file gets.

    Ids are quoted as in addresses. One that is too long, that differs from another only in case,
    or whose name is that of another item's picture, gets a hash of the id behind it.

    Args:
        table: The catalogue's table, with ``item_id`` and ``image``.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for item_id, image in table.select(ITEM_ID, IMAGE).iter_rows():
        owners[_quoted(item_id).casefold()].add(item_id)
        if image is not None and PurePosixPath(image).parent.name == IMAGES:
            owners[_stem(PurePosixPath(image).name).casefold()].add(item_id)
    return {
        item_id: _unmistakable(item_id, owners[_quoted(item_id).casefold()] == {item_id})
        for item_id in table[ITEM_ID]
    }


def _unmistakable(item_id: str, alone: bool) -> str:
    name = _quoted(item_id)
    if alone and len(name) <= _LONGEST:
        return name
    return f"{name[:_KEPT]}~{hashlib.blake2b(item_id.encode(), digest_size=8).hexdigest()}"


def _quoted(item_id: str) -> str:
    if item_id.isascii() and item_id.isalnum():  # nearly always, and quoting is slow
        return item_id
    name = quote(item_id, safe="").replace("~", "%7E")
    return "%2E" + name[1:] if name.startswith(".") else name


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


class PictureFolder:
    """The folder ``images`` of a dataset folder, and what was in it when this was made.

    Args:
        dataset: The dataset folder.
    """

    def __init__(self, dataset: Path) -> None:
        self._folder = dataset / IMAGES
        self._sizes: dict[str, int] = {}
        self._names: dict[str, str] = {}
        if self._folder.is_dir():
            for path in sorted(self._folder.iterdir(), reverse=True):
                if path.suffix in _SUFFIXES.values() and path.is_file():
                    self._names[_stem(path.name)] = path.name
                    self._sizes[path.name] = path.stat().st_size

    def find(self, stem: str) -> tuple[str, int] | None:
        """Returns the path, relative to the dataset folder, and size of the file with a stem."""
        name = self._names.get(stem)
        return None if name is None else (f"{IMAGES}/{name}", self._sizes[name])

    def store(self, stem: str, suffix: str, data: bytes) -> str:
        """Writes a picture, whole or not at all, and returns its path as `find` does.

        Raises:
            DataError: The folder is read-only or the disk is full.
        """
        name, before = stem + suffix, self._names.get(stem)
        with atomic_file(self._folder / name) as temporary:
            temporary.write_bytes(data)
        if before is not None and before != name:
            (self._folder / before).unlink(missing_ok=True)  # the same item's, of another format
        self._names[stem], self._sizes[name] = name, len(data)
        return f"{IMAGES}/{name}"

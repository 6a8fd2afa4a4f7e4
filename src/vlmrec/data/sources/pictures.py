"""Which picture belongs to which item, and which of them cannot be opened."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.columns import IMAGE, IMAGE_URL, ITEM_ID
from vlmrec.core.errors import DataError
from vlmrec.data.catalog import PICTURE_SUFFIXES, match_pictures
from vlmrec.data.notes import Note, amount, some


@dataclass(frozen=True, eq=False)
class Pictures:
    """Items with their pictures.

    Attributes:
        items: The items table; ``image`` is a path relative to `root`, or null.
        root: The folder of the pictures, or None where there are none.
        notes: What was found and what was not.
    """

    items: pl.DataFrame
    root: Path | None
    notes: tuple[Note, ...]


def attach_pictures(items: pl.DataFrame, folder: Path | None, beside: Path | None) -> Pictures:
    """Returns the items with the pictures that exist and can be opened.

    An ``image`` column with paths wins over a file named ``<item_id>.<suffix>``. Only the
    header of a picture is read here.

    Args:
        items: The items table; every item that may have a picture has a row.
        folder: Where the pictures are, or None.
        beside: The folder of the items file, tried for paths when `folder` is None.

    Raises:
        DataError: `folder` does not exist or holds no picture.
    """
    notes: list[Note] = []
    if folder is not None:
        _check_folder(folder)
    items = items.with_columns(_paths_and_urls(items, notes))
    if items[IMAGE].null_count() < items.height or folder is not None:
        root = folder if folder is not None else beside
    else:
        root = None
    if root is None:
        return Pictures(items, None, tuple(notes))
    items = _relative(items, root, notes)
    if folder is not None:
        items = match_pictures(items, folder)
        notes.extend(_say_unused(items, folder))
    items = _openable(items, root, notes)
    n_found = items.height - items[IMAGE].null_count()
    notes.append(
        Note("took", n_found, f"{amount(n_found, 'picture')} for {amount(items.height, 'item')}.")
    )
    return Pictures(items, root if n_found else None, tuple(notes))


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file; a folder was expected" if folder.exists() else "does not exist"
        raise DataError(f"The image folder '{folder}' {what}.", "Correct --images.")
    if next((p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES), None) is None:
        raise DataError(
            f"The image folder '{folder}' holds no picture.",
            f"Pictures end in {', '.join(PICTURE_SUFFIXES)}.",
        )


def _paths_and_urls(items: pl.DataFrame, notes: list[Note]) -> list[pl.Series]:
    """Returns the column of paths, and where there are addresses in it the column of those."""
    nothing = pl.Series(IMAGE, [None], dtype=pl.String).new_from_index(0, items.height)
    if IMAGE not in items.columns:
        return [nothing]
    column = items[IMAGE]
    if isinstance(column.dtype, pl.List):
        column = column.list.first()
    if column.dtype != pl.String:
        count = len(column) - column.null_count()
        if count:
            sentence = f"{amount(count, 'image entry', 'image entries')} that are no paths."
            notes.append(Note("dropped", count, sentence))
        return [nothing]
    text = column.str.strip_chars()
    is_url = text.str.contains(r"^[a-zA-Z][a-zA-Z0-9+.-]+://").fill_null(value=False)
    frame = pl.DataFrame({"text": text, "is_url": is_url})
    path = pl.when(~pl.col("is_url") & (pl.col("text") != "")).then("text").alias(IMAGE)
    if not is_url.any():
        return [frame.select(path).to_series()]
    known = pl.lit(None) if IMAGE_URL not in items.columns else items[IMAGE_URL]
    url = pl.when("is_url").then("text").otherwise(known).alias(IMAGE_URL)
    sentence = (
        f"{amount(int(is_url.sum()), 'image URL')} in column '{IMAGE_URL}': nothing is downloaded "
        "here, vlmrec fetch-images does that."
    )
    notes.append(Note("kept", int(is_url.sum()), sentence))
    return list(frame.select(path, url))


def _relative(items: pl.DataFrame, root: Path, notes: list[Note]) -> pl.DataFrame:
    """Makes paths relative to the root; forgets those where nothing is."""
    found: list[str | None] = []
    missing: list[str] = []
    for name in items[IMAGE]:
        place = None if name is None else _inside(name, root)
        if name is not None and place is None:
            missing.append(name)
        found.append(place)
    if missing:
        sentence = (
            f"{amount(len(missing), 'image path')} without a file in '{root.name}': "
            f"{some(missing)}."
        )
        notes.append(Note("dropped", len(missing), sentence))
    return items.with_columns(pl.Series(IMAGE, found, dtype=pl.String))


def _inside(name: str, root: Path) -> str | None:
    """Returns the path of a picture relative to `root`; it must not lead out of it."""
    top = os.path.abspath(root)
    for candidate in (name, *_without_first_folder(name, root)):
        path = Path(os.path.normpath(os.path.join(top, candidate)))  # links may lead elsewhere
        if path.is_relative_to(top) and _is_file(path):
            return path.relative_to(top).as_posix()
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no file has such a name; a picture itself in place of its path is too long
        return False


def _without_first_folder(name: str, root: Path) -> Iterator[str]:
    first, slash, rest = name.replace("\\", "/").partition("/")
    if slash and first == root.name:
        yield rest


def _openable(items: pl.DataFrame, root: Path, notes: list[Note]) -> pl.DataFrame:
    broken = [
        (item, name)
        for item, name in items.select(ITEM_ID, IMAGE).drop_nulls().iter_rows()
        if not has_picture_header(root / name)
    ]
    if not broken:
        return items
    names = [name for _, name in broken]
    sentence = f"{amount(len(broken), 'picture')} that cannot be opened: {some(names)}."
    notes.append(Note("dropped", len(broken), sentence))
    gone = pl.col(ITEM_ID).is_in([item for item, _ in broken])
    return items.with_columns(pl.when(~gone).then(IMAGE).alias(IMAGE))


def has_picture_header(path: Path) -> bool:
    """Returns whether a file starts like a picture that can be decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size is judged where pixels are decoded
            with Image.open(path):
                return True
    except Image.DecompressionBombError:
        return True
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return False


def _say_unused(items: pl.DataFrame, folder: Path) -> Iterator[Note]:
    used = set(items[IMAGE].drop_nulls())
    names = (p.name for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    unused = sorted(name for name in names if name not in used)
    if unused:
        yield Note(
            "kept" if not used else "dropped",
            len(unused),
            f"{amount(len(unused), 'picture')} in '{folder.name}' of no known item: "
            f"{some(unused)}.",
        )

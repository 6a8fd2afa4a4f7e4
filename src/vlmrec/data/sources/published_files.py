"""The files of a published dataset in what people have: its folder, the one above, its .zip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.archives import archived_files, unpack
from vlmrec.data.sources.reading import check_is_file
from vlmrec.data.sources.source_table import SourceTable


@dataclass(frozen=True)
class PublishedFiles:
    """What was found of a dataset.

    Attributes:
        files: What was looked for and is there, by name.
        others: Names of the files beside them.
    """

    files: dict[str, Path]
    others: tuple[str, ...]


def find_published(
    path: Path, wanted: frozenset[str], scratch: Path, expected: str
) -> PublishedFiles:
    """Returns the files with known names in a folder, in a folder inside it, or in a .zip.

    Args:
        path: The folder or the archive.
        wanted: The names.
        scratch: Where files out of an archive are written; must outlive them.
        expected: The names in words, for the message.

    Raises:
        DataError: There is none of them, or they lie in several folders.
    """
    is_archive = path.is_file() and path.suffix.lower() == ".zip"
    if is_archive:
        inside = archived_files(path)
    else:
        inside = [PurePosixPath(each.relative_to(path)) for each in files_below(path)]
    homes = {each.parent for each in inside if each.name in wanted}
    if PurePosixPath() in homes:
        homes = {PurePosixPath()}
    if not homes:
        raise files_missing(path, [str(each) for each in inside], expected)
    if len(homes) > 1:
        raise DataError(
            f"'{path}' holds several datasets, in {some(sorted(map(str, homes)), most=8)}.",
            "Name the folder of one.",
        )
    home = homes.pop()
    beside = sorted(each for each in inside if each.parent == home)
    files = {
        each.name: unpack(path, each, scratch) if is_archive else path / each
        for each in beside
        if each.name in wanted
    }
    return PublishedFiles(files, tuple(each.name for each in beside if each.name not in wanted))


def files_below(folder: Path) -> list[Path]:
    """Returns the files in a folder and, behind them, those in the folders inside it.

    Folders of pictures are not entered; what is hidden is not listed.

    Raises:
        DataError: It is no folder.
    """
    if not folder.exists():
        check_is_file(folder)
    if not folder.is_dir():
        raise DataError(
            f"'{folder}' is a file; the folder of the dataset was expected.",
            f"Give its folder: '{folder.parent}'.",
        )
    shown = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    files = [each for each in shown if each.is_file()]
    for inner in (each for each in shown if each.is_dir() and not is_cover_folder(each)):
        below = sorted(inner.iterdir())
        files += [each for each in below if each.is_file() and not each.name.startswith(".")]
    return files


def is_cover_folder(folder: Path) -> bool:
    """Returns whether a folder is named as one of pictures."""
    name = folder.name.lower()
    return name in ("images", "cover", "covers") or name.endswith(("_cover", "_covers"))


def find_covers(folder: Path) -> Path | None:
    """Returns the folder of pictures inside a folder, or None.

    Raises:
        DataError: There are several.
    """
    found = sorted(each for each in folder.iterdir() if each.is_dir() and is_cover_folder(each))
    return only_one(found, folder, "folders of pictures", "Name one with --images.")


def only_one(found: Sequence[Path], folder: Path, what: str, fix: str) -> Path | None:
    """Returns the only one of the paths, or None where there is none.

    Raises:
        DataError: There are several.
    """
    if len(found) > 1:
        names = some([str(each.relative_to(folder)) for each in found], most=8)
        raise DataError(f"'{folder}' holds {len(found)} {what}: {names}.", fix)
    return found[0] if found else None


def files_missing(path: Path, found: Sequence[str], expected: str) -> DataError:
    """Returns the error for a folder or archive without the files of a dataset."""
    listing = some(found, most=8) if found else "no files"
    return DataError(
        f"'{path}' holds {listing}; expected were {expected}.",
        "Give the folder as it was published; tables of another form are read by "
        "vlmrec prepare files.",
    )


def check_columns(table: SourceTable, expected: Sequence[str]) -> None:
    """Raises DataError where a table lacks a column that its file has as published."""
    missing = [name for name in expected if name not in table.columns]
    if missing or not table.has_header:
        found = ", ".join(table.columns) if table.has_header else "no header"
        raise DataError(
            f"'{table.path}' has {found}; expected was a header with {', '.join(expected)}.",
            "Give the file as it was published; tables of another form are read by "
            "vlmrec prepare files.",
        )


def say_unread(names: Sequence[str]) -> list[Note]:
    """Returns the note about files that are not read."""
    if not names:
        return []
    sentence = f"{amount(len(names), 'file')} of the dataset not read: {some(names, most=8)}."
    return [Note("dropped", len(names), sentence)]

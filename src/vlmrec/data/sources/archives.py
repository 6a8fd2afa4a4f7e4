"""Downloaded .zip archives: which files they hold, and some of them written to a folder."""

import contextlib
import shutil
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path, PurePosixPath

from vlmrec.core.errors import DataError

# What zipfile raises of a file and not of a program: no archive or a wrong checksum; broken or
# cut off data; a method of compression it lacks; a password; a name or an offset out of range.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def archived_files(path: Path) -> list[PurePosixPath]:
    """Returns the paths of the files in an archive.

    Raises:
        DataError: It is damaged or no .zip, or holds a path that leads out of it.
    """
    with _opened(path) as archive:
        names = [each.filename for each in archive.infolist() if not each.is_dir()]
    for name in names:
        inside = _inside(name)
        if inside.is_absolute() or ".." in inside.parts or ":" in "".join(inside.parts[:1]):
            raise DataError(
                f"'{path}' holds the path '{name}', which leads out of the archive.",
                "Fetch it again from where it was published.",
            )
    return list(map(_inside, names))


def unpack(path: Path, member: PurePosixPath, folder: Path) -> Path:
    """Returns a file of an archive, written into `folder` under its bare name.

    Raises:
        DataError: The archive is damaged or needs a password.
    """
    target = folder / member.name
    with (
        _opened(path) as archive,
        archive.open(_entry(archive, member)) as source,
        target.open("wb") as out,
    ):
        shutil.copyfileobj(source, out, 1 << 20)
    return target


def _inside(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _entry(archive: zipfile.ZipFile, member: PurePosixPath) -> zipfile.ZipInfo:
    return next(each for each in archive.infolist() if _inside(each.filename) == member)


@contextlib.contextmanager
def _opened(path: Path) -> Generator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        raise DataError(
            f"'{path}' cannot be unpacked as a .zip archive: {error}.",
            "Fetch it again, or unpack it yourself and give the folder.",
        ) from None

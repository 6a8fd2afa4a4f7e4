"""Writing that is all or nothing: a killed process leaves the old file or the new one."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn, cast

from vlmrec.core.errors import ArtifactError, DataError


@contextlib.contextmanager
def atomic_file(path: Path) -> Generator[Path]:
    """Yields a temporary path beside `path`; it becomes `path` when the block ends well.

    Raises:
        DataError: The folder is read-only or the disk is full; nothing half-written stays.
    """
    temporary = path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _flush_to_disk(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        explain_os_error(error, path)
    finally:
        if temporary != path:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Generator[Path]:
    """Yields a temporary folder beside `path`; it becomes `path` when the block ends well.

    Args:
        path: The folder to make.
        overwrite: Replace a folder that is already there (in the last moment).

    Raises:
        DataError: `path` exists and `overwrite` is off, its parent is read-only, or the disk
            is full; nothing half-written stays.
    """
    refuse_existing(path, overwrite=overwrite)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            path.replace(old / path.name)
            temporary.replace(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
        temporary = None
    except OSError as error:
        explain_os_error(error, path)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raises DataError where `path` is taken and must not be replaced."""
    if path.exists() and not path.is_dir():
        raise DataError(
            f"The output '{path}' exists and is a file; a folder was expected.",
            "Choose another folder.",
        )
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise DataError(
            f"The output folder '{path}' exists and is not empty.",
            "Choose another folder, or replace it with --overwrite.",
        )


def explain_os_error(error: OSError, path: Path) -> NoReturn:
    """Raises DataError for what a user can mend (permissions, full disk), else `error` itself."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise DataError(
            f"Cannot write '{path}': the folder is read-only.", "Choose another --out."
        ) from None
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise DataError(
            f"Cannot write '{path}': the disk is full. Nothing half-written was kept.",
            "Free some space, or choose another --out.",
        ) from None
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        raise DataError(
            f"Cannot write '{path}': a part of that path is a file, a folder was expected.",
            "Choose another --out.",
        ) from None
    raise error


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    with atomic_file(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json_object(path: Path) -> dict[str, Any]:
    """Returns the JSON object in `path`.

    Raises:
        ArtifactError: The file is missing, damaged, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"'{path}' cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ArtifactError(f"'{path}' is damaged: it is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"'{path}' is damaged: it holds no JSON object.")
    return cast("dict[str, Any]", value)


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())

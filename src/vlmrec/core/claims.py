"""One process at a time works on a folder; a killed one gives up its claim by itself."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from vlmrec.core.errors import DataError
from vlmrec.core.files import explain_os_error


class BusyError(DataError):
    """Another process is working on the folder."""


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Keeps other processes from claiming the same folder, until the block ends.

    The claim is a lock on a hidden file beside the folder. The system lets go of it when the
    process ends, however it ends; on file systems without such locks nothing is kept out.

    Args:
        folder: To work on; need not exist yet.

    Raises:
        BusyError: Another process has claimed it.
        DataError: The file beside the folder cannot be written.
    """
    beside = _beside(folder)
    file = _locked(beside, folder)
    try:
        yield
    finally:
        beside.unlink(missing_ok=True)  # before others can lock it, see `_locked`
        os.close(file)


def is_claimed(folder: Path) -> bool:
    """Returns whether another process is working on the folder at this moment."""
    beside = _beside(folder)
    if not beside.exists():
        return False
    try:
        with claimed(folder):
            return False
    except BusyError:
        return True


def _beside(folder: Path) -> Path:
    return folder.absolute().parent / f".{folder.name}.claim"


def _locked(beside: Path, folder: Path) -> int:
    """Returns an open file that is locked by us and stands at its path."""
    while True:
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            explain_os_error(error, folder)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise BusyError(
                f"Another process is working on '{folder}'.",
                "Wait until it has ended, or choose another folder.",
            ) from None
        except OSError:  # a file system without locks
            return file
        # Between opening and locking, its former owner may have removed it.
        if beside.exists() and os.path.samestat(os.fstat(file), beside.stat()):
            return file
        os.close(file)

"""The file that remembers a tuning: an Optuna journal, whole again after a kill."""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import explain_os_error

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


@contextlib.contextmanager
def open_study_file(path: Path) -> "Generator[BaseStorage]":
    """Yields the studies in a file, made where there is none; Optuna is silent meanwhile.

    Raises:
        ArtifactError: The file is damaged.
        DataError: The folder is read-only or the disk is full.
    """
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # it would write a line for every trial
    try:
        yield _opened(path)
    finally:
        logging.set_verbosity(before)


def _opened(path: Path) -> "BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(path)
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError as error:
        explain_os_error(error, path)
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(
            f"'{path}' is damaged: it is no journal of a tuning.",
            "Move it away: the trials are found again in their folders where they were finished.",
        ) from None


def _drop_torn_line(path: Path) -> None:
    """Removes what a kill left of a line that was being written; it would end all reading."""
    if path.is_file():
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            with path.open("rb+") as file:
                file.truncate(whole)

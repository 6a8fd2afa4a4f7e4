"""The folder of a run while it is being trained: opened, continued, replaced or refused."""

import shutil
from pathlib import Path
from typing import Any

from vlmrec.bundle import is_complete
from vlmrec.core.errors import DataError
from vlmrec.core.files import explain_os_error, read_json_object, write_json

_CONFIG = "config.json"


def refuse_finished(folder: Path, *, overwrite: bool) -> None:
    """Raises DataError where a finished run would be lost."""
    if is_complete(folder) and not overwrite:
        raise DataError(
            f"The output folder '{folder}' holds a finished run.",
            "Choose another --out, or replace it with --overwrite.",
        )


def open_folder(folder: Path, config: dict[str, Any], *, overwrite: bool) -> None:
    """Makes the run folder, or checks that what is in it may be continued or replaced.

    Args:
        folder: Of the run.
        config: What was asked for; its ``hash`` must be that of the run to be continued.
        overwrite: Replace what is there.

    Raises:
        DataError: It is taken by something else, read-only, or the disk is full.
    """
    refuse_finished(folder, overwrite=overwrite)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"The output '{folder}' is a file; a folder was expected.")
    ours = (folder / _CONFIG).is_file()
    if folder.is_dir() and any(folder.iterdir()):
        if not ours:
            raise DataError(
                f"The output folder '{folder}' exists and holds something else than a run.",
                "Choose another --out.",
            )
        if overwrite:
            shutil.rmtree(folder)
        elif read_json_object(folder / _CONFIG).get("hash") != config["hash"]:
            raise DataError(
                f"The output folder '{folder}' holds an unfinished run of another model, "
                "dataset or configuration.",
                "Choose another --out, or replace it with --overwrite.",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        explain_os_error(error, folder)
    write_json(folder / _CONFIG, config)

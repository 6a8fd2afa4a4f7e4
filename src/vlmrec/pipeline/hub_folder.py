"""A run as a folder laid out like a repository of a model hub; it is a run folder as well.

What tells of people stays behind: who was tested and how (`ABOUT_PEOPLE`), the report, logs, what
a model learned of each single user, and where folders lie on the machine of the training.
"""

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch

from vlmrec.bundle import ABOUT_PEOPLE, HASHES, RUN, read_bundle
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file, explain_os_error, read_json_object, sha256_of, write_json
from vlmrec.core.tensor_files import load_tensors, save_tensors
from vlmrec.pipeline.model_card import model_card

CONFIG, CARD = "config.json", "README.md"
LIBRARY, FORMAT = "vlmrec", 1
_WEIGHTS = "model.safetensors"
_OF_EACH_USER = "users.factors.weight"
"""Where the weights of a model hold a row for each user of the training."""


@dataclass(frozen=True)
class Pushed:
    """What was shared of a run.

    Attributes:
        files: Names relative to the folder.
        left_out: What of the run's files and weights stayed behind.
    """

    files: tuple[str, ...]
    left_out: tuple[str, ...]


def write_hub_folder(run: Path, target: Path) -> Pushed:
    """Writes what may be shared of a run.

    Args:
        run: Run folder.
        target: Folder that exists and is empty.

    Raises:
        ArtifactError: The run folder holds no finished run, or a file is damaged.
        DataError: The disk is full, or the folder read-only.
    """
    read_bundle(run)  # checks every file
    listed = [*read_json_object(run / RUN)[HASHES], RUN]
    kept = sorted(name for name in listed if Path(name).name not in ABOUT_PEOPLE)
    left_out = sorted(set(listed) - set(kept))
    left_out += [name for name in ("report.html", "metrics.jsonl") if (run / name).is_file()]
    _copy(run, target, kept)
    for name in kept:
        if Path(name).name == _WEIGHTS and _forget_users(target / name):
            left_out.append(f"the rows of single users in {name}")
    # The innermost first: runs that hold others list the hashes of their records.
    records = [name for name in kept if Path(name).name == RUN]
    for name in sorted(records, key=lambda one: -len(Path(one).parts)):
        _rewrite_record((target / name).parent)
    info = read_json_object(target / RUN)
    config = {
        "library_name": LIBRARY,
        "model_type": info["model"],
        "format": FORMAT,
        "vlmrec_version": version("vlmrec"),
        "spec": info["spec"],
        "shape": info["shape"],
        "hash": info["hash"],
        HASHES: {name: sha256_of(target / name) for name in kept},
    }
    write_json(target / CONFIG, config)
    with atomic_file(target / CARD) as temporary:
        temporary.write_text(model_card(info, left_out), encoding="utf-8")
    return Pushed((CARD, CONFIG, *kept), tuple(left_out))


def read_hub_folder(source: Path, target: Path) -> None:
    """Copies a run out of a folder that `write_hub_folder` wrote; files of others stay behind.

    Args:
        source: The folder.
        target: Folder that exists and is empty.

    Raises:
        ArtifactError: It is no such folder, a file is missing, damaged, or not within it.
        DataError: The disk is full, or the target read-only.
    """
    config = _config_of(source)
    hashes = cast("dict[str, str]", config[HASHES])
    for name in hashes:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ArtifactError(
                f"'{source / CONFIG}' names '{name}', a file outside of its folder.",
                "Do not use it.",
            )
    _copy(source, target, [CONFIG, *hashes])
    if (source / CARD).is_file():
        _copy(source, target, [CARD])
    for name, digest in hashes.items():
        if sha256_of(target / name) != digest:
            raise ArtifactError(
                f"'{source / name}' is damaged: its SHA-256 is not the one in '{CONFIG}'.",
                "Pull it again, or ask for it to be pushed again.",
            )


def _config_of(source: Path) -> dict[str, Any]:
    if not source.is_dir():
        raise ArtifactError(
            f"There is no folder '{source}'.",
            "Name one that vlmrec push wrote, or a repository of the hub: hf://OWNER/NAME",
        )
    if not (source / CONFIG).is_file():
        raise ArtifactError(
            f"'{source}' is no run that was pushed: it has no '{CONFIG}'.",
            "Push one with: vlmrec push RUN TARGET",
        )
    config = read_json_object(source / CONFIG)
    library = config.get("library_name")
    if library != LIBRARY or not isinstance(config.get(HASHES), dict):
        raise ArtifactError(
            f"'{source / CONFIG}' is of the library '{library or 'unknown'}'; expected a run that "
            "vlmrec pushed.",
            "A run folder needs no pull: it can be used as it is.",
        )
    if config.get("format") != FORMAT:
        raise ArtifactError(
            f"'{source}' was pushed in the format {config.get('format')}; this version reads "
            f"{FORMAT}.",
            "Install a newer vlmrec.",
        )
    return config


def _copy(source: Path, target: Path, names: list[str]) -> None:
    for name in names:
        if not (source / name).is_file():
            raise ArtifactError(
                f"'{source / name}' is missing.",
                "Pull it again, or ask for it to be pushed again.",
            )
        try:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
        except OSError as error:
            explain_os_error(error, target / name)


def _forget_users(path: Path) -> bool:
    """Sets the vectors of all single users to zero, as if none was known; returns if any were."""
    weights = load_tensors(path)
    if _OF_EACH_USER not in weights:
        return False
    save_tensors(path, {**weights, _OF_EACH_USER: torch.zeros_like(weights[_OF_EACH_USER])})
    return True


def _rewrite_record(folder: Path) -> None:
    """Makes the record of a run fit what is left of it."""
    record = read_json_object(folder / RUN)
    left = [name for name in record.pop(HASHES) if (folder / name).is_file()]
    record = cast("dict[str, Any]", _without_folders(record))
    for lesson in record.get("taught", {}).values():
        lesson["answers"] = []  # they show pieces of histories
    write_json(folder / RUN, {**record, HASHES: {name: sha256_of(folder / name) for name in left}})


def _without_folders(value: object) -> object:
    """Returns a JSON value in which of absolute paths only their last part is left."""
    if isinstance(value, dict):
        known = cast("dict[str, object]", value)
        return {name: _without_folders(one) for name, one in known.items()}
    if isinstance(value, list):
        return [_without_folders(one) for one in cast("list[object]", value)]
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value

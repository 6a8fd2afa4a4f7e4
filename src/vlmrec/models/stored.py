"""A trained model from its run folder, for whoever goes on with it."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from vlmrec.bundle import RUN, is_complete, read_bundle, run_identity
from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.files import atomic_folder
from vlmrec.core.protocols import PersonalRanker, Ranker
from vlmrec.core.tensors import latest
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender, Stage


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What a run folder holds, as objects.

    Attributes:
        spec: The model's specification.
        model: With its trained weights, on the CPU.
        item_vectors: ``[I + 1, D]`` in model space, or None.
        items: One row an item in internal order.
        info: What ``run.json`` holds.
        ranks: One row a test case, or None.
        warm_ranks: One row a case about an item that training saw, where test cases are about
            others; else None.
        late: Frozen content of items that came or changed after training.
    """

    spec: ModelSpec
    model: Recommender
    item_vectors: Tensor | None
    items: pl.DataFrame
    info: dict[str, Any]
    ranks: pl.DataFrame | None
    warm_ranks: pl.DataFrame | None = None
    late: dict[str, Tensor] = field(default_factory=dict)

    def ranker(self) -> Ranker:
        """Returns a frozen view for ranking."""
        return self.model.ranker(self.item_vectors)


def load_model(folder: Path) -> StoredModel:
    """Returns the model in a run folder; needs nothing else of the project's data.

    Raises:
        ArtifactError: The folder holds no finished run, or a file is damaged.
    """
    from vlmrec.models import model_class  # here, because models also build on stored ones

    bundle = read_bundle(folder)
    if not {"model", "spec", "shape"} <= bundle.info.keys():
        raise ArtifactError(
            f"'{folder / RUN}' is damaged: it does not say which model this is.",
            "Restore it from a copy, or train again.",
        )
    spec = model_class(str(bundle.info["model"])).parse(bundle.info["spec"], f"'{folder}'")
    model = spec.restore(CatalogShape.of(bundle.info["shape"]), folder)
    try:
        model.take_weights(bundle.weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ArtifactError(
            f"The weights in '{folder}' do not fit the model in its run.json: {reason}"
        ) from None
    model.eval()
    return StoredModel(
        spec,
        model,
        bundle.item_vectors,
        bundle.items,
        bundle.info,
        bundle.ranks,
        bundle.warm_ranks,
        bundle.late,
    )


def stage_identities(stages: Mapping[str, Stage]) -> dict[str, str]:
    """Returns what changes whenever an earlier stage was trained anew, by option.

    Raises:
        ArtifactError: A folder holds no finished run.
    """
    found: dict[str, str] = {}
    for option, stage in stages.items():
        if not is_complete(Path(stage.folder)):
            raise ArtifactError(
                f"Option '{option}' names '{stage.folder}', which holds no finished run.",
                f"Train one first (vlmrec train {(*stage.kinds, 'MODEL')[0]}), or name its folder.",
            )
        found[option] = run_identity(Path(stage.folder))
    return found


def load_stage(option: str, folder: str, kinds: tuple[str, ...]) -> StoredModel:
    """Returns the model of an earlier stage that another one builds on.

    Args:
        option: Which option named the folder, for messages.
        folder: Its run folder.
        kinds: Names of the models that will do; empty means any.

    Raises:
        ArtifactError: The folder holds no finished run, or a file is damaged.
        ConfigError: It is a run of another model.
    """
    stored = load_model(Path(folder))
    if kinds and stored.spec.name not in kinds:
        raise ConfigError(
            f"Option '{option}' names '{folder}', a run of '{stored.spec.name}'.",
            f"Name a run of {' or '.join(kinds)}.",
        )
    return stored


def require_same_split(option: str, folder: str, stored: StoredModel, fingerprint: str) -> None:
    """Raises ConfigError where an earlier stage may have learned from what is tested now.

    Args:
        option: Which option named the folder.
        folder: Its run folder.
        stored: What is in it.
        fingerprint: Of the split that the later stage is trained on.
    """
    found = stored.info["split"]["fingerprint"]
    if found != fingerprint:
        raise ConfigError(
            f"Option '{option}' names '{folder}', which was trained on another split "
            f"({stored.info['split']['name']}, fingerprint {found}; this one has {fingerprint}): "
            "what it learned from may be tested here.",
            "Train it on the same dataset with the same --split.",
        )


@torch.no_grad()
def scores_of(ranker: Ranker, histories: Tensor, users: Tensor) -> Tensor:
    """Returns a ranker's scores ``[B, I]`` of all items.

    Args:
        ranker: Reads its latest `max_len` items.
        histories: ``[B, T] int64``, right-padded.
        users: ``[B] int64``, for rankers that know users.
    """
    read = latest(histories, ranker.max_len).to(ranker.device)
    if isinstance(ranker, PersonalRanker):
        queries = ranker.encode_users(read, users.to(ranker.device))
    else:
        queries = ranker.encode(read)
    return ranker.score(queries, 1, ranker.n_items + 1)


def copy_run(run: str, folder: Path, place: str) -> list[str]:
    """Copies what ranks of a run folder into another one, which then stands alone.

    Args:
        run: The run folder to copy.
        folder: The run folder that builds on it.
        place: Where in it.

    Returns:
        The names of the copied files, relative to `folder`.

    Raises:
        ConfigError: A run would be copied onto itself.
    """
    target = folder / place
    if Path(run).resolve() == target.resolve():
        raise ConfigError(f"The run in '{folder}' cannot be a part of itself.")
    with atomic_folder(target, overwrite=True) as temporary:
        shutil.copytree(run, temporary, dirs_exist_ok=True, ignore=_what_ranks_not(run))
    return [str(one.relative_to(folder)) for one in target.rglob("*") if one.is_file()]


def _what_ranks_not(run: str) -> Callable[[str, list[str]], set[str]]:
    """Returns which files of a run folder need not be copied: logs, report, checkpoints."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        if Path(folder) != Path(run):
            return set()
        logs = ("report.html", "metrics.jsonl", "config.json", "checkpoint-", "events.")
        return {name for name in names if name.startswith(logs)}

    return ignored

"""Everything needed to go on after a kill: weights, optimiser, counters, best weights.

A checkpoint is a folder ``checkpoint-<step>`` of safetensors and JSON. It is written under
another name and renamed when complete, and older ones go only then; so at every moment there is
a whole one.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_folder, read_json_object, sha256_of, write_json
from vlmrec.core.tensor_files import load_tensors, save_tensors

_PREFIX = "checkpoint-"


class Progress(StrictConfig):
    """Where training stands; the next step to do is (`epoch`, `step`)."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    total_steps: int = 0
    """Steps done since the beginning."""
    best: float | None = None
    """Best value of the validation metric."""
    best_epoch: int = -1
    stale: int = 0
    """Validations since the best."""
    loss_total: float = 0.0
    """Loss summed over this epoch so far."""
    loss_count: int = 0
    """Positions that sum is over."""
    seconds: float = 0.0
    """Training time so far, over all sittings."""
    finished: bool = False
    """Nothing is left to train."""


class Checkpoints:
    """The checkpoints in one run folder.

    Args:
        folder: The run folder.
        config_hash: Changes with anything that would make continuing meaningless.
    """

    def __init__(self, folder: Path, config_hash: str) -> None:
        self.folder = folder
        self.config_hash = config_hash

    def latest(self) -> Path | None:
        """Returns the newest checkpoint, or None."""
        found = sorted(self.folder.glob(f"{_PREFIX}*"))
        return found[-1] if found else None

    def save(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        progress: Progress,
        best: dict[str, Tensor] | None,
    ) -> None:
        """Writes a checkpoint and removes those before it."""
        target = self.folder / f"{_PREFIX}{progress.total_steps:010d}-{progress.epoch:06d}"
        with atomic_folder(target, overwrite=True) as temporary:
            save_tensors(temporary / "model.safetensors", dict(_learning(model)))
            save_tensors(temporary / "optimizer.safetensors", _optimizer_tensors(optimizer))
            if best is not None:
                save_tensors(temporary / "best.safetensors", best)
            hashes = {path.name: sha256_of(path) for path in temporary.glob("*.safetensors")}
            state = {
                "config_hash": self.config_hash,
                "progress": progress.model_dump(),
                "sha256": hashes,
            }
            write_json(temporary / "state.json", state)
        self._remove(keep=target)

    def restore(
        self, model: nn.Module, optimizer: Optimizer
    ) -> tuple[Progress, dict[str, Tensor] | None]:
        """Loads the newest checkpoint into model and optimiser, if there is one.

        Raises:
            ArtifactError: It is damaged, or belongs to another configuration.
        """
        path = self.latest()
        if path is None:
            return Progress(), None
        state = read_json_object(path / "state.json")
        if state.get("config_hash") != self.config_hash:
            raise ArtifactError(
                f"'{self.folder}' holds a run of another model, dataset or configuration.",
                "Choose another --out, or start over with --overwrite.",
            )
        if not {"sha256", "progress"} <= state.keys():
            raise ArtifactError(
                f"'{path / 'state.json'}' is damaged: it does not say where training stood.",
                "Remove the checkpoint folder to train from the start.",
            )
        tensors = {name: _verified(path / name, digest) for name, digest in state["sha256"].items()}
        _load_parameters(model, tensors["model.safetensors"])
        _load_optimizer(optimizer, tensors["optimizer.safetensors"])
        progress = Progress.parse(state["progress"], f"'{path}'")
        return progress, tensors.get("best.safetensors")

    def clear(self) -> None:
        """Removes all checkpoints: the run is finished and its weights stand in the run folder."""
        self._remove(keep=None)

    def _remove(self, keep: Path | None) -> None:
        # Hidden folders are what a kill left of a checkpoint that was being written.
        for pattern in (f"{_PREFIX}*", f".{_PREFIX}*"):
            for path in self.folder.glob(pattern):
                if path != keep:
                    shutil.rmtree(path)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """Returns copies of all parameters that learn; frozen ones are as they were loaded."""
    return {name: weight.detach().clone() for name, weight in _learning(model)}


def restore_parameters(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copies weights into the parameters of the same names."""
    _load_parameters(model, weights)


def _learning(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields the parameters that learn: of a large frozen model a checkpoint holds little.

    Buffers that training changes count among them; a module names its own in
    ``changing_buffers``.
    """
    for name, one in model.named_parameters():
        if one.requires_grad:
            yield name, one
    for prefix, module in model.named_modules():
        for name in getattr(module, "changing_buffers", ()):
            yield f"{prefix}.{name}" if prefix else name, module.get_buffer(name)


def _verified(path: Path, digest: str) -> dict[str, Tensor]:
    if not path.is_file() or sha256_of(path) != digest:
        raise ArtifactError(
            f"The checkpoint file '{path}' is missing or damaged: its SHA-256 is not the one "
            "that was written.",
            "Remove the checkpoint folder to train from the start.",
        )
    return load_tensors(path)


def _load_parameters(model: nn.Module, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in _learning(model):
            parameter.copy_(weights[name])


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
    }


def _load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})

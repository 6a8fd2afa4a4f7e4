"""Where a checkpoint comes from, and what to tell whoever cannot get it."""

import contextlib
import hashlib
import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from vlmrec.core.errors import ArtifactError, ConfigError, MissingExtraError

LOAD_ERRORS = (OSError, ValueError, LookupError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises for checkpoints that are absent, incomplete, damaged or unknown."""


@dataclass(frozen=True)
class CheckpointSource:
    """A local folder, or a model of the Hugging Face hub at an optional revision.

    Attributes:
        location: Folder path or hub id.
        revision: Branch, tag or commit of the hub; None is the main branch.
        is_folder: Whether `location` is a folder on this machine.
    """

    location: str
    revision: str | None
    is_folder: bool

    @classmethod
    def parse(cls, name: str) -> "CheckpointSource":
        """Returns what a name as typed by a user means: FOLDER, ID or ID@REVISION.

        Raises:
            ArtifactError: The name can only be a folder, and there is none.
            ConfigError: The name is empty.
        """
        if not name.strip():
            raise ConfigError("The name of the encoder is empty.", "Give 'compact' or a folder.")
        folder = Path(name).expanduser()
        if folder.is_dir():
            return cls(str(folder), None, True)
        if folder.exists():
            raise ArtifactError(
                f"The encoder '{name}' is a file; a checkpoint folder was expected.",
                f"Give the folder that holds it: {folder.parent}",
            )
        if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
            raise ArtifactError(
                f"The encoder '{name}' is neither 'compact' nor an existing folder nor a hub id "
                "of the form owner/model.",
                _PLACE_BY_HAND,
            )
        location, _, revision = name.partition("@")
        return cls(location, revision or None, False)

    @contextlib.contextmanager
    def explained(self) -> Generator[None]:
        """Turns a failed load inside the block into an ArtifactError with a way out."""
        try:
            with _quiet_transformers():
                yield
        except LOAD_ERRORS as error:
            raise ArtifactError(self._problem(error), self._fix()) from None

    def _problem(self, error: BaseException) -> str:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if self.is_folder:
            return f"The checkpoint in the folder '{self.location}' cannot be used: {reason}"
        revision = f" at revision '{self.revision}'" if self.revision else ""
        from huggingface_hub import constants

        online = "" if constants.HF_HUB_OFFLINE else f" and at {constants.ENDPOINT}"
        return (
            f"The checkpoint '{self.location}'{revision} is no folder here and cannot be had from "
            f"the hub; looked in its local cache '{constants.HF_HUB_CACHE}'{online}: {reason}"
        )

    def _fix(self) -> str:
        if self.is_folder:
            return f"It must hold {_FILES}. Weights in pickle files (.bin, .pth) are refused."
        offline = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE")
        note = "Offline mode is on (HF_HUB_OFFLINE). " if offline else ""
        return note + _PLACE_BY_HAND


_FILES = (
    "config.json, model.safetensors and, for texts, the tokenizer (tokenizer.json) or, for "
    "pictures, preprocessor_config.json"
)
_PLACE_BY_HAND = (
    f"Without a connection, copy {_FILES} into a folder and give that folder as the encoder, or "
    "use the packaged encoder 'compact'."
)


@dataclass(frozen=True, eq=False)
class FrozenBody:
    """A loaded model in float32, in evaluation mode, without gradients.

    Attributes:
        module: The model.
        weights_sha256: Hash of the weights that the checkpoint holds.
        complete: False where unused weights (a pooler) were absent and drawn at random.
    """

    module: nn.Module
    weights_sha256: str
    complete: bool


def require_transformers(purpose: str) -> None:
    """Raises MissingExtraError where transformers is not installed.

    Args:
        purpose: What needs it, as the start of a sentence.
    """
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtraError("transformers", "compact", purpose) from None


def load_frozen(source: CheckpointSource, unused: tuple[str, ...]) -> FrozenBody:
    """Returns the body of a checkpoint; only safetensors are read, none of its code is run.

    Args:
        source: Where the checkpoint is.
        unused: Name parts of weights that may be missing because they will not be used;
            any other missing weight would be drawn at random and is refused.

    Raises:
        ArtifactError: The checkpoint cannot be had or is incomplete.
    """
    from transformers import AutoModel

    with source.explained():
        model, report = AutoModel.from_pretrained(
            source.location,
            revision=source.revision,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        missing = frozenset(report["missing_keys"])
        absent = [k for k in missing if not any(part in k for part in unused)]
        if absent or report["mismatched_keys"]:
            names = sorted(absent) or sorted(str(key) for key in report["mismatched_keys"])
            raise ValueError(
                f"{len(names)} weights are missing or misshapen, the first is '{names[0]}'."
            )
    model.eval().requires_grad_(False)
    return FrozenBody(model, weights_sha256(model, without=missing), not missing)


def weights_sha256(model: nn.Module, without: frozenset[str] = frozenset()) -> str:
    """Returns a hash of parameters and buffers: equal weights, equal hash, any file format.

    Args:
        model: Any module.
        without: Names to leave out because they were drawn at random.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name in without:
            continue
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: Any) -> str:
    """Returns a hash of a tokenizer's vocabulary and rules."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        text = json.dumps(sorted(tokenizer.get_vocab().items()))
    else:
        # Padding and truncation are set anew at every call and must not change the identity.
        parts = json.loads(backend.to_str())
        text = json.dumps({k: v for k, v in parts.items() if k not in ("padding", "truncation")})
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def _quiet_transformers() -> Generator[None]:
    """Keeps loading bars and advice about unused heads off the terminal for a moment."""
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    retries = hub.get_verbosity()
    logging.set_verbosity_error()
    hub.set_verbosity_error()  # its retries; that it failed is told once, by us
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub.set_verbosity(retries)
        if bars:
            logging.enable_progress_bar()

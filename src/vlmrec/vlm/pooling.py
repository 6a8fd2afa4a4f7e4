"""From one vector per token to one vector per text, as a checkpoint's folder says."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.tensors import masked_mean

Pooling = Literal["mean", "cls", "max", "lasttoken"]
_LEGACY_KEYS: dict[str, str] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class TextRecipe:
    """How token vectors become a text vector.

    Attributes:
        pooling: Which tokens count.
        normalize: Whether the vector is scaled to length 1.
        max_length: Texts are cut to this many tokens; None is as long as the model allows.
    """

    pooling: Pooling = "mean"
    normalize: bool = False
    max_length: int | None = None


def read_recipe(folder: Path | None) -> TextRecipe:
    """Returns the recipe in a sentence-transformers folder, or the mean over tokens.

    Args:
        folder: A checkpoint folder; None, or one without ``modules.json``, gives the default.

    Raises:
        ConfigError: The folder asks for a step that is not built in.
        ArtifactError: A file of the folder is damaged.
    """
    modules = _read(folder, "modules.json") if folder is not None else None
    if folder is None or not isinstance(modules, list):
        return TextRecipe()
    steps = {
        str(module["type"]).rsplit(".", 1)[-1]: str(module["path"])
        for module in cast("list[dict[str, Any]]", modules)
    }
    unknown = set(steps) - {"Transformer", "Pooling", "Normalize"}
    if unknown:
        raise ConfigError(
            f"The checkpoint '{folder}' ends in the step '{min(unknown)}', which is not built in.",
            "Use a checkpoint with only Transformer, Pooling and Normalize.",
        )
    length = _read(folder, "sentence_bert_config.json") or {}
    return TextRecipe(
        _pooling(_read(folder, f"{steps.get('Pooling', '')}/config.json") or {}, folder),
        "Normalize" in steps,
        cast("dict[str, Any]", length).get("max_seq_length"),
    )


def pool(tokens: Tensor, mask: Tensor, recipe: TextRecipe) -> Tensor:
    """Returns one vector per text.

    Args:
        tokens: ``[B, L, D] float`` the last hidden states, right-padded.
        mask: ``[B, L] bool``, true on real tokens; every row has at least one.
        recipe: Pooling and normalisation.

    Returns:
        ``[B, D]``.
    """
    if recipe.pooling == "mean":
        vectors = masked_mean(tokens, mask)
    elif recipe.pooling == "cls":
        vectors = tokens[:, 0]
    elif recipe.pooling == "max":
        vectors = tokens.masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(dim=1)
    else:
        rows = torch.arange(len(tokens), device=tokens.device)
        vectors = tokens[rows, mask.sum(dim=1) - 1]
    return F.normalize(vectors, dim=-1) if recipe.normalize else vectors


def _pooling(config: dict[str, Any], folder: Path) -> Pooling:
    chosen = config.get("pooling_mode") or [
        mode for key, mode in _LEGACY_KEYS.items() if config.get(key)
    ]
    modes = [chosen] if isinstance(chosen, str) else list(chosen)
    active = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if not modes and not active:
        return "mean"
    if len(modes) != 1 or len(active) > 1 or modes[0] not in _LEGACY_KEYS.values():
        raise ConfigError(
            f"The checkpoint '{folder}' asks for the pooling {modes or active}.",
            f"Supported is one of: {', '.join(_LEGACY_KEYS.values())}.",
        )
    return cast("Pooling", modes[0])


def _read(folder: Path, name: str) -> Any:
    path = folder / name
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ArtifactError(f"'{path}' is damaged: it is not valid JSON.") from None

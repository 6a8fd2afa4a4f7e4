"""From one state per token to one vector per prompt."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.tensors import masked_mean
from vlmrec.vlm.families.base import PromptBatch

MEANS = ("mean", "mean-text", "mean-image")
"""Poolings over several places; besides them there is "last" and any special token's name."""


def read_out(
    states: Tensor, batch: PromptBatch, pooling: str, special: int | None, *, normalize: bool
) -> Tensor:
    """Returns one vector per prompt.

    Args:
        states: ``[B, T, D]`` last hidden states.
        batch: Which places are what.
        pooling: "last" (the last token), "mean" (all tokens), "mean-text" (all but pictures and
            their frames), "mean-image" (the places of pictures), or a special token's name.
        special: Its token id, where `pooling` names one.
        normalize: Whether vectors are scaled to length 1.

    Returns:
        ``[B, D] float32``.

    Raises:
        DataError: A prompt has no place of the wanted kind.
    """
    states = states.float()
    if pooling in MEANS:
        places = {"mean": batch.mask, "mean-text": batch.textual, "mean-image": batch.filled}
        chosen = places[pooling] & batch.prefix
        _require(chosen, pooling)
        vectors = masked_mean(states, chosen)
    else:
        wanted = batch.prefix if special is None else batch.prefix & (batch.ids == special)
        _require(wanted, pooling)
        steps = torch.arange(states.shape[1], device=states.device)
        last = torch.where(wanted, steps, -1).amax(dim=1)  # [B]
        vectors = states[torch.arange(len(states), device=states.device), last]
    return F.normalize(vectors, dim=-1) if normalize else vectors


def require_pooling(pooling: str, special: int | None) -> None:
    """Raises ConfigError where `pooling` names neither a way to pool nor a special token."""
    if special is None and pooling not in ("last", *MEANS):
        raise ConfigError(
            f"The pooling '{pooling}' is neither one of last, {', '.join(MEANS)} nor a special "
            "token of the model.",
            "Add the token with add_special_tokens first, or choose one of those.",
        )


def _require(places: Tensor, pooling: str) -> None:
    empty = (~places.any(dim=1)).nonzero()
    if len(empty):
        raise DataError(
            f"The pooling '{pooling}' finds no such place in {len(empty)} of {len(places)} "
            "prompts.",
            "Put one into every prompt, or choose another pooling.",
        )

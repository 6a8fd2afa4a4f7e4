"""Masked tensor operations: masked places are filled with -inf, never multiplied by zero."""

import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean over time of the true places.

    Args:
        values: ``[B, T, D] float``.
        mask: ``[B, T] bool``.

    Returns:
        ``[B, D]``; a row without any true place is zero.
    """
    kept = values.masked_fill(~mask.unsqueeze(-1), 0.0)  # [B, T, D]
    return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp_min(1)


def require_finite(values: Tensor, what: str) -> None:
    """Raises FloatingPointError when `values` hold NaN or infinity.

    A NaN must never be ranked: comparisons with it are all false, so it would look like the
    best item of the catalogue.
    """
    if not bool(torch.isfinite(values).all()):
        raise FloatingPointError(f"{what} hold NaN or infinite values; they cannot be ranked.")


def latest(items: Tensor, n: int) -> Tensor:
    """Returns ``[B, min(T, n)]``, the latest n of each right-padded row ``[B, T]`` of item ids."""
    if items.shape[1] <= n:
        return items
    length = (items != PADDING_ID).sum(dim=1, keepdim=True)  # [B, 1]
    places = (length - n).clamp_min(0) + torch.arange(n, device=items.device)
    return items.gather(1, places) * (places < length)

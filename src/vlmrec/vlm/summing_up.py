"""The state of a learned token behind the start of a sequence, for many starts at once.

Molar reads a user's vector at the token ``[User]`` behind the history (2412.18176, Section 3.3).
What comes before never looks at the token, so one pass over a history can hold a token for every
start of it: T items and R tokens, instead of R sequences of up to T items each.
"""

import torch
from torch import Tensor

from vlmrec.vlm.model import VisionLanguageModel


def states_behind(
    model: VisionLanguageModel, vectors: Tensor, mask: Tensor, token: Tensor, places: Tensor
) -> Tensor:
    """Returns what `token` makes of the first items of each sequence.

    Bodies that take any mask read each sequence once; others read one sequence a token.

    Args:
        model: Whose body reads.
        vectors: ``[B, T, D]`` padded on the right.
        mask: ``[B, T] bool``, true on real places.
        token: ``[D]``.
        places: ``[B, R] int64``; token r of row b comes behind place ``places[b, r]`` and sees
            all up to it and itself, no other token, and no padding.

    Returns:
        ``[B, R, D]``.
    """
    if model.family.takes_any_mask:
        return _together(model, vectors, mask, token, places)
    return _apart(model, vectors, mask, token, places)


def _together(
    model: VisionLanguageModel, vectors: Tensor, mask: Tensor, token: Tensor, places: Tensor
) -> Tensor:
    B, T, _ = vectors.shape
    R = places.shape[1]
    steps = torch.arange(T, device=vectors.device)
    inputs = torch.cat([vectors, token.expand(B, R, -1)], dim=1)  # [B, T + R, D]
    positions = torch.cat([steps.expand(B, T), places + 1], dim=1)
    real = mask.unsqueeze(1)  # [B, 1, T]
    items = (steps.unsqueeze(0) <= steps.unsqueeze(1)) & real  # [B, T, T]
    tokens = (steps <= places.unsqueeze(-1)) & real  # [B, R, T]
    seen = torch.cat([items, tokens], dim=1)  # [B, T + R, T]
    allowed = torch.cat([seen, seen.new_zeros(B, T + R, R)], dim=2)
    # Everything sees itself: tokens should, and padding must see something.
    allowed = allowed | torch.eye(T + R, dtype=torch.bool, device=vectors.device)
    dtype = model.family.word_embeddings.weight.dtype
    with model.products():
        states = model.family.body_under(inputs.to(dtype), positions, allowed)
    return states[:, T:]


def _apart(
    model: VisionLanguageModel, vectors: Tensor, mask: Tensor, token: Tensor, places: Tensor
) -> Tensor:
    B, T, D = vectors.shape
    R = places.shape[1]
    steps = torch.arange(T + 1, device=vectors.device)
    behind = places.reshape(-1, 1) + 1  # [B * R, 1]
    padded = torch.cat([vectors, vectors.new_zeros(B, 1, D)], dim=1)
    rows = padded.repeat_interleave(R, dim=0)  # [B * R, T + 1, D]
    rows = torch.where((steps == behind).unsqueeze(-1), token.to(rows.dtype), rows)
    real = torch.cat([mask, mask.new_zeros(B, 1)], dim=1).repeat_interleave(R, dim=0)
    real = (real & (steps < behind)) | (steps == behind)
    width = int(behind.max()) + 1
    states = model.body(rows[:, :width], real[:, :width])
    return states.gather(1, behind.unsqueeze(-1).expand(-1, -1, D)).view(B, R, D)

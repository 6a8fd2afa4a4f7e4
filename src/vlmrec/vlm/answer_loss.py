"""Next-token cross-entropy of answers, each answer's mean."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.vlm.families.base import PromptBatch


def answer_loss(
    states: Tensor, batch: PromptBatch, logits_of: Callable[[Tensor], Tensor]
) -> Tensor:
    """Returns ``[B] float32`` in nats per token.

    Logits are made for the places before answer tokens only, not for whole prompts.

    Args:
        states: ``[B, T, D]`` last hidden states.
        batch: Says which places are the answer's.
        logits_of: ``[n, D]`` states -> ``[n, V]`` scores of the next token.
    """
    answered = batch.mask & ~batch.prefix  # [B, T]
    # The state one place earlier predicts the token.
    rows, steps = answered.nonzero(as_tuple=True)
    logits = logits_of(states[rows, steps - 1]).float()  # [n, V]
    losses = F.cross_entropy(logits, batch.ids[rows, steps], reduction="none")
    total = torch.zeros(len(states), device=losses.device).index_add(0, rows, losses)
    return total / answered.sum(dim=1)

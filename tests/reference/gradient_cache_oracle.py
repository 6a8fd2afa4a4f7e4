"""The gradient cache as its paper tells it: three passes, written out (Gao et al. 2021)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def gradient_cache_step(
    encode: Callable[[Sequence[Any]], Tensor],
    rows: Sequence[Any],
    chunk_size: int,
    loss_of: Callable[[Tensor], Tensor],
) -> Tensor:
    """Returns the loss of the whole batch; gradients are left in the weights of `encode`."""
    chunks = [rows[start : start + chunk_size] for start in range(0, len(rows), chunk_size)]
    states: list[Tensor] = []
    vectors: list[Tensor] = []
    with torch.no_grad():  # 1. vectors without a graph
        for chunk in chunks:
            states.append(torch.get_rng_state())
            vectors.append(encode(chunk))
    batch = torch.cat(vectors).requires_grad_()
    loss = loss_of(batch)
    loss.backward()  # 2. the gradient of every vector, kept
    after = torch.get_rng_state()
    for chunk, state, gradient in zip(chunks, states, batch.grad.split(chunk_size), strict=True):
        torch.set_rng_state(state)  # 3. each chunk again, with a graph
        encode(chunk).backward(gradient)
    torch.set_rng_state(after)
    return loss.detach()

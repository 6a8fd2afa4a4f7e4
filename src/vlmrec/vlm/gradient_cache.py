"""Contrastive batches that are larger than memory.

A contrastive loss couples all rows of a batch, so that its gradient cannot be summed over small
batches. It reaches the encoder through the vectors alone, though: the forward pass need keep
nothing else, and the backward pass can encode one part of the batch again at a time. Memory is
that of one part plus the vectors; time is that of one more forward pass. This is the gradient
cache of Gao et al., expressed as activation checkpointing over parts of the batch, so that a
training loop calls ``loss.backward()`` and needs no second code path.

References:
    Gao, Zhang, Han, Callan (2021), "Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup", RepL4NLP, section 3.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint, noop_context_fn

from vlmrec.core.dropout import DropoutStream
from vlmrec.core.errors import ConfigError

T = TypeVar("T")


def encode_in_chunks(
    encode: Callable[[Sequence[T]], Tensor],
    rows: Sequence[T],
    chunk_size: int,
    *,
    dropout: DropoutStream | None = None,
) -> Tensor:
    """Returns ``[n, D]``, the vectors of `rows` in their order, at the memory of one chunk.

    Values and gradients are those of encoding chunk by chunk and keeping all activations; they
    are those of the whole batch in one call, up to rounding, where rows do not depend on each
    other and nothing is dropped (dropout draws its masks chunk by chunk; batch normalisation
    does couple rows, and would count a chunk's statistics twice).

    Args:
        encode: Gives ``[m, D]`` for m rows. It is called once more for each chunk in the
            backward pass and must do the same again: weights, mode (train or eval) and rows may
            not change in between.
        rows: What to encode, n of them.
        chunk_size: Rows in a chunk; the last one may be smaller. From n on there is one plain
            call, and nothing is encoded twice.
        dropout: The stream that modules of `encode` draw from (see `core.dropout.stream_of`),
            so that the second call drops the same elements. Without it, their gradient would be
            wrong; torch's own dropout needs nothing.

    Raises:
        ConfigError: `chunk_size` is less than 1.
        ValueError: `encode` gives another number of vectors than it was given rows.
    """
    if chunk_size < 1:
        raise ConfigError(
            f"chunk_size={chunk_size} was given; at least 1 row a chunk was expected.",
            "Choose as many rows as fit into memory.",
        )
    if len(rows) <= chunk_size:
        return encode(rows)
    contexts = noop_context_fn if dropout is None else dropout.replayable
    device = _device_to_remember()
    chunks: list[Tensor] = []
    for start in range(0, len(rows), chunk_size):
        chunk = rows[start : start + chunk_size]
        vectors = checkpoint(
            _without, encode, chunk, device, use_reentrant=False, context_fn=contexts
        )
        if len(vectors) != len(chunk):
            raise ValueError(f"encode gave {len(vectors)} vectors for {len(chunk)} rows")
        chunks.append(vectors)
    return torch.cat(chunks)


def _without(encode: Callable[[Sequence[T]], Tensor], rows: Sequence[T], _: Tensor) -> Tensor:
    return encode(rows)


def _device_to_remember() -> Tensor:
    """Returns an empty tensor on the device whose random state the re-run must get back.

    `checkpoint` keeps the state of those devices only that tensors among its arguments are on,
    and rows are often pictures and words that `encode` takes to the GPU by itself.
    """
    return torch.empty(0, device="cuda" if torch.cuda.is_initialized() else "cpu")

"""Full cross-entropy over the catalogue that never holds all logits at once.

For M positions and P items the plain loss keeps an [M, P] matrix, several times over, for the
backward pass. Here logits live in one tile at a time. Because the loss is a plain sum, the
gradient of a row is known as soon as its tile is: ``softmax - onehot``. So one pass makes logits,
loss and gradients (3 matrix products, the minimum), and the backward pass only scales them.
Where rows of logits are too wide to be held, the catalogue is cut as well: a first pass finds
each row's log-sum-exp by the running maximum, a second makes the gradients (4 products).
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from vlmrec.core.protocols import LossSum
from vlmrec.objectives.next_item import NextItemLoss

_TILE_ELEMENTS = 1 << 21
"""8 MiB of float32 logits: about what the caches of a core hold."""
_TILE_COLUMNS = 1 << 17
_SLICE = 1 << 13
"""Columns of a tile where the catalogue is cut: narrow enough that 256 rows stay in the caches."""


class FullCrossEntropy(NextItemLoss):
    """Softmax cross-entropy of the target among all training items.

    Klenitskiy & Vasilev (2023, arXiv 2309.07602) show that SASRec with this loss beats most
    models proposed after it. Needs no negatives. Costs three matrix products of
    [positions, D] with [items, D]; for catalogues beyond about 100,000 items see
    `SampledSoftmax`.
    """

    kind: Literal["cross-entropy"] = "cross-entropy"
    tile_columns: int = Field(default=_TILE_COLUMNS, ge=1)
    """Largest catalogue whose logits are held at once, for 64 positions or more (at 131,072
    items 32 MiB); a larger one is cut and its logits are computed twice."""

    @property
    def n_negatives(self) -> int:
        """Negatives that the batch must bring: none."""
        return 0

    @property
    def shared_negatives(self) -> bool:
        """Whether one set of negatives serves the batch."""
        return False

    def __call__(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss.

        Args:
            queries: ``[M, D]`` one a supervised position.
            keys: ``[P, D]`` all training items.
            targets: ``[M] int64`` rows of `keys`.
            negatives: Ignored.
        """
        del negatives
        return LossSum(cross_entropy_sum(queries, keys, targets, self.tile_columns), len(targets))


def cross_entropy_sum(
    queries: Tensor, keys: Tensor, targets: Tensor, tile_columns: int = _TILE_COLUMNS
) -> Tensor:
    """Returns ``sum_m -log softmax(queries[m] . keys)[targets[m]]`` as a scalar.

    Args:
        queries: ``[M, D] float``.
        keys: ``[P, D] float``.
        targets: ``[M] int64`` in 0..P-1.
        tile_columns: Largest catalogue whose logits are held at once.
    """
    return _TiledCrossEntropy.apply(queries, keys, targets, tile_columns)  # pyright: ignore


class _TiledCrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, targets: Tensor, tile_columns: int
    ) -> Tensor:
        total = queries.new_zeros(())
        wanted = queries.requires_grad or keys.requires_grad
        query_grad = torch.empty_like(queries) if wanted else None
        key_grad = torch.zeros_like(keys) if wanted else None
        whole = len(keys) <= tile_columns
        width = len(keys) if whole else min(tile_columns, _SLICE)
        height = max(64, _TILE_ELEMENTS // max(width, 1))
        for begin in range(0, len(queries), height):
            rows = slice(begin, begin + height)
            block, goal = queries[rows], targets[rows]
            row_grad = None if query_grad is None else query_grad[rows]
            tile = _one_tile if whole else _many_tiles
            total += tile(block, keys, goal, row_grad, key_grad, width)
        if query_grad is not None and key_grad is not None:
            ctx.save_for_backward(query_grad, key_grad)
        return total

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        query_grad, key_grad = ctx.saved_tensors
        return query_grad * grads[0], key_grad * grads[0], None, None


def _one_tile(
    block: Tensor,
    keys: Tensor,
    goal: Tensor,
    query_grad: Tensor | None,
    key_grad: Tensor | None,
    width: int,
) -> Tensor:
    logits = block @ keys.T  # [R, P]
    at_goal = logits.gather(1, goal[:, None])
    if query_grad is None or key_grad is None:
        return (logits.logsumexp(dim=1, keepdim=True) - at_goal).sum()
    top = logits.amax(dim=1, keepdim=True)
    # One pass over each row while it is in the cache, where subtracting, exponents and sums of
    # the whole tile would be a pass over memory each.
    chances = torch.softmax(logits, dim=1, out=logits)
    highest = chances.amax(dim=1, keepdim=True)  # exp(top - lse)
    _add_gradients(block, keys, chances, query_grad.zero_(), key_grad)
    _add_goal(block, keys, goal, query_grad, key_grad)
    return (top - highest.log() - at_goal).sum()


def _many_tiles(
    block: Tensor,
    keys: Tensor,
    goal: Tensor,
    query_grad: Tensor | None,
    key_grad: Tensor | None,
    width: int,
) -> Tensor:
    top = block.new_full((len(block), 1), float("-inf"))
    mass = block.new_zeros((len(block), 1))
    for begin in range(0, len(keys), width):
        logits = block @ keys[begin : begin + width].T  # [R, C]
        higher = torch.maximum(top, logits.amax(dim=1, keepdim=True))
        mass = mass * (top - higher).exp() + logits.sub_(higher).exp_().sum(dim=1, keepdim=True)
        top = higher
    whole = top + mass.log()
    if query_grad is not None and key_grad is not None:
        query_grad.zero_()
        for begin in range(0, len(keys), width):
            part = slice(begin, begin + width)
            chances = (block @ keys[part].T).sub_(whole).exp_()
            _add_gradients(block, keys[part], chances, query_grad, key_grad[part])
        _add_goal(block, keys, goal, query_grad, key_grad)
    at_goal = (block * keys[goal]).sum(dim=1, keepdim=True)
    return (whole - at_goal).sum()


def _add_gradients(
    block: Tensor, keys: Tensor, chances: Tensor, query_grad: Tensor, key_grad: Tensor
) -> None:
    """Adds softmax . keys and softmax^T . block."""
    query_grad.addmm_(chances, keys)
    key_grad.addmm_(chances.T, block)


def _add_goal(
    block: Tensor, keys: Tensor, goal: Tensor, query_grad: Tensor, key_grad: Tensor
) -> None:
    query_grad.sub_(keys[goal])
    key_grad.index_add_(0, goal, block, alpha=-1)

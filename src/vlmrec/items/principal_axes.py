"""Principal axes: the directions in which vectors differ most."""

import torch
from torch import Tensor

_ROWS = 8192  # rows that are turned into float64 at a time


def principal_axes(rows: Tensor, k: int) -> Tensor:
    """Returns the k directions of largest spread, widest first.

    The sign of an axis is free; here its entry of largest size is positive, so that the same
    rows always give the same axes.

    Args:
        rows: ``[n, W]``, of mean zero.
        k: Number of axes, at most W.

    Returns:
        ``[W, k] float32`` of orthonormal columns; columns beyond the rank of `rows` are zero.
    """
    n, width = rows.shape
    inner = rows.double() @ rows.double().T if n < width else _gram(rows)
    squares, vectors = torch.linalg.eigh(inner)  # ascending
    squares, vectors = squares.flip(0)[:k], vectors.flip(1)[:, :k]
    rank = int((squares > max(n, width) * 1e-7 * squares[:1]).sum())
    found = vectors[:, :rank]
    if n < width:
        found = rows.double().T @ found / squares[:rank].sqrt()
    largest = found.gather(0, found.abs().argmax(dim=0, keepdim=True))  # [1, rank]
    axes = torch.zeros(width, k)
    axes[:, :rank] = (found * largest.sign()).float()
    return axes


def _gram(rows: Tensor) -> Tensor:
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for part in rows.split(_ROWS):
        total += part.double().T @ part.double()
    return total

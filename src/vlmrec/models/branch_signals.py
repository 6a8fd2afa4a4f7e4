"""What a two-branch model notes of its own training: which modality learns, and which starves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vlmrec.models.branches import Branches


class Signals:
    """Means of named figures over the steps since they were last taken."""

    def __init__(self) -> None:
        self._total: dict[str, float] = defaultdict(float)
        self._count: dict[str, float] = defaultdict(float)

    def note(self, figures: Mapping[str, Tensor | float], weight: float = 1.0) -> None:
        """Adds the figures of one step."""
        for name, value in figures.items():
            self._total[name] += float(value) * weight
            self._count[name] += weight

    def take(self) -> dict[str, float]:
        """Returns the means and begins anew."""
        means = {name: round(self._total[name] / n, 6) for name, n in self._count.items() if n}
        self._total.clear()
        self._count.clear()
        return means


def gradient_shares(
    loss: Tensor, sides: Sequence[Branches], weights: Sequence[nn.Parameter]
) -> dict[str, float]:
    """Returns how much of the gradient of shared weights comes through each branch.

    The gradient of the shared weights is the sum of what comes through the text vectors and
    what comes through the picture vectors (methods: ``G_m``, the other branch held still).
    Costs one more backward pass, in two halves; nothing is added to any ``.grad``.

    Args:
        loss: ``[]`` with its graph.
        sides: Branches ("text", "image") of histories and of items, as the loss used them.
        weights: That learn.

    Returns:
        The picture branch's share of the two norms (of all weights, and of the vectors
        themselves), and the cosine between the two gradients (below 0: conflict).
    """
    vectors = [side.vectors for side in sides]
    received = torch.autograd.grad(loss, vectors, retain_graph=True)
    through: list[list[Tensor | None]] = []
    for place in range(2):
        only = [_only(one, place) for one in received]
        through.append(
            list(torch.autograd.grad(vectors, weights, only, retain_graph=True, allow_unused=True))
        )
    text, image = (_norm(part) for part in through)
    shared = sum(
        float((one * other).sum())
        for one, other in zip(*through, strict=True)
        if one is not None and other is not None
    )
    at_text, at_image = (
        float(torch.cat([one[:, place].flatten() for one in received]).norm()) for place in (0, 1)
    )
    return {
        "gradient share image": image / max(text + image, 1e-30),
        "gradient share image, vectors": at_image / max(at_text + at_image, 1e-30),
        "gradient cosine": shared / max(text * image, 1e-30),
    }


def _only(gradient: Tensor, place: int) -> Tensor:
    kept = torch.zeros_like(gradient)
    kept[:, place] = gradient[:, place]
    return kept


def _norm(parts: Sequence[Tensor | None]) -> float:
    return sum(float(part.square().sum()) for part in parts if part is not None) ** 0.5

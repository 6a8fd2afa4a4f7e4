"""What may be done to the content of a catalogue before a model sees it, to see what it uses."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ContentChange:
    """A change to one modality (text or image) of all items.

    Attributes:
        shown: ``[I + 1] int64`` internal id of the item whose content is shown in place of each
            item's own; 0 shows none. None shows each item's own. Row 0 is padding.
        noise: Share of the content that is replaced by noise, 0 to 1. Vectors v become
            ``sqrt(1 - noise) * v + sqrt(noise) * e`` around their mean, with e of the same
            spread in every dimension (1: random vectors of the same size); words are replaced,
            each with this probability, by words drawn from the whole catalogue.
        seed: Of the noise.
    """

    shown: Tensor | None = None
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise={self.noise}; expected 0 to 1")

    @classmethod
    def absent(cls, n_items: int) -> "ContentChange":
        """Returns the change after which no item has the modality."""
        return cls(torch.zeros(n_items + 1, dtype=torch.int64))


def taken_away(n_items: int, share: float, rng: np.random.Generator) -> Tensor:
    """Returns `ContentChange.shown` for a share of the items having nothing to show.

    With the same `rng`, the items that lack it at a smaller share lack it at a larger one too.

    Args:
        n_items: Number of items I.
        share: Of the items, 0 to 1.
        rng: Which ones.
    """
    order = rng.permutation(n_items) + 1
    shown = torch.arange(n_items + 1)
    shown[torch.as_tensor(order[: round(share * n_items)])] = 0
    return shown


def dealt_anew(n_items: int, share: float, rng: np.random.Generator) -> Tensor:
    """Returns `ContentChange.shown` for a share of the items (two or more) showing each other's.

    Args:
        n_items: Number of items I.
        share: Of the items, 0 to 1.
        rng: Which ones, and whose content each shows.
    """
    ring = torch.as_tensor(rng.permutation(n_items)[: max(round(share * n_items), 2)] + 1)
    shown = torch.arange(n_items + 1)
    shown[ring] = ring.roll(1)
    return shown

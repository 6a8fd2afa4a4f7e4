"""Base of the losses that next-item models can be trained with."""

from typing import Self

from vlmrec.core.config import StrictConfig


class NextItemLoss(StrictConfig):
    """A frozen loss that may want to know the size of the catalogue before it is called."""

    def over(self, n_items: int) -> Self:
        """Returns the loss for a catalogue; most do not ask how large it is.

        Args:
            n_items: Items P that training knows, which negatives are drawn from.
        """
        del n_items
        return self

    def negative_power(self) -> float:
        """Returns the power of an item's popularity by which negatives are drawn; 0 = uniformly."""
        return 0.0

"""What a vision tower makes of one picture."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class VisualFeatures:
    """What a vision tower makes of one picture.

    Attributes:
        values: ``[n, W] float``, one row per visual token (or patch) as the family uses them.
        shape: Small integers that the family needs to lay the picture out in a prompt (grid,
            tiles); may be empty.
    """

    values: Tensor
    shape: tuple[int, ...]

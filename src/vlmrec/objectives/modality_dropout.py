"""Modality dropout: some rows must do without one of their modalities. A baseline to WPCL."""

import torch
from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig


class ModalityDropout(StrictConfig):
    """Chance that a row is trained on one modality alone."""

    p: float = Field(default=0.2, ge=0, le=1)
    """Chance that a row loses one of its modalities, text and image alike: each is missing in
    p / 2 of the rows. .2 is usual; nearly all rows still train the fused score that ranks."""

    def __call__(self, draws: Tensor, has_both: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns which rows keep text and which keep their image; see `kept_modalities`."""
        return kept_modalities(draws, self.p, has_both)


def kept_modalities(
    draws: Tensor, p: float, has_both: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns ``[B] bool`` twice: which rows keep their text, and which keep their image.

    No row ever loses both. Rows that have but one modality keep it.

    Args:
        draws: ``[B] float`` uniform in [0, 1), from the caller's random stream. Text goes where
            a draw is below p/2, the image where it is from p/2 to below p.
        p: Chance that a row loses one modality.
        has_both: ``[B] bool`` rows that have both to begin with; None: all.
    """
    eligible = torch.ones_like(draws, dtype=torch.bool) if has_both is None else has_both
    without_text = eligible & (draws < p / 2)
    without_image = eligible & (draws >= p / 2) & (draws < p)
    return ~without_text, ~without_image

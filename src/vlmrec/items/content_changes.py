"""Frozen vectors of one modality after a `ContentChange`: others' vectors, none, or noise."""

import torch

from vlmrec.core.content_change import ContentChange
from vlmrec.core.random import Streams
from vlmrec.items.content_tower import RawContent


def changed(content: RawContent, change: ContentChange) -> RawContent:
    """Returns the content that items show after a change.

    Noise keeps mean and spread of every dimension over the items that have the modality, so that
    a model meets vectors of the size that it knows.

    Args:
        content: ``[I + 1, W]`` vectors of all items; row 0 is padding.
        change: What to show in place of each item's own.
    """
    vectors, present = content.vectors, content.present
    if change.noise > 0:
        vectors = _noisy(content, change)
    if change.shown is not None:
        shown = change.shown.to(vectors.device)
        vectors, present = vectors[shown], present[shown] & (shown > 0)
    return RawContent(vectors.masked_fill(~present[:, None], 0.0), present)


def _noisy(content: RawContent, change: ContentChange) -> torch.Tensor:
    vectors, known = content.vectors, content.vectors[content.present]
    if not len(known):
        return vectors
    mean, spread = known.mean(dim=0), known.std(dim=0, unbiased=False)
    generator = Streams(change.seed).torch("content noise")
    drawn = torch.randn(vectors.shape, generator=generator).to(vectors)  # [I + 1, W]
    own, foreign = (1 - change.noise) ** 0.5, change.noise**0.5
    return mean + own * (vectors - mean) + foreign * spread * drawn

"""What one bucket of prompts costs on its way through a model and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vlmrec.vlm.collating import collate
from vlmrec.vlm.layout import Row
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.readout import MEANS, read_out
from vlmrec.vlm.tracing import Meter, Speed, WithoutData, backward


@dataclass(frozen=True)
class Passage:
    """One bucket of prompts, forwards and backwards; bytes and seconds.

    Attributes:
        tokens: Prompts times longest prompt.
        longest: Tokens of the longest prompt.
        kept: Held from the forward pass until the backward pass.
        forward_extra: Most that the forward pass holds beyond `kept`.
        first_extra: Most that the backward pass adds to what was held before, where no weight
            has its gradient yet.
        later_extra: The same where every weight has its gradient.
        forward_seconds: Of the forward pass.
        backward_seconds: Of the backward pass.
    """

    tokens: int
    longest: int
    kept: int
    forward_extra: int
    first_extra: int
    later_extra: int
    forward_seconds: float
    backward_seconds: float


def walk(model: VisionLanguageModel, rows: Sequence[Row], speed: Speed | None) -> Passage:
    """Returns what a bucket costs forwards and backwards, first without and then with gradients.

    Args:
        model: From `vlmrec.vlm.outline.load_outline`; its weights get gradients without values.
        rows: The bucket.
        speed: Of the device; None counts no time.
    """
    meter = Meter(speed)
    with WithoutData(meter), meter:
        first = _forwards_and_backwards(model, rows, meter)
        later = _forwards_and_backwards(model, rows, meter)
    return replace(later, first_extra=first.first_extra)


def walk_few(model: VisionLanguageModel, rows: Sequence[Row]) -> Passage:
    """Returns what a bucket of few tokens costs where all gradients are there.

    Where they are not, its backward pass adds little else than them: the first gradient of a
    weight is not added to anything, it becomes what is kept.
    """
    meter = Meter()
    with WithoutData(meter), meter:
        later = _forwards_and_backwards(model, rows, meter)
    return replace(later, first_extra=max(size_of(learning(model)), later.later_extra))


def _forwards_and_backwards(
    model: VisionLanguageModel, rows: Sequence[Row], meter: Meter
) -> Passage:
    longest = max(len(row) for row in rows)
    start = meter.now
    meter.restart()
    vectors = _vectors(model, rows)
    kept, extra, seconds = meter.now - start, meter.peak - meter.now, meter.seconds
    gradient = torch.empty_like(vectors)
    level = meter.now
    meter.restart()
    backward(vectors, gradient)
    above = meter.peak - level
    return Passage(len(rows) * longest, longest, kept, extra, above, above, seconds, meter.seconds)


def learning(model: VisionLanguageModel) -> list[Tensor]:
    """Returns the weights that a backward pass has reached."""
    return [one for one in model.parameters() if one.grad is not None]


def size_of(tensors: Iterable[Tensor]) -> int:
    """Returns the bytes of tensors; one that is there twice counts once."""
    different = {id(one): one for one in tensors}
    return sum(one.numel() * one.element_size() for one in different.values())


def _vectors(model: VisionLanguageModel, rows: Sequence[Row]) -> Tensor:
    options, family = model.options, model.family
    batch = collate(rows, family.pad, options.padding, torch.device("cpu"))
    pooling = options.pooling or family.default_pooling
    known = pooling if pooling in MEANS else "last"
    return read_out(model.states(batch), batch, known, None, normalize=options.normalize)


def uneven(row: Row, count: int) -> list[Row]:
    """Returns `count` rows, the last of which is a token shorter where there are several."""
    removable = [place for place, filled in enumerate(row.filled) if not filled]
    if count == 1 or len(removable) < 2:
        return [row] * count
    place = removable[-1]
    ids = [*row.ids[:place], *row.ids[place + 1 :]]
    filled = [*row.filled[:place], *row.filled[place + 1 :]]
    textual = [*row.textual[:place], *row.textual[place + 1 :]]
    return [row] * (count - 1) + [Row(ids, filled, textual, row.pictures, row.prefix - 1)]

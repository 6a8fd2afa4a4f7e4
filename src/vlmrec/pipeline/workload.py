"""What training on a dataset feeds a vision-language model: a sample of its prompts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vlmrec.core.columns import TITLE
from vlmrec.core.errors import DataError
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.data.dataset import Dataset
from vlmrec.data.images import Picture, read_picture
from vlmrec.vlm.estimating import StepRows
from vlmrec.vlm.layout import Row
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.outline import feature_width
from vlmrec.vlm.prompts import ImagePart, Part, PictureSource, TextPart
from vlmrec.vlm.visual_features import VisualFeatures

_SAMPLED = 256  # training rows
_PICTURES = 12  # that are opened, to see how many tokens they become
_DRAWS = 100  # batches, of which the longest counts


@dataclass(frozen=True, eq=False)
class Workload:
    """A sample of training rows as prompts.

    Attributes:
        rows: Training rows of the dataset: events that have one before them.
        histories: A prompt for each sampled row.
        items: The prompt of the next item of each.
        targets: ``[n] int64`` internal id of that item.
        picture_tokens: Tokens of a picture, on average; 0 where there are none.
        picture_rows: Rows of visual features of a picture; more than its tokens where words look
            at them by cross-attention.
        with_picture: Share of the items whose picture is there.
    """

    rows: int
    histories: list[Row]
    items: list[Row]
    targets: NDArray[np.int64]
    picture_tokens: float
    picture_rows: float
    with_picture: float

    def longest_batch(self, size: int) -> StepRows:
        """Returns the longest of a hundred random batches, so that the others fit as well."""
        return self._batch(size, -1)

    def typical_batch(self, size: int) -> StepRows:
        """Returns the batch in the middle of them."""
        return self._batch(size, _DRAWS // 2)

    def _batch(self, size: int, place: int) -> StepRows:
        lengths = np.array([len(row) for row in self.histories])
        random = Streams(0).numpy("estimate", "batches", size)
        draws = random.integers(0, len(lengths), (_DRAWS, size))
        chosen = draws[np.argsort(lengths[draws].sum(axis=1), kind="stable")[place]]
        _, first = np.unique(self.targets[chosen], return_index=True)
        pictures = [self.histories[row].pictures for row in chosen]
        pictures += [self.items[row].pictures for row in chosen[first]]
        return StepRows(
            [len(self.histories[row]) for row in chosen],
            [len(self.items[row]) for row in chosen[first]],
            sum(len(one.values) for each in pictures for one in each),
        )


def sample_workload(dataset: Dataset, model: VisionLanguageModel, history: int) -> Workload:
    """Returns the prompts of a sample of training rows: titles and pictures, oldest first.

    Args:
        dataset: Split by leave-one-out; the last two events of a user are not trained on.
        model: The outline that lays them out.
        history: Most items before the next one.

    Raises:
        DataError: No user has a training event with another before it.
    """
    train = dataset.leave_one_out().train
    before = np.concatenate([np.arange(length) for length in train.lengths])
    eligible = np.flatnonzero(before > 0)
    if not len(eligible):
        raise DataError(
            "No user has two training events, so there is no history to learn from.",
            "Use a dataset with longer histories.",
        )
    chosen = Streams(0).numpy("estimate", "rows").choice(eligible, _SAMPLED)
    events = train.flat()
    parts = _item_parts(dataset.catalog)
    shapes = _shapes(dataset.catalog, model)
    seen = _seen(dataset.catalog, model, shapes)
    histories, items = [], []
    for event in chosen:
        past = events[event - min(history, before[event]) : event]
        histories.append(tuple(part for item in past for part in parts[item - 1]))
        items.append(tuple(parts[events[event] - 1]))
    lay_out = model.layout.rows
    return Workload(
        len(eligible),
        lay_out(histories, seen),
        lay_out(items, seen),
        events[chosen].astype(np.int64),
        _mean([len(model.family.picture_tokens(shape).ids) for shape in shapes]),
        _mean([model.family.feature_rows(shape) for shape in shapes]),
        len(seen) / max(len(dataset.catalog), 1),
    )


def _item_parts(catalog: Catalog) -> list[tuple[Part, ...]]:
    titles = catalog.texts([TITLE])
    parts: list[tuple[Part, ...]] = []
    for title, text, image in zip(titles, catalog.texts(), catalog.image_paths(), strict=True):
        words = TextPart(f"{title or text or '(no title)'}\n")
        parts.append((words,) if image is None else (ImagePart(image), words))
    return parts


def _there(catalog: Catalog) -> list[Path]:
    return [path for path in catalog.image_paths() if path is not None and path.is_file()]


def _shapes(catalog: Catalog, model: VisionLanguageModel) -> list[tuple[int, ...]]:
    """Returns how some of the pictures are laid out; unreadable ones are passed over."""
    there = _there(catalog)
    order = Streams(0).numpy("estimate", "pictures").permutation(len(there))[:_PICTURES]
    found = [read_picture(there[number]) for number in order]
    return [model.family.prepare(one.image).shape for one in found if isinstance(one, Picture)]


def _seen(
    catalog: Catalog, model: VisionLanguageModel, shapes: list[tuple[int, ...]]
) -> dict[PictureSource, VisualFeatures]:
    """Returns features without values for every picture; a picture file may have two items."""
    if not shapes:
        return {}
    family, width = model.family, feature_width(model.family)
    kinds = {
        shape: VisualFeatures(
            torch.empty(family.feature_rows(shape), width, dtype=torch.float16, device="meta"),
            shape,
        )
        for shape in set(shapes)
    }
    return {
        path: kinds[shapes[number % len(shapes)]] for number, path in enumerate(_there(catalog))
    }


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0

"""What is in a dataset, and what in it can mislead: facts first, then the card of checks."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmrec.core.columns import DESCRIPTION, IMAGE, TITLE
from vlmrec.data.checks.card import check_dataset
from vlmrec.data.checks.check import DataCheck, Subject
from vlmrec.data.checks.contents import has_words
from vlmrec.data.dataset import Dataset
from vlmrec.data.picture_survey import PictureSurvey, survey_pictures
from vlmrec.data.sequences import IntArray

MOST_DECODED_UNASKED = 5_000
"""Pictures that are decoded without being asked for: some ten seconds."""


@dataclass(frozen=True)
class Spread:
    """How many interactions each user or item has."""

    min: int
    median: float
    mean: float
    max: int


@dataclass(frozen=True)
class Coverage:
    """How much of the catalogue, and of what is clicked, has something.

    Attributes:
        items: How many items have it.
        item_share: Share of the items.
        interaction_share: Share of the interactions that are with such an item.
    """

    items: int
    item_share: float
    interaction_share: float


@dataclass(frozen=True)
class TimeFacts:
    """When things happened.

    Attributes:
        first: Earliest time, seconds UTC.
        last: Latest time, seconds UTC.
        real: False where times are positions in a line.
    """

    first: int
    last: int
    real: bool


@dataclass(frozen=True)
class Inspection:
    """What is in one dataset, and the card that judges it."""

    users: int
    items: int
    interactions: int
    items_without_interactions: int
    per_user: Spread
    per_item: Spread
    coverage: dict[str, Coverage]
    modalities: dict[str, int]
    time: TimeFacts
    pictures: PictureSurvey
    card: tuple[DataCheck, ...]
    fingerprint: str

    def as_dict(self) -> dict[str, Any]:
        """Returns the findings as plain values for JSON."""
        return asdict(self)


def inspect_dataset(dataset: Dataset, *, decode_pictures: bool | None = None) -> Inspection:
    """Returns what is in a dataset, and what in it can mislead.

    Args:
        dataset: The dataset.
        decode_pictures: Decode every picture instead of reading its header only, which finds
            damaged and near-duplicate ones; None does it for up to `MOST_DECODED_UNASKED`.
    """
    log = dataset.sequences
    counts = np.bincount(log.items, minlength=dataset.n_items + 1)[1:].astype(np.int64)
    paths = dataset.catalog.image_paths()
    if decode_pictures is None:
        decode_pictures = sum(path is not None for path in paths) <= MOST_DECODED_UNASKED
    survey, prints = survey_pictures(paths, decode=decode_pictures)
    coverage, modalities = _coverage(dataset, counts)
    subject = Subject.of(dataset)
    return Inspection(
        users=dataset.n_users,
        items=dataset.n_items,
        interactions=log.n_events,
        items_without_interactions=int((counts == 0).sum()),
        per_user=_spread(np.diff(log.offsets)),
        per_item=_spread(counts[counts > 0]),
        coverage=coverage,
        modalities=modalities,
        time=TimeFacts(int(log.timestamps.min()), int(log.timestamps.max()), subject.real_times),
        pictures=survey,
        card=check_dataset(subject, survey, prints),
        fingerprint=dataset.fingerprint,
    )


def _spread(counts: IntArray) -> Spread:
    return Spread(
        int(counts.min()), float(np.median(counts)), float(counts.mean()), int(counts.max())
    )


def _coverage(dataset: Dataset, counts: IntArray) -> tuple[dict[str, Coverage], dict[str, int]]:
    words = has_words(dataset.catalog)
    title, description = words[TITLE], words[DESCRIPTION]
    text = title | description
    image = dataset.catalog.table[IMAGE].is_not_null().to_numpy()
    parts = {"title": title, "description": description, "picture": image}
    coverage = {name: _covered(has, counts) for name, has in parts.items()}
    modalities = {
        "text and picture": int((text & image).sum()),
        "text only": int((text & ~image).sum()),
        "picture only": int((~text & image).sum()),
        "neither": int((~text & ~image).sum()),
    }
    return coverage, modalities


def _covered(has: NDArray[np.bool_], counts: IntArray) -> Coverage:
    return Coverage(
        int(has.sum()), float(has.mean()), float(counts[has].sum() / max(int(counts.sum()), 1))
    )

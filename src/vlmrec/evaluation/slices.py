"""Groups of cases that are reported by themselves: cold items, short histories, no picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COLD_AT_MOST = 5
TAIL_AT_MOST = 20


@dataclass(frozen=True)
class Slice:
    """A named group of cases.

    Attributes:
        name: What the group is called in tables.
        mask: ``[n] bool`` which cases belong to it.
        definition: One sentence that says which cases belong to it.
    """

    name: str
    mask: np.ndarray
    definition: str


def popularity_slices(
    training_counts: np.ndarray,
    targets: np.ndarray,
    *,
    cold_at_most: int = COLD_AT_MOST,
    tail_at_most: int = TAIL_AT_MOST,
) -> list[Slice]:
    """Returns the slices unseen, cold, tail and warm of the targets' training interactions.

    Cold, tail and warm share out the cases; unseen is the part of cold that never occurred.

    Args:
        training_counts: ``[I + 1] int`` training interactions of each item, such as
            ``split.train.item_counts(n_items)``.
        targets: ``[n] int`` internal ids.
        cold_at_most: Most interactions of a cold item.
        tail_at_most: Most interactions of a tail item.
    """
    seen = training_counts[targets]
    what = "the target has"
    return [
        Slice("unseen", seen == 0, f"{what} no training interaction (part of cold)"),
        Slice("cold", seen <= cold_at_most, f"{what} 0 to {cold_at_most} training interactions"),
        Slice(
            "tail",
            (seen > cold_at_most) & (seen <= tail_at_most),
            f"{what} {cold_at_most + 1} to {tail_at_most} training interactions",
        ),
        Slice("warm", seen > tail_at_most, f"{what} more than {tail_at_most}"),
    ]


def history_slices(lengths: np.ndarray, edges: Sequence[int] = (5, 10, 20)) -> list[Slice]:
    """Returns slices by the number of interactions before the target.

    >>> [s.name for s in history_slices(np.array([3, 50]))]
    ['history 0-5', 'history 6-10', 'history 11-20', 'history > 20']

    Args:
        lengths: ``[n] int`` full lengths of the histories.
        edges: Ascending; each slice ends with one of them, the last is open.
    """
    slices: list[Slice] = []
    lowest = 0
    for edge in edges:
        mask = (lengths >= lowest) & (lengths <= edge)
        slices.append(
            Slice(f"history {lowest}-{edge}", mask, f"{lowest} to {edge} earlier interactions")
        )
        lowest = edge + 1
    last = edges[-1]
    slices.append(Slice(f"history > {last}", lengths > last, f"more than {last}"))
    return slices


def content_slices(
    has_text: np.ndarray, has_picture: np.ndarray, targets: np.ndarray
) -> list[Slice]:
    """Returns slices by what content the target has; together they share out the cases.

    Args:
        has_text: ``[I + 1] bool``, row 0 unused.
        has_picture: ``[I + 1] bool``, row 0 unused.
        targets: ``[n] int`` internal ids.
    """
    text, picture = has_text[targets], has_picture[targets]
    return [
        Slice("text and picture", text & picture, "the target has both"),
        Slice("text only", text & ~picture, "the target has text and no picture"),
        Slice("picture only", ~text & picture, "the target has a picture and no text"),
        Slice("no content", ~text & ~picture, "the target has neither text nor picture"),
    ]

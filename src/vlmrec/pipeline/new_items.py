"""How items that training never saw get into lists: the options, and what they lead to."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.core.protocols import Ranker
from vlmrec.core.random import Streams
from vlmrec.data.sequences import IntArray
from vlmrec.evaluation.lifting import (
    LIST_LENGTH,
    KnownLists,
    offset_for_exposure,
    places_bought,
)
from vlmrec.items.content_tower import RawContent
from vlmrec.items.neighbours import Neighbours
from vlmrec.models.spec import Recommender

_LISTS = 1000
"""Lists in which is counted how often new items are shown."""
_FEWEST_EVENTS = 5
"""Training has shaped the vector of an item with at least so many events."""


class NewItems(StrictConfig):
    """What helps new items into lists.

    By default their vectors lean on those of known items with like words, and their scores are
    lifted until they are shown as often as `exposure` says.
    """

    exposure: float = Field(default=0.375, ge=0)
    """A new item is to be shown at least this often, as a multiple of how often an item is shown
    on average: 1 is its right by number, 0 lifts nothing."""
    offset: float | None = None
    """Instead of `exposure`: what is added to the score of a new item."""
    quota: float = Field(default=0.0, ge=0, lt=1)
    """Instead of both: the share of the places of every list that new items get."""
    neighbours: int = Field(default=20, ge=0)
    """How many known items a new one leans on; 0 leaves it to its own content alone."""
    lean: float = Field(default=0.75, ge=0, le=1)
    """Weight of the neighbours in a new item's vector."""
    neighbours_by: Literal["text", "image"] = "text"
    """By which content neighbours are found."""

    def vectors(
        self,
        model: Recommender,
        own: Tensor,
        content: Mapping[str, RawContent],
        known_vectors: Tensor,
        n_train: IntArray,
        around: Neighbours | None = None,
    ) -> Tensor:
        """Returns ``[n, D]`` vectors of new items.

        Args:
            model: Whose vectors they are; one that learns from frozen content, or the vectors
                stay as they are.
            own: ``[n, D]`` made by the model from their content.
            content: Their frozen vectors ``[n, W]``, by modality.
            known_vectors: ``[I + 1, D]`` of the items that the model was built for.
            n_train: ``[I + 1]`` events of each in training.
            around: What `around` returned, where it was asked before.
        """
        by, known = self.neighbours_by, around or self.around(model, n_train)
        if known is None or by not in content:
            return own
        return known.lean(
            own, content[by], known_vectors, neighbours=self.neighbours, lean=self.lean
        )

    def around(self, model: Recommender, n_train: IntArray) -> Neighbours | None:
        """Returns the items that new ones may lean on, None where the model knows no content.

        The arguments are those of `vectors`.
        """
        known, by = model.known_content(), self.neighbours_by
        if known is None or by not in known:
            return None
        shaped = torch.as_tensor(np.flatnonzero(n_train >= _FEWEST_EVENTS))
        return Neighbours(shaped, known[by].rows(shaped))

    def offset_over(
        self,
        ranker: Ranker,
        n_train: IntArray,
        new: NDArray[np.bool_],
        candidates: IntArray | None = None,
        own: Ranker | None = None,
    ) -> float:
        """Returns what is added to the scores of new items.

        How often they are shown is counted in lists for histories of one item each, drawn by
        how often items occur in training: nothing but the run itself is needed. Items are never
        lowered.

        Args:
            ranker: Scores them as they are.
            n_train: ``[I + 1]`` events of each item in training.
            new: ``[I + 1] bool``, of which some compete.
            candidates: Internal ids that compete, or None for the whole catalogue.
            own: Scores new items by what the model makes of their content, without neighbours.
                They are to be shown at least as often as it shows them.
        """
        if (fixed := self._fixed_offset()) is not None:
            return fixed
        least = 0.0 if own is None else exposure_of(own, n_train, new, candidates)
        return offsets_for([max(self.exposure, least)], ranker, n_train, new, candidates)[0]

    def _fixed_offset(self) -> float | None:
        """Returns the offset where no list decides it."""
        if self.quota or (self.offset is None and not self.exposure):
            return 0.0
        return self.offset

    def offset_in(self, lists: KnownLists, new: Ranker, own: Ranker, share: float) -> float:
        """Returns what `offset_over` does, without scoring known items again.

        Args:
            lists: For histories of `histories_for`.
            new: Scores the new items alone, as they are.
            own: The same by what the model makes of their content.
            share: Of the items that are new.
        """
        if (fixed := self._fixed_offset()) is not None:
            return fixed
        bought = lists.places_bought(new)
        wanted = max(self.exposure, _exposure(lists.places_bought(own), share))
        shown = _exposure(bought, share)
        return offset_for_exposure(bought, wanted, _LISTS, share) if wanted > shown else 0.0


def offsets_for(
    exposures: Sequence[float],
    ranker: Ranker,
    n_train: IntArray,
    new: NDArray[np.bool_],
    candidates: IntArray | None = None,
) -> list[float]:
    """Returns the offset of each exposure; the arguments are those of `NewItems.offset_over`."""
    share = _share(new, candidates)
    if not any(exposures) or not share or not n_train.any():
        return [0.0 for _ in exposures]
    bought = places_bought(ranker, histories_for(n_train), new, candidates)
    shown = _exposure(bought, share)
    return [
        offset_for_exposure(bought, one, _LISTS, share) if one > shown else 0.0 for one in exposures
    ]


def exposure_of(
    ranker: Ranker, n_train: IntArray, new: NDArray[np.bool_], candidates: IntArray | None = None
) -> float:
    """Returns how often a new item is shown as it is, as a multiple of an average item.

    The arguments are those of `NewItems.offset_over`.
    """
    share = _share(new, candidates)
    if not share or not n_train.any():
        return 0.0
    return _exposure(places_bought(ranker, histories_for(n_train), new, candidates), share)


def _exposure(bought: NDArray[np.float32], share: float) -> float:
    """Returns how often new items are shown without an offset, see `places_bought`."""
    return float((bought < 0).sum()) / (share * _LISTS * LIST_LENGTH)


def _share(new: NDArray[np.bool_], candidates: IntArray | None) -> float:
    return float((new[1:] if candidates is None else new[candidates]).mean())


def histories_for(n_train: IntArray) -> IntArray:
    """Returns ``[H, 1]`` histories of one item each, drawn by how often items occur."""
    rng = Streams(0).numpy("lists for new items")
    return rng.choice(len(n_train), size=(_LISTS, 1), p=n_train / n_train.sum())


def with_new_vectors(
    options: NewItems,
    model: Recommender,
    vectors: Tensor,
    n_train: IntArray,
    new: NDArray[np.bool_],
) -> Tensor:
    """Returns ``[I + 1, D]`` vectors of a catalogue in which some items play new ones.

    Args:
        options: What helps them.
        model: Was not trained on them, and has their content.
        vectors: ``[I + 1, D]`` as the model makes them.
        n_train: ``[I + 1]`` events of each item in training; 0 for new ones.
        new: ``[I + 1] bool``.
    """
    known = model.known_content()
    if known is None:
        return vectors
    rows = torch.as_tensor(np.flatnonzero(new))
    content = {name: one.rows(rows) for name, one in known.items()}
    result = vectors.clone()
    result[rows] = options.vectors(model, vectors[rows], content, vectors, n_train)
    return result

"""Lists that are mixed by quota: a share of the places is given to new items, whatever they score.

Scores of new items and of others are then never compared with each other, so nothing has to be
calibrated; in return a new item that fits nobody is shown as well.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.evaluation.top_items import best_columns

_NOWHERE = np.iinfo(np.int64).max
_ROUNDING = 1e-9
"""A share such as .3 is no exact binary number; place 10 is its third one all the same."""


@dataclass(frozen=True, eq=False)
class Quota:
    """Of the first p places of a list, ``floor(p * share)`` hold new items.

    Where one kind of item is used up, the other goes on.

    Attributes:
        new: ``[I + 1] bool`` which internal ids are new.
        share: Of the places, above 0 and below 1.
    """

    new: NDArray[np.bool_]
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(
                f"The quota of new items was given as {self.share:g}; "
                "expected a share above 0 and below 1, such as 0.1.",
                "Leave it out to give new items no places of their own.",
            )

    def over(self, items: NDArray[np.int64]) -> "MixedPool":
        """Returns the quota for the items ``[P] int64`` that compete."""
        new = self.new[items]
        return MixedPool(self.share, np.flatnonzero(~new), np.flatnonzero(new), new)


@dataclass(frozen=True, eq=False)
class MixedPool:
    """A quota over the columns of a block of scores.

    Attributes:
        share: Of the places for new items.
        old_columns: ``[P - N] int64``.
        new_columns: ``[N] int64``.
        new: ``[P] bool`` which columns are new.
    """

    share: float
    old_columns: NDArray[np.int64]
    new_columns: NDArray[np.int64]
    new: NDArray[np.bool_]

    def columns_of(self, *, new: bool) -> NDArray[np.int64]:
        """Returns the columns of one kind."""
        return self.new_columns if new else self.old_columns

    def places(
        self, position: NDArray[np.int64], others: NDArray[np.int64], *, new: bool
    ) -> NDArray[np.int64]:
        """Returns the places in the mixed list, from 1.

        Args:
            position: Positions from 1 among the items of the same kind.
            others: How many items of the other kind there are, for each.
            new: Which kind.
        """
        if new:
            return np.minimum(self._places_of_new(position), position + others)
        slots = self._places_of_new(np.arange(1, len(self.new_columns) + 1))
        old_before = slots - np.arange(1, len(slots) + 1)
        new_before = np.searchsorted(old_before, position - 1, side="right")
        return position + np.minimum(new_before, others)

    def _places_of_new(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.ceil(position / self.share - _ROUNDING).astype(np.int64)

    def expected_places(
        self,
        greater: NDArray[np.float64],
        not_less: NDArray[np.float64],
        others: NDArray[np.int64],
        *,
        new: bool,
    ) -> NDArray[np.float64]:
        """Returns the mean place of targets if equals of the same kind were shuffled.

        Args:
            greater: ``[n]`` items of the same kind with a higher score.
            not_less: ``[n]`` those with at least the target's, the target among them.
            others: ``[n]`` items of the other kind.
            new: Which kind.
        """
        first, last = greater.astype(np.int64) + 1, not_less.astype(np.int64)
        result = self.places(first, others, new=new).astype(np.float64)
        for row in np.flatnonzero(last > first):
            span = np.arange(int(first[row]), int(last[row]) + 1, dtype=np.int64)
            every = np.full(len(span), others[row])
            result[row] = self.places(span, every, new=new).mean()
        return result

    def best(self, scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Returns the k items of each row's mixed list, as `best_columns` does for plain ones.

        Args:
            scores: ``[B, P] float``; -inf where an item is left out.
            k: Length of the lists, at most P.

        Returns:
            ``[B, k] int64`` columns and ``[B, k] float`` their scores; items that are left out
            come last.
        """
        columns: list[Tensor] = []
        places: list[NDArray[np.int64]] = []
        for new in (False, True):
            own = torch.as_tensor(self.columns_of(new=new), device=scores.device)
            if not len(own):
                continue
            found, values = best_columns(scores[:, own], min(k, len(own)))
            left = torch.as_tensor(self.columns_of(new=not new), device=scores.device)
            others = (scores[:, left] > float("-inf")).sum(dim=1).cpu().numpy()  # [B]
            position = np.arange(1, found.shape[1] + 1)
            own_places = self.places(
                np.broadcast_to(position, found.shape), others[:, None], new=new
            )
            hidden = torch.isneginf(values).cpu().numpy()
            places.append(np.where(hidden, _NOWHERE, own_places))
            columns.append(own[found])
        order = np.argsort(np.concatenate(places, axis=1), axis=1, kind="stable")[:, :k]
        every = torch.cat(columns, dim=1)
        chosen = every.gather(1, torch.as_tensor(order, device=every.device))
        return chosen, scores.gather(1, chosen)

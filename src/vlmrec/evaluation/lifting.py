"""New items lifted by an offset: how much they need, and a ranker that adds it.

A model that was trained to tell the next item from all others has learned to score what nobody
chose lower, and an item that was not there counts as that. What is lost is about the same for
all such items, so one number, added to the scores of new items, brings it back.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.core.inner_product import InnerProduct, KeyedRanker
from vlmrec.core.protocols import PersonalRanker, Ranker

LIST_LENGTH = 10
_SCORES_AT_A_TIME = 1 << 24
"""Each batch of lists reads all item vectors, so that few batches are quick; 64 MiB of scores."""


class LiftedRanker:
    """Adds an offset to the scores of new items; satisfies `vlmrec.core.inner_product.KeyedRanker`.

    Args:
        ranker: What scores.
        new: ``[I + 1] bool`` which internal ids are new.
        offset: What is added to their scores.
    """

    def __init__(self, ranker: Ranker, new: NDArray[np.bool_], offset: float) -> None:
        self._ranker = ranker
        self._lift = torch.as_tensor(new, dtype=torch.float32, device=ranker.device) * offset

    @property
    def n_items(self) -> int:
        """Number of items that are ranked."""
        return self._ranker.n_items

    @property
    def max_len(self) -> int:
        """Longest history that is read."""
        return self._ranker.max_len

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self._ranker.device

    def encode(self, histories: Tensor) -> Tensor:
        """Returns the queries of the ranker that is lifted."""
        return self._ranker.encode(histories)

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32``."""
        return self._ranker.score(queries, start, stop) + self._lift[start:stop]

    def inner_product(self) -> InnerProduct | None:
        """Returns that of the ranker that is lifted, and the offsets; None where it has none."""
        inner = self._ranker.inner_product() if isinstance(self._ranker, KeyedRanker) else None
        return None if inner is None else inner.plus(self._lift)


class _LiftedPersonalRanker(LiftedRanker):
    _ranker: PersonalRanker

    def encode_users(self, histories: Tensor, users: Tensor) -> Tensor:
        """Returns the queries of users ``[B]``, 0 for one that is not known."""
        return self._ranker.encode_users(histories, users)


def lifted(ranker: Ranker, new: NDArray[np.bool_], offset: float) -> Ranker:
    """Returns a view of a ranker that adds `offset` to the scores of `new` items ``[I + 1]``."""
    kind = _LiftedPersonalRanker if isinstance(ranker, PersonalRanker) else LiftedRanker
    return kind(ranker, new, offset)


@torch.no_grad()
def places_bought(
    ranker: Ranker,
    histories: NDArray[np.int64],
    new: NDArray[np.bool_],
    candidates: NDArray[np.int64] | None = None,
    list_length: int = LIST_LENGTH,
) -> NDArray[np.float32]:
    """Returns the offset beyond which each next place of the lists goes to a new item.

    In one list, the j-th best new item is shown as soon as its score and the offset together are
    above that of the j-th last of the others that would be listed. So with offset b, as many
    places of all the lists hold new items as there are numbers below b.

    Args:
        ranker: What scores.
        histories: ``[H, T] int64`` right-padded; items in them are not listed again.
        new: ``[I + 1] bool`` which internal ids are new.
        candidates: Internal ids that compete, or None for the whole catalogue.
        list_length: Places k of each list.

    Returns:
        ``[H * min(k, N)] float32``, ascending.
    """
    every = np.arange(1, ranker.n_items + 1) if candidates is None else np.unique(candidates)
    columns = {kind: torch.as_tensor(every[new[every] == kind] - 1) for kind in (False, True)}
    k = min(list_length, len(columns[False]), len(columns[True]))
    found: list[Tensor] = []
    step = max(16, _SCORES_AT_A_TIME // ranker.n_items)
    for first in range(0, len(histories), step):
        rows = torch.as_tensor(histories[first : first + step], device=ranker.device)
        scores = ranker.score(ranker.encode(rows), 1, ranker.n_items + 1).cpu()  # [B, I]
        room = torch.nn.functional.pad(scores, (1, 0))
        scores = room.scatter(1, rows.cpu(), float("-inf"))[:, 1:]
        others = scores[:, columns[False]].topk(min(list_length, len(columns[False])), dim=1)
        best = scores[:, columns[True]].topk(k, dim=1)
        found.append((others.values[:, -k:].flip(1) - best.values).flatten())
    return _ascending(torch.cat(found))


class KnownLists:
    """Lists of known items alone, kept to be asked what ever more new ones buy in them.

    `places_bought` scores the whole catalogue each time; this does so once, and new items alone
    later. It is for rankers whose queries do not depend on the items that are scored.

    Args:
        ranker: What scores.
        histories: ``[H, T] int64`` right-padded, of known items; they are not listed again.
        n_known: The items ``1..n_known`` are known.
        list_length: Places of each list.
    """

    @torch.no_grad()
    def __init__(
        self,
        ranker: Ranker,
        histories: NDArray[np.int64],
        n_known: int,
        list_length: int = LIST_LENGTH,
    ) -> None:
        queries: list[Tensor] = []
        best: list[Tensor] = []
        for first in range(0, len(histories), step := max(16, _SCORES_AT_A_TIME // n_known)):
            rows = torch.as_tensor(histories[first : first + step], device=ranker.device)
            made = ranker.encode(rows)
            scores = ranker.score(made, 1, n_known + 1).cpu()  # [B, n_known]
            inside, place = rows.cpu().nonzero().T
            scores[inside, rows.cpu()[inside, place] - 1] = float("-inf")
            best.append(scores.topk(min(list_length, n_known), dim=1).values)
            queries.append(made)
        self._queries, self._best, self._length = torch.cat(queries), torch.cat(best), list_length

    @torch.no_grad()
    def places_bought(self, new: Ranker) -> NDArray[np.float32]:
        """Returns what `vlmrec.evaluation.lifting.places_bought` does.

        Args:
            new: Scores the new items alone, as 1..N, by queries of the same kind.
        """
        k = min(self._length, self._best.shape[1], new.n_items)
        step = max(16, _SCORES_AT_A_TIME // new.n_items)
        found = [
            new.score(self._queries[i : i + step], 1, new.n_items + 1).cpu().topk(k, dim=1).values
            for i in range(0, len(self._queries), step)
        ]
        return _ascending((self._best[:, -k:].flip(1) - torch.cat(found)).flatten())


def _ascending(margins: Tensor) -> NDArray[np.float32]:
    return margins[margins.isfinite()].sort().values.numpy()


def offset_for_exposure(
    bought: NDArray[np.float32],
    exposure: float,
    n_lists: int,
    new_share: float,
    list_length: int = LIST_LENGTH,
) -> float:
    """Returns the offset that shows a new item `exposure` times as often as an average item.

    Args:
        bought: From `places_bought`.
        exposure: 1 gives new items as many places as their number has a right to.
        n_lists: Number H of lists.
        new_share: Share of the competing items that are new.
        list_length: Places of each list.
    """
    if not len(bought):
        return 0.0  # the catalogue is so small that lists show all of it
    wanted = exposure * new_share * n_lists * list_length
    place = min(int(wanted), len(bought) - 1)
    return float(np.nextafter(bought[place], np.float32(np.inf)))

"""Whom an item would reach: its place in the lists of people whose latest clicks are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vlmrec.core.errors import DataError
from vlmrec.data.sequences import gather_padded
from vlmrec.serve.live import Live

_AT_A_TIME = 64
_LENGTHS = (10, 100)
_SHOWN_ITEMS = 6
"""Of a person's history."""


@dataclass(frozen=True)
class Reached:
    """A person near whose top an item stands.

    Attributes:
        user_id: Who.
        rank: Place of the item among all that the person has not seen.
        history: The latest items of the person, oldest first.
    """

    user_id: str
    rank: int
    history: tuple[str, ...]


@dataclass(frozen=True)
class Reach:
    """Whom an item would reach.

    Attributes:
        users: How many people were looked at: those who do not have the item yet and of whom
            something is known.
        in_top: By length of a list: the share of them in whose list the item stands.
        median_rank: Of the item in their lists; 0 where nobody was looked at.
        nearest: The people in whose lists it stands highest.
    """

    users: int
    in_top: Mapping[int, float]
    median_rank: float
    nearest: tuple[Reached, ...]


@torch.inference_mode()
def reach_of(
    live: Live, item: str, histories: Mapping[str, Sequence[str]], *, shown: int = 8
) -> Reach:
    """Returns whom an item would reach, by its score alone.

    Args:
        live: What is served.
        item: Which item.
        histories: User id -> items, oldest first.
        shown: How many people are named.

    Raises:
        DataError: There is no such item.
    """
    row = live.rows.get(item)
    if row is None:
        raise DataError(f"There is no item '{item}'.")
    known = {user: live.known(items)[0] for user, items in histories.items()}
    users = [user for user, items in known.items() if len(items) and row not in items]
    ranks: list[int] = []
    for start in range(0, len(users), _AT_A_TIME):
        some = [known[user] for user in users[start : start + _AT_A_TIME]]
        ranks.extend(_ranks(live, row, some))
    order = np.argsort(ranks, kind="stable")[:shown]
    places = np.array(ranks or [0])
    return Reach(
        users=len(users),
        in_top={k: float((places <= k).mean()) if ranks else 0.0 for k in _LENGTHS},
        median_rank=float(np.median(places)),
        nearest=tuple(
            Reached(users[n], ranks[n], tuple(histories[users[n]][-_SHOWN_ITEMS:])) for n in order
        ),
    )


def _ranks(live: Live, row: int, histories: Sequence[np.ndarray]) -> list[int]:
    """Returns the place of an item among those that each history does not hold."""
    ranker = live.ranker
    cut = [one[-ranker.max_len :] for one in histories]
    lengths = np.array([len(one) for one in cut], dtype=np.int64)
    flat = np.concatenate(cut).astype(np.int32)
    rows = torch.as_tensor(gather_padded(flat, np.cumsum(lengths) - lengths, lengths))
    scores = ranker.score(ranker.encode(rows.to(ranker.device)), 1, ranker.n_items + 1).cpu()
    own = scores[:, row - 1].clone()
    scores[:, ~live.present[1:]] = float("-inf")
    for place, one in enumerate(histories):
        scores[place, torch.as_tensor(one) - 1] = float("-inf")
    return ((scores > own[:, None]).sum(dim=1) + 1).tolist()

"""What a request asks of a run, and the answers to many requests at once."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.errors import VlmrecError
from vlmrec.data.sequences import gather_padded
from vlmrec.index.search import Found, Limits
from vlmrec.serve.diversity import diverse
from vlmrec.serve.live import Live

_CANDIDATES = 5
"""A diverse list of k is picked from so many times k."""
MOST_SEEN = 1000
"""Items of a history that are kept out of lists; the latest count."""


@dataclass(frozen=True)
class Ask:
    """A wish for a list.

    Attributes:
        history: Item ids, oldest first; those the run does not know are passed over.
        k: How many items.
        keep_seen: Items of the history may be recommended again.
        filter: Expression over attributes.
        allow: Only these items, if not None.
        deny: None of these.
        diversity: 0 to 1, see `vlmrec.serve.diversity.diverse`.
        promoted: Items that get places of their own: their ids, or a filter.
        promoted_share: Share of the places for them.
    """

    history: tuple[str, ...]
    k: int = 10
    keep_seen: bool = False
    filter: str | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    diversity: float = 0.0
    promoted: tuple[str, ...] | str = ()
    promoted_share: float = 0.0


@dataclass(frozen=True)
class Listed:
    """An item of a list."""

    item_id: str
    title: str | None
    score: float
    rank: int
    has_picture: bool
    promoted: bool = False


@dataclass(frozen=True)
class Answer:
    """A list.

    Attributes:
        recommendation_id: Under which feedback to it comes.
        items: Best first.
        unknown: Items of the history that the run does not know.
        fallback: "popularity" where the history holds no item that is known.
        run: Identity of the run that made it.
    """

    recommendation_id: str
    items: tuple[Listed, ...]
    unknown: tuple[str, ...]
    fallback: str | None
    run: str


@dataclass(frozen=True, eq=False)
class _Prepared:
    """An ask in internal ids."""

    ask: Ask
    known: np.ndarray
    unknown: tuple[str, ...]
    allowed: Tensor | None
    promoted: Tensor | None

    @property
    def wanted(self) -> int:
        return self.ask.k * (_CANDIDATES if self.ask.diversity else 1)

    @property
    def group(self) -> tuple[object, ...]:
        """Asks of one group are searched for together."""
        ask = self.ask
        return (ask.filter, ask.allow, ask.deny, ask.promoted, ask.promoted_share, self.wanted)


@torch.inference_mode()
def answer_all(live: Live, asks: Sequence[Ask]) -> list[Answer | Exception]:
    """Returns the answer to each ask, or what was wrong with it.

    Histories are encoded together, and asks with the same limits searched for together.
    """
    prepared = [_prepared(live, one) for one in asks]
    answers: dict[int, Answer | Exception] = {}
    there: list[tuple[int, _Prepared]] = []
    for row, one in enumerate(prepared):
        if isinstance(one, Exception):
            answers[row] = one
        elif len(one.known):
            there.append((row, one))
        else:
            answers[row] = _popular(live, one)
    if there:
        answers |= _taste(live, there)
    return [answers[row] for row in range(len(asks))]


def _taste(live: Live, there: Sequence[tuple[int, _Prepared]]) -> dict[int, Answer]:
    """Returns the answers to asks, by their number, of whose histories something is known."""
    answers: dict[int, Answer] = {}
    queries = live.ranker.encode(_padded(live, [one for _, one in there]))
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, (_, one) in enumerate(there):
        groups.setdefault(one.group, []).append(place)
    for places in groups.values():
        found = _search(live, queries[places], [there[place][1] for place in places])
        for row, place in enumerate(places):
            number, one = there[place]
            answers[number] = _listed(live, one, found.items[row], found.scores[row])
    return answers


def _prepared(live: Live, ask: Ask) -> "_Prepared | Exception":
    try:
        known, unknown = live.known(ask.history)
        promoted = None
        if ask.promoted and ask.promoted_share:
            if isinstance(ask.promoted, str):
                promoted = live.mask(ask.promoted)
            else:
                promoted = torch.zeros(len(live.present), dtype=torch.bool)
                promoted[torch.as_tensor(live.known(ask.promoted)[0])] = True
        allowed = live.allowed(ask.filter, ask.allow, ask.deny)
    except VlmrecError as error:
        return error
    return _Prepared(ask, known, tuple(unknown), allowed, promoted)


def _padded(live: Live, asks: Sequence[_Prepared]) -> Tensor:
    """Returns ``[B, T]`` the latest items of each history."""
    lengths = np.array([len(one.known) for one in asks], dtype=np.int64)
    flat = np.concatenate([one.known for one in asks]).astype(np.int32)
    stop, kept = np.cumsum(lengths), np.minimum(lengths, live.ranker.max_len)
    rows = gather_padded(flat, stop - kept, kept)
    return torch.as_tensor(rows).to(live.ranker.device)


def _search(live: Live, queries: Tensor, asks: Sequence[_Prepared]) -> Found:
    """Returns what asks of one group find."""
    first = asks[0]
    seen = [one.known[-MOST_SEEN:] if not one.ask.keep_seen else one.known[:0] for one in asks]
    lengths = np.array([len(one) for one in seen], dtype=np.int64)
    flat = np.concatenate(seen).astype(np.int32)
    excluded = torch.as_tensor(gather_padded(flat, np.cumsum(lengths) - lengths, lengths))
    index = live.searched(first.promoted, first.ask.promoted_share)
    limits = Limits(first.allowed, excluded if len(flat) else None)
    return index.search(queries, min(first.wanted, live.ranker.n_items), limits)


def _popular(live: Live, one: _Prepared) -> Answer:
    seen = one.known[:0] if one.ask.keep_seen else one.known
    excluded = torch.as_tensor(seen)[None] if len(seen) else None
    index = live.popular(one.promoted, one.ask.promoted_share)
    found = index.search(torch.zeros(1, 1), one.wanted, Limits(one.allowed, excluded))
    return _listed(live, one, found.items[0], found.scores[0], fallback="popularity")


def _listed(
    live: Live, one: _Prepared, items: Tensor, scores: Tensor, fallback: str | None = None
) -> Answer:
    """Returns the answer that shows ``items [C]``."""
    k = one.ask.k
    if one.ask.diversity and live.vectors is not None:
        places = diverse(items, scores, live.vectors, k, one.ask.diversity)
        items, scores = items[places], scores[places]
    shown = [
        Listed(
            item_id=live.names[item],
            title=live.titles[item],
            score=score,
            rank=rank,
            has_picture=live.names[item] in live.pictures,
            promoted=one.promoted is not None and bool(one.promoted[item]),
        )
        for rank, (item, score) in enumerate(
            zip(items[:k].tolist(), scores[:k].tolist(), strict=True), start=1
        )
        if item
    ]
    return Answer(uuid.uuid4().hex, tuple(shown), one.unknown, fallback, live.identity)

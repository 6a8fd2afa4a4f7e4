"""Why an item is recommended: its words and its picture, the clicks that carried it, its kin.

- The shares of words and pictures are Shapley values (Shapley, 1953) of a game of two players:
  what a modality adds to the score, averaged over whether the other one is there. With what the
  score is without both they add up to the score. A modality is absent for all items at once, in
  the history as well as in the list.
- A click counts by how much the score falls when it is left out of the history; the rank it
  would then have says whether the item would be shown at all.
- The nearest items of the history are found by the frozen vectors that the model reads, by
  words and by pictures apart; where it does not tell them, by what it makes of the one alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.errors import DataError
from vlmrec.core.protocols import Ranker
from vlmrec.data.sequences import gather_padded
from vlmrec.items.content_tower import RawContent
from vlmrec.serve.live import Live
from vlmrec.serve.views import (
    MODALITIES,
    is_frozen,
    made_by,
    modalities_of,
    reads_both,
    scores_without,
)

MOST_CLICKS = 50
"""Clicks that are left out one by one; the latest."""
_ABSENCES = ((), ("image",), ("text",), ("image", "text"))


@dataclass(frozen=True)
class Shares:
    """What each part adds to the score; together they are the score.

    Attributes:
        text: Of words.
        image: Of pictures.
        rest: What the score is without both.
    """

    text: float
    image: float
    rest: float


@dataclass(frozen=True)
class Click:
    """An item of the history.

    Attributes:
        item_id: Which.
        title: Its title.
        added: How much higher the score is with it than without.
        rank_without: Place of the explained item in the list without this click; seen items
            hold no places.
    """

    item_id: str
    title: str | None
    added: float
    rank_without: int


@dataclass(frozen=True)
class Near:
    """The item of the history that is nearest by one modality.

    Attributes:
        item_id: Which.
        title: Its title.
        cosine: Of the vectors by that modality, standardised over the catalogue.
    """

    item_id: str
    title: str | None
    cosine: float


@dataclass(frozen=True)
class Explanation:
    """Why an item stands where it stands.

    Attributes:
        item_id: Which item.
        score: Its score.
        rank: Its place among all items that were not seen.
        shares: Of words and pictures; None where the model does not read both, or the content
            of the item or of one of the history is not at hand.
        clicks: Of the history, the most helpful first.
        nearest: By modality, the nearest item of the history.
    """

    item_id: str
    score: float
    rank: int
    shares: Shares | None
    clicks: tuple[Click, ...]
    nearest: Mapping[str, Near]


@torch.inference_mode()
def explain(live: Live, history: Sequence[str], item: str) -> Explanation:
    """Returns why an item is recommended after a history.

    Raises:
        DataError: The item is not known, or nothing of the history is.
    """
    known, _ = live.known(history)
    row = live.rows.get(item)
    if row is None:
        raise DataError(f"There is no item '{item}'.")
    if not len(known):
        raise DataError("Nothing of the history is known, so there is nothing to explain.")
    known = known[-live.ranker.max_len :]
    seen = torch.as_tensor(np.unique(known))
    rows = _with_each_left_out(known)
    scores = _scores(live.ranker, rows)  # [1 + H, I + 1]
    own = scores[:, row].clone()
    scores[:, seen] = float("-inf")
    scores[:, ~live.present] = float("-inf")
    ranks = (scores > own[:, None]).sum(dim=1) + 1
    return Explanation(
        item_id=item,
        score=float(own[0]),
        rank=int(ranks[0]),
        shares=_shares(live, known, row),
        clicks=_clicks(live, known, own, ranks),
        nearest=_nearest(live, known, row),
    )


def _with_each_left_out(known: np.ndarray) -> Tensor:
    """Returns ``[1 + H, T]``: the history, then without each of its latest items."""
    histories = [known]
    for place in range(max(0, len(known) - MOST_CLICKS), len(known)):
        histories.append(np.delete(known, place))
    lengths = np.array([len(one) for one in histories], dtype=np.int64)
    flat = np.concatenate(histories).astype(np.int32)
    return torch.as_tensor(gather_padded(flat, np.cumsum(lengths) - lengths, lengths))


def _scores(ranker: Ranker, rows: Tensor) -> Tensor:
    """Returns ``[B, I + 1]`` scores; padding has none."""
    scores = ranker.score(ranker.encode(rows.to(ranker.device)), 1, ranker.n_items + 1).cpu()
    return F.pad(scores, (1, 0), value=float("-inf"))


def _clicks(live: Live, known: np.ndarray, own: Tensor, ranks: Tensor) -> tuple[Click, ...]:
    latest = known[max(0, len(known) - MOST_CLICKS) :]
    if len(known) == 1:
        return ()  # without it there is no history
    clicks = [
        Click(
            item_id=live.names[item],
            title=live.titles[item],
            added=float(own[0] - own[place]),
            rank_without=int(ranks[place]),
        )
        for place, item in enumerate(latest.tolist(), start=1)
    ]
    return tuple(sorted(clicks, key=lambda one: -one.added))


def _shares(live: Live, known: np.ndarray, row: int) -> Shares | None:
    if not reads_both(live) or not all(_is_read(live, item) for item in (row, *known)):
        return None
    whole, text, image, rest = scores_without(live, known, row, _ABSENCES)
    return Shares(
        text=((whole - image) + (text - rest)) / 2,
        image=((whole - text) + (image - rest)) / 2,
        rest=rest,
    )


def _is_read(live: Live, item: int) -> bool:
    """Returns whether the content of an item is at hand: it was there in training, or came here."""
    run = live.run
    trained = item <= run.info["shape"]["n_items"]
    return trained or item in run.late.items or not is_frozen(run)


def _nearest(live: Live, known: np.ndarray, row: int) -> dict[str, Near]:
    others = [item for item in dict.fromkeys(known.tolist()) if item != row]
    others = [item for item in others if _is_read(live, item)]
    if not others or not _is_read(live, row):
        return {}
    found: dict[str, Near] = {}
    for modality, (one, (mean, spread)) in _content(live, [row, *others]).items():
        if not bool(one.present[0]) or not bool(one.present[1:].any()):
            continue
        rows = F.normalize((one.vectors.float() - mean) / spread, dim=1)
        cosines = (rows[1:] @ rows[0]).masked_fill(~one.present[1:], float("-inf"))
        best = int(cosines.argmax())
        item = others[best]
        found[modality] = Near(live.names[item], live.titles[item], float(cosines[best]))
    return found


def _content(live: Live, ids: Sequence[int]) -> dict[str, tuple[RawContent, tuple[Tensor, Tensor]]]:
    """Returns the vectors of items by each modality, and mean and spread over the catalogue.

    They are frozen vectors, or else what the model makes of items that show one modality alone.
    """
    known = live.run.model.known_content()
    if known is not None:
        content = live.run.late.among(ids, known)
        return {m: (content[m], _moments(live, m, one)) for m, one in known.items()}
    found = {}
    for modality in MODALITIES:
        made = made_by(live, modality, ids) if modality in modalities_of(live) else None
        if made is not None:
            rows, every = (RawContent(one, one.any(dim=1)) for one in made)
            found[modality] = (rows, _moments(live, modality, every))
    return found


def _moments(live: Live, modality: str, content: RawContent) -> tuple[Tensor, Tensor]:
    """Returns mean and spread ``[W]`` over the items of training; found once."""
    if modality not in live.moments:
        n_trained = live.run.info["shape"]["n_items"]
        trained = content.rows(slice(1, n_trained + 1))
        vectors = trained.vectors[trained.present].float()
        spread = vectors.std(dim=0, unbiased=False).clamp_min(1e-6)
        live.moments[modality] = (vectors.mean(dim=0), spread)
    return live.moments[modality]

"""The shuffle test: does it matter in which order a user did things?

The simplest model that reads order says what followed a user's last item in the histories of
others. It is asked for validation targets twice: as the data are, and after the order inside
every training history was shuffled. What is lost is what order is worth. Nothing is trained,
and no test target is looked at.
"""

import math
from dataclasses import dataclass

import numpy as np

from vlmrec.core.random import Streams
from vlmrec.data.checks.check import NO_TARGETS, DataCheck, Subject, checked, skipped
from vlmrec.data.checks.popularity import FloatArray, ndcg_at_10, popularity_ranks
from vlmrec.data.checks.ragged import slots
from vlmrec.data.checks.thresholds import LEAST_ORDER_GAIN
from vlmrec.data.sequences import IntArray
from vlmrec.data.splits import Split

MOST_USERS = 5_000
"""Users that are asked; a random sample of more."""
_SHUFFLES = 5


def order_matters(subject: Subject) -> DataCheck:
    """First-order transitions against the same with the order of each history shuffled."""
    name = "shuffle test"
    if subject.split is None:
        return skipped(name, NO_TARGETS)
    asked = _Asked.of(subject.split)
    ordered = asked.score(asked.events)
    shuffles = range(_SHUFFLES)
    shuffled = np.mean([asked.score(asked.shuffled(k)) for k in shuffles], axis=0)
    popular = float(ndcg_at_10(popularity_ranks(asked.counts, asked.targets)).mean())
    gain = ordered - shuffled
    mean, error = float(gain.mean()), float(gain.std() / math.sqrt(len(gain)))
    low, high = mean - 1.96 * error, mean + 1.96 * error
    enough = low > 0 and mean >= LEAST_ORDER_GAIN * float(ordered.mean())
    n = len(asked.targets)
    return checked(
        name,
        "pass" if enough else "warn",
        f"validation NDCG@10 of what followed the last item {ordered.mean():.4f}, shuffled "
        f"{shuffled.mean():.4f}, popularity {popular:.4f}: order is worth {mean:+.4f} "
        f"({low:+.4f} to {high:+.4f}, 95 %, {n:,} users)",
        "Hardly a gain from order was found, so a sequential model may have little to show: "
        "compare it with item-knn, and claim that order helps only beside a shuffled run.",
        {
            "ordered": float(ordered.mean()),
            "shuffled": float(shuffled.mean()),
            "popularity": popular,
            "gain": mean,
            "gain_low": low,
            "gain_high": high,
            "users": n,
        },
    )


@dataclass(frozen=True, eq=False)
class _Asked:
    """Training histories, one after the other, and the users that are asked.

    Attributes:
        events: ``[M]`` items of all histories.
        owner: ``[M]`` the history of each event.
        last: ``[n]`` the last event of each user asked.
        targets: ``[n]`` validation items.
        counts: ``[I + 1]`` popularity.
    """

    events: IntArray
    owner: IntArray
    last: IntArray
    targets: IntArray
    counts: IntArray

    @classmethod
    def of(cls, split: Split) -> "_Asked":
        train, valid = split.train, split.valid
        rows = np.arange(len(valid))
        if len(rows) > MOST_USERS:
            drawn = Streams(0).numpy("shuffle test", "users")
            rows = np.sort(drawn.choice(len(rows), size=MOST_USERS, replace=False))
        history = np.searchsorted(train.users, valid.users[rows])  # training has every user
        last = np.cumsum(train.lengths)[history] - 1
        counts = train.item_counts(split.dataset.n_items)
        events = train.flat().astype(np.int64)
        return cls(events, train.row_of_events(), last, valid.targets[rows], counts)

    def shuffled(self, k: int) -> IntArray:
        """Returns the events with those of each history in random order."""
        draws = Streams(0).numpy("shuffle test", k).random(len(self.events))
        return self.events[np.lexsort((draws, self.owner))]

    def score(self, events: IntArray) -> FloatArray:
        """Returns ``[n]`` NDCG@10 of ranking all items by how often they followed the last one.

        Items that did not follow it, and ties, are ordered by popularity.
        """
        n, width = len(self.targets), len(self.counts)
        follows = self.owner[1:] == self.owner[:-1]
        steps = events[:-1][follows] * width + events[1:][follows]
        known, times = np.unique(steps, return_counts=True)
        last = events[self.last]
        start = np.searchsorted(known, last * width)
        lengths = np.searchsorted(known, (last + 1) * width) - start
        place, rows = slots(start, lengths), np.repeat(np.arange(n), lengths)
        items = known[place] % width
        popularity = self.counts / (self.counts.max() + 1)  # below 1: decides ties of counts
        scores = times[place] + popularity[items]
        is_target = items == self.targets[rows]
        own = np.zeros(n)
        own[rows[is_target]] = scores[is_target]
        above = np.bincount(rows[scores > own[rows]], minlength=n)
        tied = np.bincount(rows[scores == own[rows]], minlength=n) - 1
        # A target that never followed comes behind all that did, however popular.
        others = np.sign(self.counts[self.targets[rows]] - self.counts[items])
        behind = popularity_ranks(self.counts, self.targets)
        behind += np.bincount(rows, weights=(others + 1) / 2, minlength=n)
        return ndcg_at_10(np.where(own > 0, 1.0 + above + tied / 2, behind))

"""Splits in which the people tested are unknown to training."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import DataError
from vlmrec.core.random import Streams
from vlmrec.data.sequences import Histories, IntArray
from vlmrec.data.splits import Split, cases_at, split_fingerprint

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset


class ColdUserOptions(StrictConfig):
    """Which users are kept from training."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the users, drawn uniformly, that training never sees."""
    seed: int = 0


class LateUserOptions(StrictConfig):
    """From when on users are new."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the users, those who came last, that training never sees."""


def cold_users(dataset: "Dataset", options: ColdUserOptions) -> Split:
    """Returns the split in which a share of the users is tested and the others are learned from.

    Of a tested user the last event is the target and all before it the history. Of the others all
    events but the last are training, and the last is validation.

    Raises:
        DataError: Nothing is left to test or to train.
    """
    rng = Streams(options.seed).numpy("cold-users")
    n_cold = max(1, round(dataset.n_users * options.share))
    is_cold = np.zeros(dataset.n_users, dtype=np.bool_)
    is_cold[rng.choice(dataset.n_users, size=n_cold, replace=False)] = True
    whole = dataset.sequences.whole()
    name = "cold-user"
    return _divided(dataset, name, is_cold, whole.stop, options.model_dump_json())


def late_users(dataset: "Dataset", options: LateUserOptions) -> Split:
    """Returns the split in which users are tested who came after everything that is learned from.

    A moment is chosen so that a share of the users has its first event at it or later. What
    earlier users did from that moment on is left out: training would know the future.

    Raises:
        DataError: Nothing is left to test or to train.
    """
    log = dataset.sequences
    whole = log.whole()
    first = np.asarray(log.timestamps)[whole.start]
    moment = np.sort(first)[int(len(first) * (1 - options.share))]
    early = np.concatenate([[0], np.cumsum(np.asarray(log.timestamps) < moment)])
    stop = whole.start + early[whole.stop] - early[whole.start]
    is_cold = first >= moment
    stop[is_cold] = whole.stop[is_cold]
    return _divided(dataset, "cold-user-by-time", is_cold, stop, options.model_dump_json())


def _divided(
    dataset: "Dataset", name: str, is_cold: NDArray[np.bool_], stop: IntArray, options: str
) -> Split:
    """Returns the split of users whose events up to `stop` count, ``[U]`` each."""
    log = dataset.sequences
    whole = log.whole()
    known = Histories(log, whole.users, whole.start, stop)
    learned = known.subset(~is_cold & (known.lengths >= 2))
    tested = known.subset(is_cold & (known.lengths >= 2))
    if not len(learned) or not len(tested):
        raise DataError(
            f"The {name} split leaves nothing to test or to train.",
            "Two events of a user are the least that can be learned from or tested.",
        )
    return Split(
        dataset,
        name,
        Histories(log, learned.users, learned.start, learned.stop - 1),
        cases_at(learned, learned.start, learned.stop - 1),
        cases_at(tested, tested.start, tested.stop - 1),
        split_fingerprint(dataset, name, options),
        notes={
            "cold_users": int(is_cold.sum()),
            "users_with_fewer_than_2_events_left_out": int((known.lengths < 2).sum()),
        },
    )

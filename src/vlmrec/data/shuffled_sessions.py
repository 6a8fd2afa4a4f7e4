"""The same events in another order inside each sitting: does the order there tell anything?"""

from typing import TYPE_CHECKING

import numpy as np

from vlmrec.core.random import Streams
from vlmrec.data.sequences import Sequences

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset

PAUSE = 1_800
"""Seconds without an event after which a new session begins."""
_TARGETS = 2


def shuffle_sessions(dataset: "Dataset", *, pause: int = PAUSE, seed: int = 0) -> "Dataset":
    """Returns the dataset with the items of each session dealt anew among its events.

    Times stay where they are, so that they go on rising. The last two events of each user keep
    their place: leave-one-out tests and validates the same targets as before.

    Args:
        dataset: The dataset.
        pause: Seconds without an event after which a new session begins.
        seed: Of the order.
    """
    log = dataset.sequences
    times, offsets = np.asarray(log.timestamps), np.asarray(log.offsets)
    begins = np.concatenate([[True], np.diff(times) > pause])
    begins[offsets[:-1][np.diff(offsets) > 0]] = True
    session = np.cumsum(begins)
    stays = np.zeros(log.n_events, dtype=np.bool_)
    for back in range(1, _TARGETS + 1):
        stays[(offsets[1:] - back)[np.diff(offsets) >= back]] = True
    moving = np.flatnonzero(~stays)
    draws = Streams(seed).numpy("sessions").random(len(moving))
    order = moving[np.lexsort((draws, session[moving]))]
    items = np.array(log.items)
    items[moving] = items[order]
    return dataset.with_sequences(Sequences(items, offsets, times))

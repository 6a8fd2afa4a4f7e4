"""Batches of the cloze task: windows in which some events have to be told from the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches, Window
from vlmrec.data.sequences import gather_padded


@dataclass(frozen=True, eq=False)
class ClozeBatches:
    """Windows of `NextItemBatches` of which only some events are targets.

    As everywhere, a target stands at the place before it. Here items hold the target as well,
    because rows are read from both sides; it is the model that must not read it.

    Attributes:
        windows: Where the rows come from. A row is its whole window: one event more than it has
            places with a next event.
        mask_prob: Probability that an event (but the first, which has no place before it) is a
            target; a row that would have none gets one at random.
        last_share: Share of rows in which the last event alone is the target.
    """

    windows: NextItemBatches
    mask_prob: float
    last_share: float

    @property
    def streams(self) -> Streams:
        """Where random numbers come from."""
        return self.windows.streams

    def plan(self, epoch: int) -> Sequence[Window]:
        """Returns the windows of each step of an epoch."""
        return self.windows.plan(epoch)

    def build(self, window: Window, epoch: int, step: int) -> TrainingBatch:
        """Returns the padded batch of one step; nothing follows a row's last event."""
        batch = self.windows.build(window, epoch, step)
        chosen = self._chosen(window, batch.targets.shape[1], epoch, step)  # [B, T]
        negatives = batch.negatives
        if negatives is not None and negatives.dim() == 3:
            negatives = F.pad(negatives, (0, 0, 0, 1))  # [B, T + 1, N]
        store = self.windows.histories.sequences.items
        return replace(
            batch,
            items=torch.as_tensor(gather_padded(store, window.start, window.length)),
            targets=F.pad(batch.targets * torch.as_tensor(chosen), (0, 1)),
            negatives=negatives,
            usual_count=self.windows.rows_a_batch * self.expected_targets,
        )

    @cached_property
    def expected_targets(self) -> float:
        """How many targets a row has, on average over rows and draws."""
        places = self.windows.target_counts
        drawn = places * self.mask_prob + (1 - self.mask_prob) ** places  # one, where there is none
        return self.last_share + (1 - self.last_share) * float(drawn.mean())

    def _chosen(self, window: Window, width: int, epoch: int, step: int) -> NDArray[np.bool_]:
        """Returns ``[B, T] bool``: the places whose next event is a target."""
        rng = self.streams.numpy("cloze", epoch, step)
        n, last = len(window.length), window.length - 2
        places = np.arange(width)
        inside = places <= last[:, None]
        chosen = (rng.random((n, width)) < self.mask_prob) & inside
        one = rng.integers(0, last + 1)
        ends = rng.random(n) < self.last_share
        alone = ends | ~chosen.any(axis=1)
        single = places == np.where(ends, last, one)[:, None]
        return np.where(alone[:, None], single, chosen)

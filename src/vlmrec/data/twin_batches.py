"""Batches in which each row comes with a twin: another training history with the same target."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from vlmrec.core.protocols import TrainingBatch, Twins
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches, Window
from vlmrec.data.sequences import Histories, IntArray, gather_padded


@dataclass(frozen=True, eq=False)
class TargetIndex:
    """Where in the training histories each item is a target, that is, has something before it.

    Attributes:
        keys: ``[n] int64`` sorted ``item * stride + event``.
        begin: ``[n] int64`` first event of the history that the event belongs to.
        stride: One more than the last event.
    """

    keys: IntArray
    begin: IntArray
    stride: int

    @classmethod
    def over(cls, histories: Histories) -> "TargetIndex":
        """Returns the index of `histories`."""
        lengths = histories.lengths
        begin = np.repeat(histories.start, lengths)
        offset = np.arange(len(begin), dtype=np.int64) - np.repeat(
            np.cumsum(lengths) - lengths, lengths
        )
        later = offset > 0
        begin, event = begin[later], (begin + offset)[later]
        stride = int(event.max(initial=0)) + 1
        keys = histories.sequences.items[event].astype(np.int64) * stride + event
        order = np.argsort(keys)
        return cls(keys[order], begin[order], stride)

    def draw(self, events: IntArray, items: IntArray, rng: np.random.Generator) -> IntArray:
        """Returns where in `keys` a twin of each target lies.

        Args:
            events: ``[B]`` the targets' events.
            items: ``[B]`` the targets themselves.
            rng: Draws uniformly among the item's other events.

        Returns:
            ``[B]``; the target's own place where the item is no other's target.
        """
        first = np.searchsorted(self.keys, items * self.stride)
        count = np.searchsorted(self.keys, (items + 1) * self.stride) - first
        own = np.searchsorted(self.keys, items * self.stride + events) - first
        further = rng.integers(0, np.maximum(count - 1, 1)) + 1
        return first + (own + further) % count

    def events(self, places: IntArray) -> IntArray:
        """Returns the events at `places` of `keys`."""
        return self.keys[places] % self.stride


@dataclass(frozen=True, eq=False)
class TwinBatches:
    """Windows of `NextItemBatches`; each row's twin shares one of its targets, drawn at random.

    A twin is read as far back as the longest row of its batch: rows of a batch are of like
    length, twins are not, and padding them all to the longest twin would cost more than the rows.

    Attributes:
        windows: Where the rows come from.
        index: Of the same histories.
    """

    windows: NextItemBatches
    index: TargetIndex

    @classmethod
    def over(cls, windows: NextItemBatches) -> "TwinBatches":
        """Returns batches of `windows` with twins from the same training histories."""
        return cls(windows, TargetIndex.over(windows.histories))

    @property
    def streams(self) -> Streams:
        """Where random numbers come from."""
        return self.windows.streams

    def plan(self, epoch: int) -> Sequence[Window]:
        """Returns the windows of each step of an epoch."""
        return self.windows.plan(epoch)

    def build(self, window: Window, epoch: int, step: int) -> TrainingBatch:
        """Returns the padded batch of one step, with twins."""
        rng = self.streams.numpy("twins", epoch, step)
        batch = self.windows.build(window, epoch, step)
        items = self.windows.histories.sequences.items
        places = rng.integers(0, window.length - 1)
        event = window.start + places + 1
        drawn = self.index.draw(event, items[event].astype(np.int64), rng)
        stop = self.index.events(drawn)
        start = np.maximum(self.index.begin[drawn], stop - batch.items.shape[1])
        alone = stop == event  # its own window may begin later than its history
        start = np.where(alone, window.start, start)
        twins = gather_padded(items, start, stop - start)
        return replace(batch, twins=Twins(torch.as_tensor(places), torch.as_tensor(twins)))

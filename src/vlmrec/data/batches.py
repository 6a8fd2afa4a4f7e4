"""Training batches: random windows of bounded length, rows of like length together.

Everything about epoch e, step s follows from (seed, e, s). A resumed run, and each of several
processes, builds exactly the batch that an undisturbed single process would have built.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.negatives import UniformNegatives, drawn_negatives
from vlmrec.data.sequences import Histories, IntArray, gather_padded

_SHORTEST = 2
"""Events of a row: something, and what came next."""
_POOL_BATCHES = 32
"""Rows are sorted by length within pools of so many batches: little padding, still mixed."""


@dataclass(frozen=True, eq=False)
class NextItemBatches:
    """One random window of at most `max_len` + 1 events of each user, an epoch.

    Every position of a window predicts the event behind it, and weighs the same in an epoch
    whatever batch it is in.

    Attributes:
        histories: Training histories; rows with one event have nothing to predict and are left
            out.
        max_len: Longest input T.
        batch_size: Rows B of a batch, over all processes.
        streams: Where random numbers come from.
        negatives: Sampler, or None where the objective needs none.
        n_negatives: How many negatives N.
        shared_negatives: One set of negatives a batch, instead of one a position.
    """

    histories: Histories
    max_len: int
    batch_size: int
    streams: Streams
    negatives: UniformNegatives | None = None
    n_negatives: int = 0
    shared_negatives: bool = False

    def plan(self, epoch: int) -> Sequence["Window"]:
        """Returns the windows of each step of an epoch."""
        rng = self.streams.numpy("windows", epoch)
        rows = np.flatnonzero(self.histories.lengths >= _SHORTEST)
        length = np.minimum(self.histories.lengths[rows], self.max_len + 1)
        slack = self.histories.lengths[rows] - length
        start = self.histories.start[rows] + rng.integers(0, slack + 1)
        order = _bucketed(length, self.batch_size, rng)
        batches: list[Window] = [
            Window(self.histories.users[rows[part]], start[part], length[part]) for part in order
        ]
        return [batches[int(i)] for i in rng.permutation(len(batches))]

    def build(self, window: "Window", epoch: int, step: int) -> TrainingBatch:
        """Returns the padded batch of one step."""
        items = self.histories.sequences.items
        inputs = gather_padded(items, window.start, window.length - 1)
        targets = gather_padded(items, window.start + 1, window.length - 1)
        return TrainingBatch(
            items=torch.as_tensor(inputs),
            targets=torch.as_tensor(targets),
            users=torch.as_tensor(window.users),
            negatives=self._negatives(window.users, inputs.shape[1], epoch, step),
            usual_count=self.rows_a_batch * float(self.target_counts.mean()),
        )

    @cached_property
    def target_counts(self) -> IntArray:
        """``[n]`` how many targets each row has, in every epoch."""
        lengths = self.histories.lengths
        return np.minimum(lengths[lengths >= _SHORTEST] - 1, self.max_len)

    @property
    def rows_a_batch(self) -> float:
        """Rows of an average batch; the last one of an epoch has fewer."""
        n = len(self.target_counts)
        return n / -(-n // self.batch_size)

    def _negatives(self, users: IntArray, width: int, epoch: int, step: int) -> torch.Tensor | None:
        if self.negatives is None or not self.n_negatives:
            return None
        rng = self.streams.numpy("negatives", epoch, step)
        shape = (users, width, self.n_negatives)
        return drawn_negatives(self.negatives, *shape, rng, shared=self.shared_negatives)


@dataclass(frozen=True, eq=False)
class Window:
    """Where the rows of one batch lie in the event store: ``[B] int64`` each."""

    users: IntArray
    start: IntArray
    length: IntArray


def _bucketed(length: IntArray, batch_size: int, rng: np.random.Generator) -> list[IntArray]:
    shuffled = rng.permutation(len(length))
    parts: list[IntArray] = []
    pool_size = batch_size * _POOL_BATCHES
    for begin in range(0, len(shuffled), pool_size):
        pool = shuffled[begin : begin + pool_size]
        pool = pool[np.argsort(length[pool], kind="stable")]
        parts.extend(pool[i : i + batch_size] for i in range(0, len(pool), batch_size))
    return parts

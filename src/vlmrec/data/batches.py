"""Training batches: windows of bounded length, rows of like length together.

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
    """Windows of at most `max_len` + 1 events of each user.

    Every position of a window predicts the event behind it, and weighs the same in an epoch
    whatever batch it is in. A history that fits into one window is one. Of a longer one an epoch
    takes pieces, which begin at another place in every epoch and together ask for each of its
    events once; or a single window at a random place.

    Attributes:
        histories: Training histories; rows with one event have nothing to predict and are left
            out.
        max_len: Longest input T.
        batch_size: Rows B of a batch, over all processes.
        streams: Where random numbers come from.
        negatives: Sampler, or None where the objective needs none.
        n_negatives: How many negatives N.
        shared_negatives: One set of negatives a batch, instead of one a position.
        whole: Take all of a long history in an epoch, not one window of it.
    """

    histories: Histories
    max_len: int
    batch_size: int
    streams: Streams
    negatives: UniformNegatives | None = None
    n_negatives: int = 0
    shared_negatives: bool = False
    whole: bool = True

    def plan(self, epoch: int) -> Sequence["Window"]:
        """Returns the windows of each step of an epoch."""
        rng = self.streams.numpy("windows", epoch)
        rows = np.flatnonzero(self.histories.lengths >= _SHORTEST)
        of, first, targets = (_pieces if self.whole else _one_window)(
            self.histories.lengths[rows] - 1, self.max_len, rng
        )
        rows, length = rows[of], targets + 1
        start = self.histories.start[rows] + first
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
            usual_count=self.usual_count,
        )

    @cached_property
    def target_counts(self) -> IntArray:
        """``[n]`` how many targets each row of the first epoch has; others have about as many."""
        return np.concatenate([window.length for window in self.plan(0)]) - 1

    @cached_property
    def usual_count(self) -> float:
        """Targets of an average batch, by which the loss of every batch is divided."""
        return self.rows_a_batch * float(self.target_counts.mean())

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


def _one_window(
    targets: IntArray, most: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """Returns one window of each history; the arguments and the result are those of `_pieces`."""
    taken = np.minimum(targets, most)
    return np.arange(len(targets)), rng.integers(0, targets - taken + 1), taken


def _pieces(
    targets: IntArray, most: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """Returns pieces of histories that together have each target once.

    The first piece of a history that is cut has 1 to `most` targets, at random, those behind it
    `most`, the last what is left: over the epochs each target is asked for with every number of
    events before it.

    Args:
        targets: ``[n]`` of each history.
        most: Targets of a piece, at most.
        rng: Draws where the cuts are.

    Returns:
        Of each piece the history it belongs to, how many events of it lie before, and its
        targets, ``[m]`` each.
    """
    head, long = targets.copy(), targets > most
    head[long] = rng.integers(1, most + 1, int(long.sum()))
    count = 1 - (head - targets) // most  # one, and as many as the rest needs
    of = np.repeat(np.arange(len(targets)), count)
    within = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    first = np.where(within == 0, 0, head[of] + (within - 1) * most)
    stop = np.minimum(head[of] + within * most, targets[of])
    return of, first, stop - first


def _bucketed(length: IntArray, batch_size: int, rng: np.random.Generator) -> list[IntArray]:
    shuffled = rng.permutation(len(length))
    parts: list[IntArray] = []
    pool_size = batch_size * _POOL_BATCHES
    for begin in range(0, len(shuffled), pool_size):
        pool = shuffled[begin : begin + pool_size]
        pool = pool[np.argsort(length[pool], kind="stable")]
        parts.extend(pool[i : i + batch_size] for i in range(0, len(pool), batch_size))
    return parts

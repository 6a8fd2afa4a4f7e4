"""Training batches of whole rows: the start of a history and the one event behind it.

Models that read a history as one prompt learn one target a row. As in `vlmrec.data.batches`,
batch s of epoch e follows from (seed, e, s) alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.batches import Window
from vlmrec.data.negatives import UniformNegatives, drawn_negatives
from vlmrec.data.sequences import Histories, IntArray, gather_padded


@dataclass(frozen=True, eq=False)
class PrefixBatches:
    """Random targets of every user, each with the latest events before it.

    A user's targets of one epoch differ, and lie in different passes over all users, so that
    one batch rarely meets a user twice.

    Attributes:
        histories: Training histories; rows with one event have nothing to predict and are left
            out.
        max_len: Longest input T.
        batch_size: Rows B of a batch, over all processes; a last batch of one row, which has
            nothing to be told apart from, is left out.
        epochs: Planned length of the training, for `TrainingBatch.progress`.
        streams: Where random numbers come from.
        targets_per_user: Targets of a user in an epoch; users with fewer have all of theirs.
        negatives: Sampler, or None for none besides the batch's own targets.
        n_negatives: How many negatives N.
        shared_negatives: One set of negatives a batch, instead of one a place.
    """

    histories: Histories
    max_len: int
    batch_size: int
    epochs: int
    streams: Streams
    targets_per_user: int = 1
    negatives: UniformNegatives | None = None
    n_negatives: int = 0
    shared_negatives: bool = True

    def plan(self, epoch: int) -> Sequence[Window]:
        """Returns the rows of each step of an epoch."""
        rng = self.streams.numpy("prefixes", epoch)
        rows = np.flatnonzero(self.histories.lengths >= 2)
        n_targets = self.histories.lengths[rows] - 1
        # Targets of a user: consecutive, from a random one on, around its end to its beginning.
        first = rng.integers(0, n_targets)
        passes: list[Window] = []
        for number in range(self.targets_per_user):
            chosen = rng.permutation(np.flatnonzero(n_targets > number))
            target = self.histories.start[rows[chosen]] + 1
            target += (first[chosen] + number) % n_targets[chosen]
            start = np.maximum(self.histories.start[rows[chosen]], target - self.max_len)
            passes.append(Window(self.histories.users[rows[chosen]], start, target - start))
        users, start, length = (
            np.concatenate([getattr(one, name) for one in passes])
            for name in ("users", "start", "length")
        )
        ends = range(0, len(users), self.batch_size)
        parts = [slice(begin, begin + self.batch_size) for begin in ends]
        batches = [Window(users[part], start[part], length[part]) for part in parts]
        return [batch for batch in batches if len(batch.users) > 1]

    def build(self, window: Window, epoch: int, step: int) -> TrainingBatch:
        """Returns the padded batch of one step; only the last real place of a row has a target."""
        items = self.histories.sequences.items
        inputs = gather_padded(items, window.start, window.length)
        targets = np.zeros_like(inputs)
        last = window.length - 1
        targets[np.arange(len(inputs)), last] = items[window.start + window.length]
        return TrainingBatch(
            items=torch.as_tensor(inputs),
            targets=torch.as_tensor(targets),
            users=torch.as_tensor(window.users),
            negatives=self._negatives(window.users, inputs.shape[1], epoch, step),
            progress=self._progress(epoch, step),
        )

    def _negatives(self, users: IntArray, width: int, epoch: int, step: int) -> torch.Tensor | None:
        if self.negatives is None or not self.n_negatives:
            return None
        rng = self.streams.numpy("negatives", epoch, step)
        shape = (users, width, self.n_negatives)
        return drawn_negatives(self.negatives, *shape, rng, shared=self.shared_negatives)

    def _progress(self, epoch: int, step: int) -> float:
        lengths = self.histories.lengths
        n_rows = np.minimum(lengths[lengths >= 2] - 1, self.targets_per_user).sum()
        steps = max(-(-int(n_rows) // self.batch_size), 1)
        return min((epoch + step / steps) / max(self.epochs, 1), 1.0)

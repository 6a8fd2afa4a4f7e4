"""Negatives that a re-ranker has to tell from the target: what another model ranks high."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.batches import Window
from vlmrec.data.prefix_batches import PrefixBatches
from vlmrec.data.sequences import Histories, IntArray, gather_padded

Scores = Callable[[Tensor, Tensor], Tensor]
"""Histories ``[B, T]`` and users ``[B]`` -> scores ``[B, I]`` of all items."""


@dataclass(frozen=True, eq=False)
class CandidateBatches:
    """Targets with the events before them, and negatives drawn from another model's best.

    None of them is an item of the user's training history. Satisfies
    `vlmrec.core.protocols.BatchSource`.

    Attributes:
        prefixes: The same without negatives.
        scores: The other model.
        pool: ``[P] int64`` items that training may know.
        n_candidates: How many of its best are drawn from.
        n_negatives: How many negatives N.
        streams: Where random numbers come from.
    """

    prefixes: PrefixBatches
    scores: Scores
    pool: IntArray
    n_candidates: int
    n_negatives: int
    streams: Streams

    def plan(self, epoch: int) -> Sequence[Window]:
        """Returns the rows of each step of an epoch."""
        return self.prefixes.plan(epoch)

    def build(self, window: Window, epoch: int, step: int) -> TrainingBatch:
        """Returns the batch of one step, negatives ``[B, T, N]`` at the places of targets."""
        batch = self.prefixes.build(window, epoch, step)
        best = self._best(batch)  # [B, K]
        rng = self.streams.numpy("candidates", epoch, step)
        # N different columns of each row.
        columns = np.argsort(rng.random(best.shape), axis=1)[:, : self.n_negatives]
        drawn = best.gather(1, torch.as_tensor(columns))  # [B, N]
        here = (batch.targets != PADDING_ID).unsqueeze(-1)  # [B, T, 1]
        return replace(batch, negatives=here * drawn.unsqueeze(1))

    def _best(self, batch: TrainingBatch) -> Tensor:
        scores = self.scores(batch.items, batch.users).clone()  # [B, I]
        never = torch.ones(scores.shape[1], dtype=torch.bool)
        never[torch.as_tensor(self.pool) - 1] = False
        scores[:, never] = -torch.inf
        known = torch.as_tensor(_events_of(self.prefixes.histories, batch.users.numpy()))
        scores = torch.cat([scores.new_zeros(len(scores), 1), scores], dim=1)
        scores.scatter_(1, known, -torch.inf)[:, PADDING_ID] = -torch.inf
        n = max(self.n_candidates, self.n_negatives)
        return scores.topk(min(n, len(self.pool)), dim=1).indices


def _events_of(histories: Histories, users: IntArray) -> IntArray:
    """Returns ``[B, L]`` all training items of each user, padded with 0."""
    rows = np.searchsorted(histories.users, users)
    return gather_padded(histories.sequences.items, histories.start[rows], histories.lengths[rows])

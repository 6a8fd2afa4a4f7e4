"""Training batches of numbered rows, for tasks that learn from other things than histories."""

from dataclasses import dataclass

import numpy as np
import torch

from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.sequences import IntArray


@dataclass(frozen=True, eq=False)
class RowBatches:
    """Every row once an epoch, in a new order; satisfies `vlmrec.core.protocols.BatchSource`.

    Attributes:
        rows: ``[n] int64`` row numbers from 1.
        batch_size: Rows in a batch.
        streams: Where random numbers come from.
        at_least: Batches of fewer rows (the last of an epoch) are left out; contrastive tasks
            need 2, because a single row has nothing to be told apart from.
    """

    rows: IntArray
    batch_size: int
    streams: Streams
    at_least: int = 1

    def plan(self, epoch: int) -> list[IntArray]:
        """Returns the rows of each step."""
        order = self.streams.numpy("rows", epoch).permutation(self.rows)
        starts = range(0, len(order), self.batch_size)
        batches = [order[start : start + self.batch_size] for start in starts]
        return [batch for batch in batches if len(batch) >= self.at_least]

    def build(self, window: IntArray, epoch: int, step: int) -> TrainingBatch:
        """Returns the batch of a step: rows ``[B, 1]``, which are their own targets."""
        del epoch, step
        rows = torch.as_tensor(np.ascontiguousarray(window))
        return TrainingBatch(rows.unsqueeze(1), rows.unsqueeze(1), rows)

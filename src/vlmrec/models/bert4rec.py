"""BERT4Rec: bidirectional transformer for recommendation (Sun et al., 2019, arXiv 1904.06690).

Some items of a history are hidden behind a learned vector ``[mask]`` and told from the items on
both sides (the cloze task); to recommend, a ``[mask]`` is put behind the history.

Differs from the paper: the first item of a window is never hidden; each epoch hides others, in
histories cut at other places, where the paper hides in ten copies, once and for all; a share
of the rows (`last_share`) stands for its extra copy with the last item hidden; scores have no
bias of the item (Equation 7), and a layer norm stands behind the projection, as in the authors'
code; positions count from the end.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.protocols import BatchSource, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.cloze_batches import ClozeBatches
from vlmrec.items.id_table import IdTable
from vlmrec.models.sasrec import SelfAttentive
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape, TrainingData
from vlmrec.scoring import Scorer
from vlmrec.users.transformer import BidirectionalTransformer


class BERT4Rec(SelfAttentive):
    """Learned item vectors under a transformer that fills gaps from both sides."""

    name: ClassVar[str] = "bert4rec"
    summary: ClassVar[str] = "learned item vectors under a transformer that fills in the blanks"

    mask_prob: float = Field(default=0.2, gt=0, le=1)
    """Share of items that are hidden; long histories want less (the paper: .2 on MovieLens, .4
    on Steam, .6 on Beauty)."""
    last_share: float = Field(default=0.1, ge=0, le=1)
    """Share of rows in which the last item alone is hidden, as in recommending."""

    def build(self, shape: CatalogShape) -> "ClozeRecommender":
        """Returns the model with weights not yet drawn."""
        return ClozeRecommender(self, shape.n_items)


class ClozeUsers(nn.Module):
    """States of hidden items.

    Args:
        transformer: Reads both sides; one place longer than the longest history.
        dim: Width D.
    """

    def __init__(self, transformer: BidirectionalTransformer, dim: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.mask_vector = nn.Parameter(torch.zeros(1, dim))
        self.projection = nn.Linear(dim, dim)
        self.projection_norm = nn.LayerNorm(dim)

    def forward(self, vectors: Tensor, mask: Tensor, hidden: Tensor) -> Tensor:
        """Returns the states of the hidden places, row by row.

        Args:
            vectors: ``[B, T, D]`` item vectors, padded on the right; those of hidden places are
                not read.
            mask: ``[B, T] bool`` true where there is an item.
            hidden: ``[B, T + 1] bool`` places of ``[mask]``; the last is behind all items.

        Returns:
            ``[M, D]`` for M hidden places.
        """
        vectors, mask = F.pad(vectors, (0, 0, 0, 1)), F.pad(mask, (0, 1))
        # A graph has no branches; it is made of `user_vectors`, which hides one place of each row.
        graph = torch.compiler.is_compiling()
        if not graph and not bool(hidden[:, -1].any()):
            vectors, mask, hidden = vectors[:, :-1], mask[:, :-1], hidden[:, :-1]
        read = torch.where(hidden.unsqueeze(-1), self.mask_vector, vectors)
        # In training, other rows of the batch must not decide how dropout masks are drawn.
        if not self.training and (graph or bool((hidden.sum(dim=1) == 1).all())):
            states = self.transformer(read, mask | hidden, hidden.int().argmax(dim=1))  # [B, D]
        else:
            states = self.transformer(read, mask | hidden)[hidden]  # [M, D]
        return self.projection_norm(F.gelu(self.projection(states)))


class ClozeRecommender(SequenceRecommender):
    """Predicts hidden items from those before and behind them.

    Args:
        spec: Hyper-parameters.
        n_items: Number of items I.
    """

    def __init__(self, spec: BERT4Rec, n_items: int) -> None:
        transformer = spec.transformer(BidirectionalTransformer, spec.max_len + 1)
        super().__init__(
            items=IdTable(n_items, spec.dim),
            users=ClozeUsers(transformer, spec.dim),
            scorer=Scorer(spec.scoring),
            objective=spec.objective,
            n_items=n_items,
            max_len=spec.max_len,
        )
        self.mask_prob = spec.mask_prob
        self.last_share = spec.last_share

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> BatchSource:
        """Returns windows of the training histories in which some items are targets."""
        del epochs
        windows = self.windows(training, streams, batch_size)
        return ClozeBatches(windows, self.mask_prob, self.last_share)

    def _queries(self, table: Tensor, rows: Tensor, batch: TrainingBatch) -> Tensor:
        """Returns ``[M, D]`` queries of the targets; what follows a place is hidden, if asked."""
        hidden = F.pad(batch.targets != PADDING_ID, (1, 0))  # [B, T + 1]
        states = self.users(F.embedding(rows, table), batch.items != PADDING_ID, hidden)
        return self.scorer.queries(states)

    def user_vectors(
        self, items: Tensor, users: Tensor | None = None, table: Tensor | None = None
    ) -> Tensor:
        """Returns the state of a ``[mask]`` behind each history; see the base class.

        Args:
            items: ``[B, T] int64`` histories, right-padded.
            users: Ignored: no user is known.
            table: ``[I + 1, D]`` item vectors; None makes those of the histories' items.

        Returns:
            ``[B, D]``; after an empty history the state of a ``[mask]`` alone.
        """
        del users
        mask = items != PADDING_ID  # [B, T]
        place = torch.arange(items.shape[1] + 1, device=items.device)
        behind = place == mask.sum(dim=1, keepdim=True)  # [B, T + 1]
        return self.users(self._vectors_of(items, table), mask, behind)

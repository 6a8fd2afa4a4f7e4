"""The wiring that all next-item models share: items, users, scorer, objective.

A paper's model file chooses the four parts; this file makes them train and rank.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.content_change import ContentChange
from vlmrec.core.protocols import BatchSource, LossSum, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches
from vlmrec.data.negatives import Exclusion
from vlmrec.data.sequences import IntArray
from vlmrec.items.content_changes import changed
from vlmrec.items.content_tower import ContentTower, RawContent
from vlmrec.items.vector_table import VectorTable
from vlmrec.models.negative_drawing import negatives_for, odds_for, sampled_loss
from vlmrec.models.sequence_ranker import PersonalSequenceRanker, SequenceRanker
from vlmrec.models.spec import Recommender, TrainingData
from vlmrec.objectives import AnyObjective
from vlmrec.scoring import Scorer
from vlmrec.users.transformer import ItemTransformer


class SequenceRecommender(Recommender):
    """Predicts the next item from the vectors of those before it.

    Args:
        items: Item encoder: ``items(ids)`` -> ``[n, D]``, ``items(None)`` -> ``[I + 1, D]``.
        users: User encoder: ``users(vectors [B, T, D], mask [B, T])`` -> ``[B, T, D]``. One
            whose attribute ``personal`` is true takes internal user ids ``[B]`` as well, 0 for
            unknown ones.
        scorer: Makes queries and keys.
        objective: The loss.
        n_items: Number of items I.
        max_len: Longest history T.
        exclude: What sampled negatives leave out.
    """

    whole_histories: ClassVar[bool] = True
    """Whether an epoch takes all of a history that is longer than `max_len`, or one window."""
    pool: Tensor
    place: Tensor

    def __init__(
        self,
        *,
        items: nn.Module,
        users: nn.Module,
        scorer: Scorer,
        objective: AnyObjective,
        n_items: int,
        max_len: int,
        exclude: Exclusion = "history",
    ) -> None:
        super().__init__()
        self.items = items
        self.users = users
        self.scorer = scorer
        self.objective = objective
        self.n_items = n_items
        self.max_len = max_len
        self.exclude: Exclusion = exclude
        self.personal = bool(getattr(users, "personal", False))
        self.register_buffer("pool", torch.arange(1, n_items + 1), persistent=False)
        self.odds: Tensor | None = None
        self.register_buffer("place", torch.arange(-1, n_items), persistent=False)

    def prepare(self, training: TrainingData) -> None:
        """Takes in which items training may know, and their frozen content."""
        self.restrict(training.training_items)
        odds = odds_for(self.objective, training)
        self.odds = None if odds is None else odds.to(self.pool.device)
        if isinstance(self.items, ContentTower | VectorTable):
            self.items.load(training.content, self.pool)

    def restrict(self, training_items: IntArray) -> None:
        """Takes in which items training may know; the loss is over no others.

        Args:
            training_items: ``[P] int64`` internal ids.
        """
        self.pool = torch.as_tensor(training_items).to(self.pool.device)
        self.objective = self.objective.over(len(self.pool))
        place = torch.full((self.n_items + 1,), -1, device=self.pool.device)
        place[self.pool] = torch.arange(len(self.pool), device=self.pool.device)
        self.place = place

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> BatchSource:
        """Returns windows of the training histories, cut anew in every epoch."""
        del epochs
        return self.windows(training, streams, batch_size)

    def windows(self, training: TrainingData, streams: Streams, batch_size: int) -> NextItemBatches:
        """Returns windows of the training histories, with the objective's negatives.

        Args:
            training: What `prepare` took in.
            streams: Where random numbers come from.
            batch_size: Rows of a batch, over all processes.
        """
        objective = self.objective
        negatives = negatives_for(objective, training, self.exclude)
        return NextItemBatches(
            training.histories,
            self.max_len,
            batch_size,
            streams,
            negatives,
            objective.n_negatives,
            objective.shared_negatives,
            self.whole_histories,
        )

    def odds_of(self, items: Tensor) -> Tensor | None:
        """Returns how often each negative is drawn, None where all are drawn alike."""
        return None if self.odds is None else self.odds[items]

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, int]:
        """Returns the summed loss and its count (the form that distributed wrappers pass on)."""
        loss = self.training_loss(batch)
        return loss.total, loss.count

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the loss summed over all positions that have a target."""
        if self.objective.n_negatives:
            return self._sampled_loss(batch)
        table = self.items(None)  # [I + 1, D]
        queries = self._queries(table, batch.items, batch)
        goal = self.place[batch.targets[batch.targets != PADDING_ID]]
        whole = len(self.pool) == self.n_items
        keys = self.scorer.keys(table[1:] if whole else table[self.pool])
        return self.objective(queries, keys, goal, None)

    def _sampled_loss(self, batch: TrainingBatch) -> LossSum:
        negatives = batch.negatives
        if negatives is None:
            raise ValueError("The objective needs negatives; the batch has none.")
        known = batch.targets != PADDING_ID
        picked = negatives if negatives.dim() == 1 else negatives[known]  # [N] or [M, N]
        flat = torch.cat([batch.items.flatten(), batch.targets[known], picked.flatten()])
        ids, row = flat.unique(return_inverse=True)  # each distinct item is encoded once
        table = self.items(ids)  # [n, D]
        sizes = [batch.items.numel(), int(known.sum()), picked.numel()]
        inputs, goal, wrong = row.split(sizes)
        queries = self._queries(table, inputs.view_as(batch.items), batch)
        keys = self.scorer.keys(table)
        rows = wrong.view_as(picked)
        return sampled_loss(self.objective, queries, keys, goal, rows, self.odds_of(picked))

    def _queries(self, table: Tensor, rows: Tensor, batch: TrainingBatch) -> Tensor:
        mask = batch.items != PADDING_ID  # [B, T]
        states = self._states(F.embedding(rows, table), mask, batch.users)
        return self.scorer.queries(states[batch.targets != PADDING_ID])  # [M, D]

    def _states(self, vectors: Tensor, mask: Tensor, users: Tensor | None) -> Tensor:
        if not self.personal:
            return self.users(vectors, mask)
        if users is None:
            users = torch.zeros(vectors.shape[0], dtype=torch.int64, device=vectors.device)
        return self.users(vectors, mask, users)

    def user_vectors(
        self, items: Tensor, users: Tensor | None = None, table: Tensor | None = None
    ) -> Tensor:
        """Returns the state after each history, before the scorer; gradients flow through it.

        Args:
            items: ``[B, T] int64`` histories, right-padded.
            users: ``[B] int64`` internal user ids, for user encoders that are personal; None
                and 0 are users that are not known.
            table: ``[I + 1, D]`` item vectors; None makes those of the histories' items.

        Returns:
            ``[B, D]``; zero after an empty history, except what a personal user encoder knows.
        """
        mask = items != PADDING_ID  # [B, T]
        vectors = self._vectors_of(items, table)
        length = mask.sum(dim=1)  # [B]
        place = (length - 1).clamp_min(0)
        if isinstance(self.users, ItemTransformer):
            last = self.users(vectors, mask, place)  # [B, D]
        else:
            states = self._states(vectors, mask, users)
            last = states[torch.arange(items.shape[0], device=items.device), place]
        return last if self.personal else last.masked_fill((length == 0)[:, None], 0.0)

    def _vectors_of(self, items: Tensor, table: Tensor | None) -> Tensor:
        """Returns ``[B, T, D]``, from the table or, each distinct item once, from the encoder."""
        if table is not None:
            return F.embedding(items, table)
        ids, rows = items.unique(return_inverse=True)
        return F.embedding(rows, self.items(ids))

    @torch.no_grad()
    def item_table(self) -> Tensor:
        """Returns ``[I + 1, D]`` current item vectors; row 0 is zero."""
        was_training = self.training
        self.eval()
        table = self.items(None).detach().clone()
        self.train(was_training)
        table[PADDING_ID] = 0.0
        return table

    @torch.no_grad()
    def vectors_at(self, items: Tensor) -> Tensor:
        """Returns the vectors ``[n, D]`` of items ``[n] int64``, and makes no others."""
        was_training = self.training
        self.eval()
        vectors = self.items(items).detach().clone()
        self.train(was_training)
        return vectors

    def ranker(self, item_vectors: Tensor | None = None) -> "SequenceRanker":
        """Returns a frozen view; see the base class."""
        return self._view(self.item_table() if item_vectors is None else item_vectors)

    def _view(self, item_vectors: Tensor) -> "SequenceRanker":
        kind = PersonalSequenceRanker if self.personal else SequenceRanker
        return kind(self, item_vectors)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is read of an item: "text", "image" or both; empty for models of ids alone."""
        read = self.items.modalities if isinstance(self.items, ContentTower) else []
        return tuple(name for name in ("text", "image") if name in read)

    @torch.no_grad()
    def ranker_with(self, changes: Mapping[str, ContentChange]) -> "SequenceRanker":
        """Returns a frozen view in which items show other content than their own.

        Where the model also learns a vector for each item, that vector stays as it is.

        Args:
            changes: By modality; those not named stay as they are.

        Raises:
            ValueError: A modality is named that the model does not read.
        """
        unknown = sorted(set(changes) - set(self.modalities))
        if not isinstance(self.items, ContentTower) or unknown:
            raise ValueError(f"Changes of {unknown}; the model reads {list(self.modalities)}.")
        self.eval()
        content = self.items.raw()
        shown = {name: changed(content[name], change) for name, change in changes.items()}
        table = self.items.add_ids(self.items.project({**content, **shown}))
        table[PADDING_ID] = 0.0
        return self._view(table)

    @torch.no_grad()
    def content_vectors(self, content: Mapping[str, RawContent]) -> Tensor | None:
        """Returns vectors of items known only by content; None for models of ids alone."""
        if not isinstance(self.items, ContentTower):
            return None
        self.eval()
        return self.items.project(content)

    def known_content(self) -> Mapping[str, RawContent] | None:
        """Returns the frozen content of all items; None for models of ids or given vectors."""
        return self.items.raw() if isinstance(self.items, ContentTower) else None

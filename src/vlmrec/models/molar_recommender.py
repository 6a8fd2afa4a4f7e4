"""Molar's second stage at work: item vectors, a user model over them, and an ID teacher."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.protocols import BatchSource, LossSum, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.prefix_batches import PrefixBatches
from vlmrec.items.vector_table import VECTORS
from vlmrec.models.body_users import BodyUsers
from vlmrec.models.item_model import ItemModel
from vlmrec.models.item_reading import ItemReadingRecommender
from vlmrec.models.molar_items import MolarItems
from vlmrec.models.molar_parts import read_parts
from vlmrec.models.negative_drawing import negatives_for, sampled_loss
from vlmrec.models.post_alignment import PostAlignment
from vlmrec.models.spec import TrainingData
from vlmrec.models.stored import StoredModel, load_stage, require_same_split
from vlmrec.scoring import Scorer
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.tuning import apply_tuning

if TYPE_CHECKING:
    from vlmrec.models.molar import Molar


class MolarRecommender(ItemReadingRecommender):
    """Satisfies `Trainable`, `Monitored` and `Growing` of `vlmrec.core.protocols`.

    Args:
        spec: Hyper-parameters.
        items: Item vectors.
        users: User encoder; a placeholder where it is a body, until `initialise`.
        scorer: Makes queries and keys.
        n_items: Number of items I.
    """

    weights_apart: ClassVar[tuple[str, ...]] = (*ItemReadingRecommender.weights_apart, "alignment.")

    def __init__(
        self, spec: "Molar", items: MolarItems, users: nn.Module, scorer: Scorer, n_items: int
    ) -> None:
        super().__init__(
            items=items,
            users=users,
            scorer=scorer,
            objective=spec.objective,
            n_items=n_items,
            max_len=spec.max_len,
        )
        self.spec = spec
        self._item_model = None
        self._mirm: StoredModel | None = None
        self.alignment: PostAlignment | None = None
        self._signals: dict[str, list[float]] = {}

    @property
    def vectors(self) -> MolarItems:
        """The item encoder, by its kind."""
        return cast("MolarItems", self.items)

    def initialise(self, streams: Streams, device: torch.device) -> None:
        """Draws what is new, and loads the item model, the body and the teacher."""
        spec = self.spec
        super().initialise(streams, device)
        self.vectors.start()
        self._mirm = load_stage("mirm", spec.mirm, ("mirm",))
        self._take_item_model(self._mirm.model)
        self.item_model.reader.vlm.to(device)
        if self.vectors.mode != "frozen":
            seed = streams.child_seed("item model")
            apply_tuning(self.item_model.reader.vlm, spec.item_tuning, seed)
        if spec.dueg == "body":
            backbone = spec.backbone or self._mirm.info["spec"]["backbone"]
            seed = streams.child_seed("body")
            vlm = load_vlm(backbone, spec.vlm, spec.tuning, device=device, seed=seed)
            self._take_body(spec.body_users(vlm, seed))
        if spec.alignment is not None:
            self.alignment = PostAlignment(
                spec.alignment, self.vectors.adapter.out_features, streams
            )
            self.alignment.require_batches(self.objective.n_negatives, self.max_len)
        self.to(device)

    def _take_item_model(self, model: object) -> None:
        if not isinstance(model, ItemModel):
            raise TypeError(f"{type(model).__name__} is no item model.")
        self._item_model = model
        self.vectors.follow(model.reader)

    def _take_body(self, body: BodyUsers) -> None:
        width = self.vectors.adapter.out_features
        fix = f"Set dim={body.vlm.width}, or leave backbone out to take the item model's."
        self.take_body(body, width, fix)

    def prepare(self, training: TrainingData) -> None:
        """Takes in item vectors; refuses earlier stages that were trained on other rows."""
        super().prepare(training)
        spec, mirm = self.spec, self._mirm
        if mirm is None:
            raise ValueError("The model has no item model yet: call initialise first.")
        require_same_split("mirm", spec.mirm, mirm, training.fingerprint)
        if self.alignment is not None:
            self.alignment.prepare(training, self.pool.device)
        self.vectors.load(training.content[VECTORS], self.pool)

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> BatchSource:
        """Returns random windows, or random targets with the events before them."""
        wanted, objective = self.spec.targets_per_user, self.objective
        if wanted is None:
            return super().batches(training, streams, batch_size=batch_size, epochs=epochs)
        return PrefixBatches(
            training.histories,
            self.max_len,
            batch_size,
            epochs,
            streams,
            wanted,
            negatives_for(objective, training, "history"),
            objective.n_negatives,
            objective.shared_negatives,
        )

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the ranking loss and alpha times the alignment, over all targets of a batch.

        The alignment is a mean over rows, the ranking loss one over targets; scaled so that
        dividing the sum by the number of targets gives Equation 5.
        """
        known = batch.targets != PADDING_ID
        goals = batch.targets[known]  # [M]
        picked = self.pool
        if self.objective.n_negatives:
            if batch.negatives is None:
                raise ValueError("The objective needs negatives; the batch has none.")
            picked = batch.negatives if batch.negatives.dim() == 1 else batch.negatives[known]
        past, past_row = batch.items.unique(return_inverse=True)
        keys, key_row = torch.cat([goals, picked.flatten()]).unique(return_inverse=True)
        read, scored = self.vectors.pair(past, keys)  # [h, D], [k, D]

        states = self._states_at(F.embedding(past_row, read), batch, known)
        goal, wrong = key_row.split([len(goals), picked.numel()])
        queries, table = self.scorer.queries(states[known]), self.scorer.keys(scored)
        if self.objective.n_negatives:
            odds, rows = self.odds_of(picked), wrong.view_as(picked)
            loss = sampled_loss(self.objective, queries, table, goal, rows, odds)
        else:
            loss = self.objective(queries, table, goal, None)
        self._note("ranking loss", loss.total / max(loss.count, 1))
        total = loss.total
        if self.alignment is not None:
            for name, (weight, mean) in self.alignment(states, scored[goal], goals, batch).items():
                self._note(name, mean)
                total = total + loss.count * weight * mean
        return LossSum(total, loss.count)

    def _states_at(self, vectors: Tensor, batch: TrainingBatch, wanted: Tensor) -> Tensor:
        """Returns ``[B, T, D]``, the user's state behind every wanted place."""
        mask = batch.items != PADDING_ID
        if isinstance(self.users, BodyUsers):
            return self.users(vectors, mask, wanted)
        return self._states(vectors, mask, batch.users)

    def _note(self, name: str, value: Tensor) -> None:
        if self.training:
            self._signals.setdefault(name, []).append(float(value.detach()))

    def take_signals(self) -> dict[str, float]:
        """Returns the mean of each part of the loss since the last call."""
        found, self._signals = self._signals, {}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def with_item_model(self, item_model: ItemModel) -> "MolarRecommender":
        """Returns a model that shares all but the item model."""
        model = MolarRecommender(self.spec, self.vectors, self.users, self.scorer, self.n_items)
        model._item_model = item_model
        return model

    def restore_parts(self, folder: Path) -> None:
        """Takes in what `write_parts` wrote.

        Raises:
            ArtifactError: A file is missing or damaged.
        """
        item_model, body = read_parts(folder, self.n_items, self.spec.vlm)
        self._item_model = item_model
        self.vectors.follow(item_model.reader)
        if body is not None:
            self._take_body(self.spec.body_users(body))

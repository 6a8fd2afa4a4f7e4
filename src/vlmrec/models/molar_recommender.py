"""Molar's second stage at work: item vectors, a user model over them, and an ID teacher."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import ConfigError
from vlmrec.core.protocols import BatchSource, LossSum, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.data.negatives import UniformNegatives
from vlmrec.data.prefix_batches import PrefixBatches
from vlmrec.items.vector_table import VECTORS
from vlmrec.models.body_users import BodyUsers
from vlmrec.models.item_model import ItemModel
from vlmrec.models.molar_items import MolarItems
from vlmrec.models.molar_parts import read_parts, write_parts
from vlmrec.models.post_alignment import PostAlignment
from vlmrec.models.sequence import SequenceRanker, SequenceRecommender
from vlmrec.models.spec import TrainingData
from vlmrec.models.stored import StoredModel, load_stage, require_same_split
from vlmrec.scoring import Scorer
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.tuning import apply_tuning, merge_lora

if TYPE_CHECKING:
    from vlmrec.models.molar import Molar

_PARTS = ("_item_model.", "items.vlm.", "users.vlm.", "alignment.")
"""Weights that are stored as checkpoints of their own, or needed in training only."""


class MolarRecommender(SequenceRecommender):
    """Satisfies `Trainable`, `Monitored` and `Multimodal` of `vlmrec.core.protocols`.

    Args:
        spec: Hyper-parameters.
        items: Item vectors.
        users: User encoder; a placeholder where it is a body, until `initialise`.
        scorer: Makes queries and keys.
        n_items: Number of items I.
    """

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
        self._mirm: StoredModel | None = None
        self._item_model: ItemModel | None = None
        self.alignment: PostAlignment | None = None
        self._signals: dict[str, list[float]] = {}

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is read of an item."""
        return self.item_model.modalities

    @property
    def vectors(self) -> MolarItems:
        """The item encoder, by its kind."""
        return cast("MolarItems", self.items)

    @property
    def item_model(self) -> ItemModel:
        """What item vectors are made by."""
        if self._item_model is None:
            raise ValueError("The model has no item model yet: call initialise first.")
        return self._item_model

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
        wanted, given = body.vlm.width, self.vectors.adapter.out_features
        if wanted != given:
            raise ConfigError(
                f"The body reads vectors of {wanted} dimensions, item vectors have {given}.",
                f"Set dim={wanted}, or leave backbone out to take the item model's.",
            )
        self.users = body

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
        n, negatives = objective.n_negatives, None
        if n:
            negatives = UniformNegatives.over(training.training_items, training.histories)
        return PrefixBatches(
            training.histories,
            self.max_len,
            batch_size,
            epochs,
            streams,
            wanted,
            negatives,
            n,
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
        negatives = wrong.view_as(picked) if self.objective.n_negatives else None
        queries = self.scorer.queries(states[known])
        loss = self.objective(queries, self.scorer.keys(scored), goal, negatives)
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

    @torch.no_grad()
    def ranker_with(self, changes: Mapping[str, ContentChange]) -> SequenceRanker:
        """Returns a frozen view in which items show other content than their own."""
        self.eval()
        raw = self.item_model.reader.changed(changes).everything().flat()
        return self._view(self.vectors.place(raw.to(self.pool.device)))

    def settle(self) -> None:
        """Merges LoRA into item model and body."""
        merge_lora(self.item_model.reader.vlm)
        if isinstance(self.users, BodyUsers):
            merge_lora(self.users.vlm)

    @torch.no_grad()
    def with_items(self, catalog: Catalog) -> "tuple[MolarRecommender, Tensor]":
        """Returns the model and the vectors ``[n, D]`` of new items."""
        self.eval()
        grown, raw = self.item_model.with_items(catalog)
        added = self.vectors.place(raw.to(self.pool.device)).cpu()
        return self._with_item_model(grown), added

    def _with_item_model(self, item_model: object) -> "MolarRecommender":
        """Returns a model that shares all but the item model."""
        spec = self.spec
        model = MolarRecommender(spec, self.vectors, self.users, self.scorer, self.n_items)
        if not isinstance(item_model, ItemModel):
            raise TypeError(f"{type(item_model).__name__} is no item model.")
        model._item_model = item_model
        return model.eval()

    def own_weights(self) -> dict[str, Tensor]:
        """Returns what is neither a checkpoint of its own nor needed in training only."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(_PARTS)}

    def take_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes in what `own_weights` gave.

        Raises:
            RuntimeError: They do not fit.
        """
        whole = {k: v for k, v in self.state_dict().items() if k.startswith(_PARTS)}
        self.load_state_dict({**whole, **weights})

    def write_parts(self, folder: Path) -> list[str]:
        """Writes the item model with words and pictures, and the body."""
        body = self.users.vlm if isinstance(self.users, BodyUsers) else None
        return write_parts(self.item_model, body, folder)

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

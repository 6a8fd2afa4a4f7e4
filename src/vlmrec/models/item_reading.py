"""What next-item models share whose item vectors a vision-language model reads from content."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor

from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import ConfigError
from vlmrec.data.catalog import Catalog
from vlmrec.models.body_users import BodyUsers
from vlmrec.models.catalog_reader import CatalogReader
from vlmrec.models.item_model import ItemModel
from vlmrec.models.molar_parts import write_parts
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.sequence_ranker import SequenceRanker
from vlmrec.models.spec import Recommender
from vlmrec.vlm.tuning import merge_lora


class ReadVectors(Protocol):
    """Item encoders over what an item model reads."""

    def follow(self, reader: CatalogReader) -> None:
        """Takes in what reads the items."""
        ...

    def place(self, raw: Tensor) -> Tensor:
        """Returns item vectors ``[n, D]`` of the item model's ``[n, W]``."""
        ...


class ItemReadingRecommender(SequenceRecommender):
    """An item model reads words and pictures; users are read from its vectors.

    Satisfies `vlmrec.core.protocols.Growing`. A run folder holds the item model with words
    and pictures, and the user model's body where it has one.
    """

    weights_apart: ClassVar[tuple[str, ...]] = ("_item_model.", "items.vlm.", "users.vlm.")
    """Weights that are stored as checkpoints of their own, or needed in training only."""
    whole_histories = False  # a language model reads the items of every window
    _item_model: ItemModel | None

    @property
    def item_model(self) -> ItemModel:
        """What item vectors are made by."""
        if self._item_model is None:
            raise ValueError("The model has no item model yet: call initialise first.")
        return self._item_model

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is read of an item."""
        return self.item_model.modalities

    def take_body(self, body: BodyUsers, width: int, fix: str) -> None:
        """Makes a language model's body the user encoder.

        Args:
            body: The user encoder.
            width: Of the item vectors.
            fix: What to do where the two do not fit.

        Raises:
            ConfigError: They do not.
        """
        if body.vlm.width != width:
            raise ConfigError(
                f"The body reads vectors of {body.vlm.width} dimensions, item vectors have "
                f"{width}.",
                fix,
            )
        self.users = body

    @torch.no_grad()
    def ranker_with(self, changes: Mapping[str, ContentChange]) -> SequenceRanker:
        """Returns a frozen view in which items show other content than their own."""
        self.eval()
        return self._view(self._placed(self.item_model.reader.changed(changes).everything().flat()))

    @torch.no_grad()
    def ranker_grown(self, changes: Mapping[str, ContentChange], known: Tensor) -> SequenceRanker:
        """Returns what `ranker_with` does; items of the `known` vectors are not read again."""
        self.eval()
        raw = self.item_model.reader.changed(changes).beyond(len(known) - 1).flat()
        new = self._placed(raw)
        return self._view(torch.cat([known.to(new.device), new]))

    @torch.no_grad()
    def with_items(self, catalog: Catalog) -> tuple[Recommender, Tensor]:
        """Returns the model and the vectors ``[n, D]`` of new items."""
        self.eval()
        grown, raw = self.item_model.with_items(catalog)
        return self.with_item_model(grown).eval(), self._placed(raw).cpu()

    @abstractmethod
    def with_item_model(self, item_model: ItemModel) -> Recommender:
        """Returns a model that shares all but the item model."""

    def _placed(self, raw: Tensor) -> Tensor:
        return cast("ReadVectors", self.items).place(raw.to(self.pool.device))

    def settle(self) -> None:
        """Merges LoRA into item model and body."""
        merge_lora(self.item_model.reader.vlm)
        if isinstance(self.users, BodyUsers):
            merge_lora(self.users.vlm)

    def own_weights(self) -> dict[str, Tensor]:
        """Returns what is neither a checkpoint of its own nor needed in training only."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(self.weights_apart)}

    def take_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes in what `own_weights` gave.

        Raises:
            RuntimeError: They do not fit.
        """
        apart = {k: v for k, v in self.state_dict().items() if k.startswith(self.weights_apart)}
        self.load_state_dict({**apart, **weights})

    def write_parts(self, folder: Path) -> list[str]:
        """Writes the item model with words and pictures, and the body."""
        body = self.users.vlm if isinstance(self.users, BodyUsers) else None
        return write_parts(self.item_model, body, folder)

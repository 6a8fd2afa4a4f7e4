"""HLLM at work: items as the item model reads them, users by a second model's body."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.random import Streams
from vlmrec.items.content_tower import RawContent
from vlmrec.models.body_users import BodyUsers
from vlmrec.models.item_model import ItemModel
from vlmrec.models.item_reading import ItemReadingRecommender
from vlmrec.models.molar_items import MolarItems
from vlmrec.models.molar_parts import read_parts
from vlmrec.models.read_items import ReadItems, mean_cosine
from vlmrec.models.spec import TrainingData
from vlmrec.scoring import Scorer
from vlmrec.vlm.loading import load_vlm

if TYPE_CHECKING:
    from vlmrec.models.hllm import HLLM

_SAMPLE = 64  # items that are compared before training


class HLLMRecommender(ItemReadingRecommender):
    """Satisfies `Trainable`, `Monitored` and `Growing` of `vlmrec.core.protocols`.

    Args:
        spec: Hyper-parameters.
        n_items: Number of items I.
    """

    def __init__(self, spec: "HLLM", n_items: int) -> None:
        super().__init__(
            items=nn.Identity(),
            users=nn.Identity(),
            scorer=Scorer(spec.scoring),
            objective=spec.objective,
            n_items=n_items,
            max_len=spec.max_len,
        )
        self.spec = spec
        self._item_model = None

    def initialise(self, streams: Streams, device: torch.device) -> None:
        """Loads both language models; what they add (tokens, LoRA) is drawn."""
        spec = self.spec
        item_model = ItemModel(spec.item_spec())
        item_model.initialise(streams, device)
        if spec.items == "joint" and not item_model.learns():
            raise ConfigError(
                f"items=joint with tuning.kind={spec.tuning.kind}: nothing of the item model "
                "learns, and every step would read its items again.",
                "Use --set tuning.kind=full, lora or connectors, or --set items=frozen.",
            )
        seed = streams.child_seed("body")
        name = spec.user_backbone or spec.backbone
        vlm = load_vlm(name, spec.user_vlm, spec.user_tuning, device=device, seed=seed)
        self._take_parts(item_model, spec.body_users(vlm))
        self.to(device)

    def _take_parts(self, item_model: ItemModel, body: BodyUsers) -> None:
        """Takes in both language models, of which only now the width is known."""
        vlm = item_model.vlm
        if vlm is None:
            raise ValueError("The item model has no backbone yet: call initialise first.")
        self._item_model = item_model
        mode, width = self.spec.items, vlm.width
        if mode == "joint" and not self.spec.standardise:
            self.items = ReadItems()
        else:
            self.items = MolarItems(
                n_items=self.n_items, width=width, dim=width, mode=mode, refresh_every=1
            )
            self.items.start()
        fix = "Leave user_backbone out, or name a model of the same width."
        self.take_body(body, width, fix)

    def prepare(self, training: TrainingData) -> None:
        """Takes in words and pictures; frozen items are read here, once."""
        super().prepare(training)
        self.item_model.prepare(training)
        self._follow()
        self.eval()
        if isinstance(self.items, MolarItems):
            raw = self.item_model.reader.everything().flat()
            self.items.load(RawContent(raw, raw.any(dim=1)), self.pool)
        else:
            self._require_different_items()

    def _follow(self) -> None:
        if isinstance(self.items, ReadItems | MolarItems):
            self.items.follow(self.item_model.reader)

    @torch.no_grad()
    def _require_different_items(self) -> None:
        """Refuses to begin where the loss would leave out every negative, and so be 0 for good."""
        limit = getattr(self.objective, "skip_similar", None)
        if limit is None:
            return
        some = self.pool[:: max(len(self.pool) // _SAMPLE, 1)][:_SAMPLE]
        found = mean_cosine(self.items(some))
        if found > limit:
            raise ConfigError(
                f"The item model finds all items alike: the mean cosine of {len(some)} of them is "
                f"{found:.4f}. Above objective.skip_similar={limit:g} negatives do not count, so "
                "there would be nothing to learn from.",
                "Use --set standardise=true, or --set objective.skip_similar=null.",
            )

    def take_signals(self) -> dict[str, float]:
        """Returns k, and how close items of a step were to each other on average."""
        found = {"scale": float(self.scorer.log_scale.detach().exp().clamp(max=100.0))}
        closeness = self.items.take_closeness() if isinstance(self.items, ReadItems) else None
        return found if closeness is None else {**found, "mean cosine of items": closeness}

    def with_item_model(self, item_model: ItemModel) -> "HLLMRecommender":
        """Returns a model that shares all but the item model."""
        model = HLLMRecommender(self.spec, self.n_items)
        model._item_model = item_model
        model.items, model.users, model.scorer = self.items, self.users, self.scorer
        return model

    def restore_parts(self, folder: Path) -> None:
        """Takes in what `write_parts` wrote.

        Raises:
            ArtifactError: A file is missing or damaged.
        """
        item_model, vlm = read_parts(folder, self.n_items, self.spec.user_vlm)
        if vlm is None:
            raise ArtifactError(
                f"'{folder}' holds no body of the user model; the run folder is incomplete.",
                "Restore it from a copy.",
            )
        self._take_parts(item_model, self.spec.body_users(vlm))
        self._follow()

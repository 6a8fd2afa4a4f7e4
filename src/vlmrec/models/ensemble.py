"""Score ensemble: the baseline that any way of joining two models has to beat.

Each member's scores of one history are brought to mean 0 and spread 1 over the catalogue, then
averaged. Nothing is learned. Molar's alignment joins an ID model and a content model in training;
this joins them at the end, at no cost.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from vlmrec.core.protocols import Ranker
from vlmrec.core.random import Streams
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender, Stage, TrainingData
from vlmrec.models.stored import (
    StoredModel,
    copy_run,
    load_model,
    load_stage,
    require_same_split,
    scores_of,
)

_MEMBERS = "members"


class Ensemble(ModelSpec):
    """The weighted mean of several runs' standardised scores."""

    name: ClassVar[str] = "ensemble"
    summary: ClassVar[str] = "the mean of other runs' standardised scores"

    runs: tuple[str, ...] = Field(min_length=2)
    """Run folders of the members, trained on the same split."""
    weights: tuple[float, ...] | None = None
    """One a member; null = all alike."""

    @model_validator(mode="after")
    def _one_weight_a_member(self) -> "Ensemble":
        if self.weights is not None and len(self.weights) != len(self.runs):
            raise ValueError(f"{len(self.weights)} weights for {len(self.runs)} runs")
        return self

    def stages(self) -> dict[str, Stage]:
        """Returns the members' runs."""
        return {f"runs.{place}": Stage(run, ()) for place, run in enumerate(self.runs)}

    def build(self, shape: CatalogShape) -> Recommender:
        """Returns the model; its members are loaded by `Recommender.initialise`."""
        del shape
        return EnsembleRecommender(self)

    def restore(self, shape: CatalogShape, folder: Path) -> Recommender:
        """Returns the model with the members that its run folder holds."""
        del shape
        places = [folder / _MEMBERS / str(number) for number in range(len(self.runs))]
        return EnsembleRecommender(self, [load_model(place) for place in places])

    def describe_loss(self) -> str:
        """Returns what is averaged."""
        return f"none (mean scores of {len(self.runs)} runs)"


class EnsembleRecommender(Recommender):
    """Ranks by the members' scores.

    Args:
        spec: Hyper-parameters.
        members: None until `initialise`.
    """

    def __init__(self, spec: Ensemble, members: Sequence[StoredModel] = ()) -> None:
        super().__init__()
        self.spec = spec
        self._members = list(members)
        self.max_len = max((one.model.max_len for one in members), default=1)

    def initialise(self, streams: Streams, device: torch.device) -> None:
        """Loads the members."""
        del streams
        stages = self.spec.stages().items()
        self._members = [load_stage(option, one.folder, one.kinds) for option, one in stages]
        self.max_len = max(one.model.max_len for one in self._members)
        for one in self._members:
            one.model.to(device)

    def prepare(self, training: TrainingData) -> None:
        """Refuses members that were trained on other rows."""
        for (option, stage), one in zip(self.spec.stages().items(), self._members, strict=True):
            require_same_split(option, stage.folder, one, training.fingerprint)

    def ranker(self, item_vectors: Tensor | None = None) -> "EnsembleRanker":
        """Returns a frozen view; there are no item vectors to give."""
        del item_vectors
        weights = self.spec.weights or (1.0,) * len(self._members)
        return EnsembleRanker([one.ranker() for one in self._members], weights)

    def own_weights(self) -> dict[str, Tensor]:
        """Returns nothing: members are stored as runs of their own."""
        return {}

    def take_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes nothing in."""
        if weights:
            raise RuntimeError(f"unexpected weights, the first is '{next(iter(weights))}'")

    def write_parts(self, folder: Path) -> list[str]:
        """Copies the members' run folders, so that this one stands alone."""
        names: list[str] = []
        for number, run in enumerate(self.spec.runs):
            names += copy_run(run, folder, f"{_MEMBERS}/{number}")
        return names


class EnsembleRanker:
    """Satisfies `vlmrec.core.protocols.PersonalRanker`; a query is its scores of all items.

    Args:
        members: Rankers of the same items.
        weights: One a member.
    """

    def __init__(self, members: Sequence[Ranker], weights: Sequence[float]) -> None:
        self._members = list(members)
        self._weights = [weight / sum(weights) for weight in weights]

    @property
    def n_items(self) -> int:
        """Number of items that are ranked."""
        return min(one.n_items for one in self._members)

    @property
    def max_len(self) -> int:
        """Longest history that any member reads."""
        return max(one.max_len for one in self._members)

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self._members[0].device

    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, I]``, the mean of the members' standardised scores."""
        return self.encode_users(histories, torch.zeros_like(histories[:, 0]))

    @torch.no_grad()
    def encode_users(self, histories: Tensor, users: Tensor) -> Tensor:
        """Returns the same for users ``[B]``, for members that know users."""
        total = torch.zeros(len(histories), self.n_items, device=self.device)
        for one, weight in zip(self._members, self._weights, strict=True):
            scores = scores_of(one, histories, users)[:, : self.n_items]
            spread, mean = torch.std_mean(scores, dim=1, keepdim=True, correction=0)
            total += weight * (scores - mean) / spread.clamp_min(1e-9)
        return total

    @torch.no_grad()
    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32``."""
        return queries[:, start - 1 : stop - 1].float()

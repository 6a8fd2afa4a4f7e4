"""Molar: item vectors by a vision-language model, users by its body, aligned with an ID model.

Stage 1 is `vlmrec.models.mirm`. Stage 2, here, learns to rank: the user's vector is what the
transformer body of a language model, its word embeddings removed, makes of the vectors of the
history at the token ``[User]`` (DUEG). A symmetric contrastive loss draws it towards the user's
vector by a model that knows items by id alone; that model is not used for ranking.

    loss = BCE + alpha * alignment                                              (Equation 5)

References:
    Luo et al. (2024), "Molar", arXiv 2412.18176, Sections 3.3 and 3.4.

Differs from the paper: item vectors are standardised and pass a linear map P, which starts as
the identity; scores are cosines over a learned temperature, since the paper names no scale; one
pass learns from every place of a window where the body allows it, with a ``[User]`` behind
each. Item vectors that learn on keep, in each step, the mean and spread that the same items had
in the first stage. The public code has no ``[User]``, no alignment and InfoNCE instead of BCE:
that is ``readout=last``, ``alignment=null``, ``objective.kind=sampled-softmax`` here.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field
from torch import nn

from vlmrec.core.errors import ConfigError
from vlmrec.items.vector_table import VECTORS
from vlmrec.models.body_users import BodyUsers, Readout
from vlmrec.models.id_teacher import TEACHERS
from vlmrec.models.molar_items import ItemMode, MolarItems
from vlmrec.models.molar_recommender import MolarRecommender
from vlmrec.models.spec import CatalogShape, ModelSpec, Stage
from vlmrec.objectives import AnyObjective, BinaryCrossEntropy
from vlmrec.objectives.user_alignment import UserAlignment
from vlmrec.scoring import Scorer, ScoringConfig
from vlmrec.users.fpmc import PersonalMarkovChain
from vlmrec.users.gru import CausalGRU
from vlmrec.users.transformer import CausalTransformer
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions


class Alignment(UserAlignment):
    """Post-alignment to an ID model (Section 3.4)."""

    teacher: str
    """Run folder of fpmc, gru4rec, sasrec or duorec, trained on the same split. The paper gives
    it the width of the item model; where widths differ, a learned linear map leads over."""
    joint: bool = False
    """Let the teacher learn on with its own loss, instead of keeping it as it was trained."""
    items: float = Field(default=0.0, ge=0)
    """Weight of the same loss between item vectors; not in the paper."""


class Molar(ModelSpec):
    """Content vectors of users and items, drawn towards those of an ID model."""

    name: ClassVar[str] = "molar"
    summary: ClassVar[str] = "a language model's body reads item vectors, aligned with an ID model"

    mirm: str
    """Run folder of `mirm`, trained on the same split: where item vectors come from."""
    items: ItemMode = "frozen"
    """frozen: item vectors stay as stage 1 left them, a step costs no reading. joint: the item
    model reads all items of a batch and learns with the rest, the dearest. refresh: it reads and
    learns from targets and negatives; items of histories come from a table."""
    refresh_every: int = Field(default=100, ge=1)
    """Steps between two readings of that table, each of which reads the whole catalogue."""
    item_tuning: TuningOptions = TuningOptions(kind="full")
    """Which weights of the item model learn, unless items are frozen."""
    dueg: Literal["body", "gru4rec", "sasrec", "fpmc"] = "body"
    """What makes a user of item vectors (Figure 3)."""
    backbone: str | None = None
    """Whose body; null = the pretrained model that the item model started from."""
    tuning: TuningOptions = TuningOptions(kind="full")
    """Which weights of the body learn: all below 7B, LoRA above, as in the paper."""
    vlm: VlmOptions = VlmOptions()
    """How the body computes (its number type)."""
    readout: Readout = "user"
    """The state of ``[User]`` behind the history, or that of the latest item."""
    targets_per_user: int | None = Field(default=None, ge=1)
    """Targets of each user in an epoch, each with the events before it; null = every place of a
    random window, which bodies that take no mask but their own read once a place."""
    max_len: int = Field(default=50, ge=1)
    """How many of the latest items are read; the public code reads 10."""
    dim: int | None = Field(default=None, ge=1)
    """Width of vectors under the other user models; null = that of the item model. Under the
    body it is the body's."""
    n_layers: int = Field(default=2, ge=1)
    """Layers of the other user models."""
    n_heads: int = Field(default=2, ge=1)
    """Attention heads of `dueg=sasrec`."""
    hidden: int = Field(default=256, ge=1)
    """Width of the feed-forward layers of `dueg=sasrec`, of the states of `dueg=gru4rec`."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On item vectors as they are read, and inside the other user models."""
    scoring: ScoringConfig = ScoringConfig(kind="cosine", temperature=0.1, learnable=True)
    """How user and item vector become a score."""
    objective: AnyObjective = BinaryCrossEntropy()
    """The ranking loss: BCE with one negative as in the paper; `sampled-softmax` is the public
    code's, `cross-entropy` that of the strongest baselines."""
    alignment: Alignment | None = None
    """Post-alignment; null turns it off."""

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Returns the specification that `values` describe; see the base class."""
        if "mirm" not in values:
            raise ConfigError(
                f"Option 'mirm' for {where} is missing: the run folder of an item model.",
                "Train one first (vlmrec train mirm) and name it with --set mirm=RUN.",
            )
        return super().parse(values, where)

    def content(self) -> dict[str, str]:
        """Returns where the item vectors come from."""
        return {VECTORS: self.mirm}

    def stages(self) -> dict[str, Stage]:
        """Returns the item model's run, and the teacher's."""
        found = {"mirm": Stage(self.mirm, ("mirm",))}
        if self.alignment is not None:
            found["alignment.teacher"] = Stage(self.alignment.teacher, TEACHERS)
        return found

    def build(self, shape: CatalogShape) -> MolarRecommender:
        """Returns the model; bodies and earlier stages are loaded by `Recommender.initialise`."""
        width = shape.widths[VECTORS]
        dim = self.dim or width
        items = MolarItems(
            n_items=shape.n_items,
            width=width,
            dim=dim,
            mode=self.items,
            refresh_every=self.refresh_every,
        )
        return MolarRecommender(
            self, items, self.user_encoder(dim, shape), Scorer(self.scoring), shape.n_items
        )

    def restore(self, shape: CatalogShape, folder: Path) -> MolarRecommender:
        """Returns the model with what a run folder holds of its parts."""
        model = self.build(shape)
        model.restore_parts(folder)
        return model

    def user_encoder(self, dim: int, shape: CatalogShape) -> nn.Module:
        """Returns the user encoder; a placeholder under `dueg=body`, which is loaded later.

        Args:
            dim: Width D of item vectors.
            shape: Of the data.

        Raises:
            ConfigError: `n_heads` does not divide the width.
        """
        if self.dueg == "body":
            return nn.Identity()
        if self.dueg == "fpmc":
            return PersonalMarkovChain(dim=dim, n_users=shape.n_users)
        if self.dueg == "gru4rec":
            return CausalGRU(
                dim=dim,
                hidden=self.hidden,
                n_layers=self.n_layers,
                dropout=self.dropout,
                embedding_dropout=self.dropout,
            )
        if dim % self.n_heads:
            raise ConfigError(
                f"Item vectors have {dim} dimensions, which {self.n_heads} heads do not divide.",
                "Choose another dim or n_heads.",
            )
        return CausalTransformer(
            dim=dim,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            max_len=self.max_len,
            dropout=self.dropout,
            hidden=self.hidden,
            norm="post",
        )

    def body_users(self, vlm: VisionLanguageModel, seed: int = 0) -> BodyUsers:
        """Returns the body of a vision-language model as user encoder.

        Args:
            vlm: Whose body.
            seed: Of the start value of ``[User]``.
        """
        return BodyUsers(vlm, self.readout, self.dropout, seed)

    def describe_loss(self) -> str:
        """Returns the loss, its negatives and the teacher."""
        n = self.objective.n_negatives
        loss = f"{self.objective.kind}, {n} negatives" if n else f"{self.objective.kind}, full"
        if self.alignment is None:
            return loss
        return f"{loss} + {self.alignment.weight:g} alignment"

"""SASRec: self-attentive sequential recommendation (Kang & McAuley, 2018, arXiv 1808.09781).

Differs from the paper: full cross-entropy is the default loss (the paper's binary
cross-entropy with one negative is `objective.kind=bce`), because it is the baseline that most
published gains fail to beat (arXiv 2309.07602); blocks are post-norm with GELU; windows start
at a random place of the history, so that positions count from the window's first item.
"""

from typing import ClassVar, TypeVar

from pydantic import Field

from vlmrec.core.errors import ConfigError
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape, ModelSpec
from vlmrec.models.vector_start import VectorStart
from vlmrec.objectives import AnyObjective, FullCrossEntropy
from vlmrec.scoring import Scorer, ScoringConfig
from vlmrec.users.transformer import CausalTransformer, ItemTransformer, Norm

AnyTransformer = TypeVar("AnyTransformer", bound=ItemTransformer)


class SelfAttentive(ModelSpec):
    """Base of specifications with a transformer as user encoder."""

    dim: int = Field(default=64, ge=1)
    """Width D of item vectors and states."""
    n_layers: int = Field(default=2, ge=1)
    """Transformer blocks."""
    n_heads: int = Field(default=2, ge=1)
    """Attention heads; must divide `dim`."""
    max_len: int = Field(default=50, ge=1)
    """How many of the latest items are read."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """On inputs, attention and sub-layers; sparse data wants about .5."""
    hidden: int = Field(default=256, ge=1)
    """Width of the feed-forward layers."""
    norm: Norm = "post"
    """Where layer norms stand."""
    scoring: ScoringConfig = ScoringConfig()
    """How state and item vector become a score."""
    objective: AnyObjective = FullCrossEntropy()
    """The loss."""

    def user_encoder(self) -> CausalTransformer:
        """Returns the transformer that turns item vectors into user states.

        Raises:
            ConfigError: `n_heads` does not divide `dim`.
        """
        return self.transformer(CausalTransformer, self.max_len)

    def transformer(self, kind: type[AnyTransformer], places: int) -> AnyTransformer:
        """Returns a transformer of these options.

        Args:
            kind: What its states may see.
            places: Longest sequence that it reads.

        Raises:
            ConfigError: `n_heads` does not divide `dim`.
        """
        if self.dim % self.n_heads:
            raise ConfigError(
                f"Option 'dim' was given {self.dim}, which {self.n_heads} heads do not divide.",
                "Choose dim as a multiple of n_heads.",
            )
        return kind(
            dim=self.dim,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            max_len=places,
            dropout=self.dropout,
            hidden=self.hidden,
            norm=self.norm,
        )

    def describe_loss(self) -> str:
        """Returns the loss and its negatives."""
        n = self.objective.n_negatives
        return f"{self.objective.kind}, {n} negatives" if n else f"{self.objective.kind}, full"


class SASRec(VectorStart, SelfAttentive):
    """Learned (or given) item vectors under a causal transformer."""

    name: ClassVar[str] = "sasrec"
    summary: ClassVar[str] = "learned item vectors under a causal transformer"

    def build(self, shape: CatalogShape) -> SequenceRecommender:
        """Returns the model with weights not yet drawn."""
        return SequenceRecommender(
            items=self.item_encoder(shape, self.dim),
            users=self.user_encoder(),
            scorer=Scorer(self.scoring),
            objective=self.objective,
            n_items=shape.n_items,
            max_len=self.max_len,
        )

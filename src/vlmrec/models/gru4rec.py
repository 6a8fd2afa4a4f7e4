"""GRU4Rec: recurrent networks for recommendation (Hidasi et al., ICLR 2016, arXiv 1511.06939).

Differs from the paper: full cross-entropy is the default loss instead of TOP1 or BPR over the
other items of the batch (the authors' later work also left those, arXiv 1706.03847, and
third-party losses explain most differences between versions, arXiv 2307.14956); items come in
as learned vectors and the same vectors score, without a bias, instead of one-hot in and a
separate output layer, and pass a layer norm, without which training stays with popularity for
long; windows of whole histories replace session-parallel batches that carry states on; the
optimiser is that of the training loop instead of Adagrad.
"""

from typing import ClassVar

from pydantic import Field

from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape
from vlmrec.models.vector_start import VectorStart
from vlmrec.objectives import AnyObjective, FullCrossEntropy
from vlmrec.scoring import Scorer, ScoringConfig
from vlmrec.users.gru import CausalGRU


class GRU4Rec(VectorStart):
    """Learned (or given) item vectors under a gated recurrent network."""

    name: ClassVar[str] = "gru4rec"
    summary: ClassVar[str] = "learned item vectors under a gated recurrent network"

    dim: int = Field(default=64, ge=1)
    """Width D of item vectors; that of `sasrec`, so that the two compare."""
    hidden: int = Field(default=128, ge=1)
    """Width of the recurrent states: they carry the whole past and want more room than an item;
    the paper's best were 100 and 1,000. Where it is not `dim`, a linear layer leads back."""
    n_layers: int = Field(default=1, ge=1)
    """Recurrent layers; the paper found one to be best."""
    max_len: int = Field(default=50, ge=1)
    """How many of the latest items are read."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """On the output of each recurrent layer; sparse data wants about .5."""
    embedding_dropout: float = Field(default=0.2, ge=0, lt=1)
    """On the item vectors that are read, not on those that score."""
    scoring: ScoringConfig = ScoringConfig()
    """How state and item vector become a score."""
    objective: AnyObjective = FullCrossEntropy()
    """The loss; the paper's own kind, a few sampled items, is `sampled-softmax`."""

    def build(self, shape: CatalogShape) -> SequenceRecommender:
        """Returns the model with weights not yet drawn."""
        users = CausalGRU(
            dim=self.dim,
            hidden=self.hidden,
            n_layers=self.n_layers,
            dropout=self.dropout,
            embedding_dropout=self.embedding_dropout,
        )
        return SequenceRecommender(
            items=self.item_encoder(shape, self.dim),
            users=users,
            scorer=Scorer(self.scoring),
            objective=self.objective,
            n_items=shape.n_items,
            max_len=self.max_len,
        )

    def describe_loss(self) -> str:
        """Returns the loss and its negatives."""
        n = self.objective.n_negatives
        return f"{self.objective.kind}, {n} negatives" if n else f"{self.objective.kind}, full"

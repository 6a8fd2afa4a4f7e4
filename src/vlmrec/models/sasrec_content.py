"""SASRec over frozen content: item vectors are projected text and picture vectors.

With text only, pictures only or both these are the baselines that Molar calls SASRec-BERT,
SASRec-ViT and SASRec-BERT+ViT (arXiv 2412.18176, Table 2).

Differs from the paper: the encoders are the small packaged ones unless others are named, and
modalities are averaged over what an item has instead of concatenated, so that an item without a
picture is scored on the right scale.
"""

from typing import ClassVar, Self

from pydantic import Field

from vlmrec.items.content_tower import ContentTower
from vlmrec.models.frozen_content import FrozenContent
from vlmrec.models.sasrec import SelfAttentive
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape
from vlmrec.scoring import Scorer


class SASRecContent(FrozenContent, SelfAttentive):
    """Projected frozen text and picture vectors under a causal transformer."""

    name: ClassVar[str] = "sasrec-content"
    summary: ClassVar[str] = "projected frozen text and picture vectors under a transformer"

    use_ids: bool = False
    """Add a learned vector for each training item; then new items have content only."""
    content_hidden: int = Field(default=128, ge=1)
    """Width of the hidden layer between frozen and item vectors."""
    content_dropout: float = Field(default=0.1, ge=0, lt=1)
    """On that hidden layer."""

    def alone(self, modality: str) -> Self | None:
        """Returns the same model reading one modality only; None if it does not read it."""
        alone = super().alone(modality)
        return None if alone is None else alone.model_copy(update={"use_ids": False})

    def build(self, shape: CatalogShape) -> SequenceRecommender:
        """Returns the model with weights not yet drawn."""
        tower = ContentTower(
            n_items=shape.n_items,
            widths=shape.widths,
            dim=self.dim,
            hidden=self.content_hidden,
            dropout=self.content_dropout,
            use_ids=self.use_ids,
        )
        return SequenceRecommender(
            items=tower,
            users=self.user_encoder(),
            scorer=Scorer(self.scoring),
            objective=self.objective,
            n_items=shape.n_items,
            max_len=self.max_len,
        )

"""Options of models that know items by id: their vectors are learned, or start from given ones.

Starting from the vectors of a language or vision-language model is how LLM2Rec (He et al., 2025)
and VLM2Rec use theirs in a sequential model. Here one option takes random vectors, those of an
untouched model, or those of a fine-tuned one, so that they can be compared.
"""

from typing import Literal

from pydantic import Field, model_validator

from vlmrec.items.id_table import IdTable
from vlmrec.items.vector_table import VECTORS, VectorTable
from vlmrec.models.spec import CatalogShape, ModelSpec


class VectorStart(ModelSpec):
    """Base of specifications whose item vectors are learned or start from given ones."""

    vectors: str | None = None
    """Item vectors to start from: a vector file, a run folder, "random:WIDTH", or null: learn a
    vector for each item. "random:WIDTH:SEED" draws others."""
    vectors_mode: Literal["frozen", "tuned"] = "frozen"
    """Learn only the linear adapter above the given vectors, or the vectors as well."""
    vectors_dim: int | None = Field(default=128, ge=1)
    """Principal axes that are kept of the given vectors (standardised, not whitened); null keeps
    all dimensions. 128 makes vectors of different widths cost the same and compare fairly."""

    @model_validator(mode="after")
    def _need_vectors(self) -> "VectorStart":
        if self.vectors is None and self.vectors_mode != "frozen":
            raise ValueError(f"vectors_mode is {self.vectors_mode}, but there are no vectors")
        return self

    def content(self) -> dict[str, str]:
        """Returns the source of the vectors to start from, if there is one."""
        return {} if self.vectors is None else {VECTORS: self.vectors}

    def item_encoder(self, shape: CatalogShape, dim: int) -> IdTable | VectorTable:
        """Returns what makes the item vectors ``[I + 1, dim]``."""
        if self.vectors is None:
            return IdTable(shape.n_items, dim)
        return VectorTable(
            n_items=shape.n_items,
            width=shape.widths[VECTORS],
            dim=dim,
            size=self.vectors_dim,
            tuned=self.vectors_mode == "tuned",
        )

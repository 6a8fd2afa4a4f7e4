"""MIRM, the item model of Molar: a vision-language model that turns an item into a vector.

Stage 1 of Molar fine-tunes a vision-language model by next-token loss on three kinds of
questions about items and histories (`vlmrec.models.mirm_tasks`); what it then makes of an item is
the last hidden state of a learned token, ``[Cur_Item]``, behind the item's picture and words.

References:
    Luo et al. (2024), "Molar", arXiv 2412.18176, Section 3.2.

Differs from the paper: it prints no prompts, so all wording is ours. ``[Cur_Item]`` also stands
behind every item of the fine-tuning prompts, because a token that never occurs in fine-tuning
would still have its start value when item vectors are kept for the second stage.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from vlmrec.models.catalog_reader import ReadingOptions
from vlmrec.models.item_model import ItemModel
from vlmrec.models.mirm_tasks import Inputs, MirmTasks
from vlmrec.models.mirm_templates import CUR_ITEM
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender
from vlmrec.vlm.options import TuningOptions, VlmOptions


class Mirm(ModelSpec):
    """A vision-language model that is taught items, and makes item vectors."""

    name: ClassVar[str] = "mirm"
    summary: ClassVar[str] = "Molar's item model: a vision-language model taught items by questions"

    backbone: str = "compact"
    """Vision-language model: "compact", "tiny", a checkpoint folder, or a hub id. The paper
    uses Qwen2-VL-2B."""
    vlm: VlmOptions = VlmOptions()
    """How the model is fed; without a `pooling` of your own, ``[Cur_Item]`` is read."""
    tuning: TuningOptions = TuningOptions(kind="full")
    """Which weights learn: all below 7B, LoRA above, as in the paper."""
    inputs: Inputs = "both"
    """Which modalities are read (Table 3)."""
    text_fields: tuple[str, ...] | None = None
    """Columns that make up an item's words; null = see `Catalog.default_text_fields`."""
    max_words: int = Field(default=64, ge=1)
    """Longest text of an item; the public code reads 200 tokens."""
    item_prefix: str = "Sum up this item."
    """Instruction in front of every item."""
    text_prefix: str = "Item information: "
    """Words between an item's picture and its text, as in the paper's Figure 2."""
    tasks: MirmTasks = MirmTasks()
    """What it is fine-tuned on (Table 5); with all three tasks off it is the backbone as it is."""
    held_out: float = Field(default=0.05, gt=0, lt=1)
    """Share of each task's examples that are not learned from; their loss chooses the epoch."""
    max_len: int = Field(default=10, ge=1)
    """Items of a history whose mean vector ranks; for a look at the vectors, not a method."""
    chunk: int = Field(default=64, ge=1)
    """Prompts held in memory at a time; larger batches are computed twice (gradient cache)."""

    def alone(self, modality: str) -> "Mirm | None":
        """Returns the same model reading one modality only."""
        if self.inputs not in ("both", modality):
            return None
        return self.model_copy(update={"inputs": modality})

    def build(self, shape: CatalogShape) -> Recommender:
        """Returns the model; its backbone is loaded by `Recommender.initialise`."""
        del shape
        return ItemModel(self)

    def restore(self, shape: CatalogShape, folder: Path) -> Recommender:
        """Returns the model with the backbone, words and pictures of a run folder."""
        return ItemModel.from_folder(self, folder, shape.n_items)

    def feeding(self) -> VlmOptions:
        """Returns how the model is fed, the readout included."""
        return self.vlm.model_copy(update={"pooling": self.vlm.pooling or CUR_ITEM})

    def reading(self) -> ReadingOptions:
        """Returns how items become prompts."""
        return ReadingOptions(
            names=(self.inputs,),
            item_prefix=self.item_prefix,
            history_prefix="",
            max_words=self.max_words,
            normalize=False,
            chunk=self.chunk,
            text_prefix="" if self.inputs == "image" else self.text_prefix,
            token=CUR_ITEM,
        )

    def describe_loss(self) -> str:
        """Returns the tasks."""
        on = [name for name in ("image_text", "attributes", "behaviour") if self._size(name)]
        return f"next token: {', '.join(on)}" if on else "none (the backbone as it is)"

    def _size(self, task: str) -> int:
        found = getattr(self.tasks, task)
        return 0 if found is None else found.n_examples

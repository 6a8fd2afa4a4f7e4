"""HLLM: one language model turns items into vectors, another one reads the vectors of a history.

The item model reads an instruction, an item's words (and picture, as an option) and a learned
token; the last hidden state of that token is the item's vector e. The user model is the body of
a second language model over e_1 .. e_n, causal; its output u_t predicts e_{t+1} at every place,
among sampled negatives:

    loss = mean_t -log [exp(s+) / (exp(s+) + sum_n exp(s_n))],   s = k cos(u_t, e)

with a learned k; a negative whose cosine with the target is above .99 does not count. Both
models learn.

References:
    Chen et al. (2024), "HLLM: Enhancing Sequential Recommendations via Hierarchical Large
    Language Models for Item and User Modeling", arXiv 2409.12740.

Differs from the paper: pictures; vectors enter the user model at the spread of its word
embeddings; ``items=frozen``, where the item model stays as it was loaded.
"""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from vlmrec.models.body_users import BodyUsers
from vlmrec.models.hllm_recommender import HLLMRecommender
from vlmrec.models.mirm import Mirm
from vlmrec.models.mirm_tasks import Inputs, MirmTasks
from vlmrec.models.spec import CatalogShape, ModelSpec
from vlmrec.objectives import AnyObjective, SampledSoftmax
from vlmrec.scoring import ScoringConfig
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions

_UNTAUGHT = MirmTasks(image_text=None, attributes=None, behaviour=None)


class HLLM(ModelSpec):
    """Two language models, one for items and one for users, that learn together."""

    name: ClassVar[str] = "hllm"
    summary: ClassVar[str] = "one language model reads items, a second one the vectors of a history"

    backbone: str = "compact"
    """Item model: "compact", "tiny", a checkpoint folder, or a hub id. The paper uses
    TinyLlama-1.1B and Baichuan2-7B."""
    vlm: VlmOptions = VlmOptions()
    """How the item model is fed; without a `pooling` of your own, the learned token is read."""
    tuning: TuningOptions = TuningOptions(kind="full")
    """Which weights of the item model learn, unless items are frozen; all, as in the paper."""
    user_backbone: str | None = None
    """Whose body is the user model; null = another copy of the item model's checkpoint."""
    user_vlm: VlmOptions = VlmOptions()
    """How the user model computes (its number type)."""
    user_tuning: TuningOptions = TuningOptions(kind="full")
    """Which weights of the user model learn; all, as in the paper."""
    items: Literal["joint", "frozen"] = "joint"
    """joint: the item model reads all items of a batch and learns, as in the paper. frozen: its
    vectors are read once; a step reads nothing."""
    standardise: bool = False
    """Standardise the vectors of items that learn and pass them through a linear map P, as
    Molar does here; frozen ones always are. For models that find all items alike at the start,
    so that every negative would be left out."""
    inputs: Inputs = "text"
    """Which modalities are read; words alone in the paper."""
    text_fields: tuple[str, ...] | None = None
    """Columns that make up an item's words; null = see `Catalog.default_text_fields`."""
    max_words: int = Field(default=64, ge=1)
    """Longest text of an item; the paper reads 256 tokens."""
    item_prefix: str = "Compress the following item into embedding:"
    """Instruction in front of every item."""
    text_prefix: str = ""
    """Words between an item's picture and its text."""
    max_len: int = Field(default=10, ge=1)
    """How many of the latest items are read, 10 as in the paper."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On item vectors as the user model reads them; none in the paper."""
    scoring: ScoringConfig = ScoringConfig(kind="cosine", temperature=0.07, learnable=True)
    """How user and item vector become a score; k is 1 / temperature, at most 100."""
    objective: AnyObjective = SampledSoftmax(
        kind="sampled-softmax", n_negatives=256, skip_similar=0.99
    )
    """The loss, over negatives that the batch shares. Each distinct item of a batch is read
    once, so that under `items=joint` negatives cost more than anything else."""
    chunk: int = Field(default=64, ge=1)
    """Prompts held in memory at a time; larger batches are computed twice (gradient cache)."""

    def alone(self, modality: str) -> "HLLM | None":
        """Returns the same model reading one modality only."""
        if self.inputs not in ("both", modality):
            return None
        return self.model_copy(update={"inputs": modality})

    def build(self, shape: CatalogShape) -> HLLMRecommender:
        """Returns the model; both language models are loaded by `Recommender.initialise`."""
        return HLLMRecommender(self, shape.n_items)

    def restore(self, shape: CatalogShape, folder: Path) -> HLLMRecommender:
        """Returns the model with what a run folder holds of its parts."""
        model = self.build(shape)
        model.restore_parts(folder)
        return model

    def item_spec(self) -> Mirm:
        """Returns the item model: Molar's, which nothing was taught."""
        frozen = self.items == "frozen"
        return Mirm(
            backbone=self.backbone,
            vlm=self.vlm,
            tuning=TuningOptions(kind="frozen") if frozen else self.tuning,
            inputs=self.inputs,
            text_fields=self.text_fields,
            max_words=self.max_words,
            item_prefix=self.item_prefix,
            text_prefix=self.text_prefix,
            tasks=_UNTAUGHT,
            max_len=self.max_len,
            chunk=self.chunk,
        )

    def body_users(self, vlm: VisionLanguageModel) -> BodyUsers:
        """Returns the body of a language model as user encoder."""
        return BodyUsers(vlm, "last", self.dropout)

    def describe_loss(self) -> str:
        """Returns the loss and its negatives."""
        n = self.objective.n_negatives
        return f"{self.objective.kind}, {n} negatives" if n else f"{self.objective.kind}, full"

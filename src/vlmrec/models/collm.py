"""CoLLM: a language model is told what a collaborative model knows, as vectors among the words.

The prompt lists the titles of a history, then asks about one item. A mapping turns the vectors
that a model of ids has for user and item into word embeddings, which stand in the prompt at
``[UserID]`` and ``[TargetItemID]``. It learns in two steps: first the language model, by LoRA, on
the words alone; then, with the language model as it is, the mapping.

References:
    Zhang et al. (2023), "CoLLM: Integrating Collaborative Embeddings into Large Language Models
    for Recommendation", arXiv 2310.19488, Sections 4.1 to 4.3.

Differs from the paper: it judges single pairs of user and item (AUC), and does not rank a
catalogue. Here it re-ranks the best of the collaborative model (`mode=rerank`), or a linear map
of that model's item vectors is ranked by what the language model makes of the history
(`mode=retrieve`). Negatives are items that the user has not chosen, not low ratings. The score is
logit(yes) - logit(no). Wording and the token in front of the question are ours.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vlmrec.core.errors import ConfigError
from vlmrec.models.catalog_reader import ReadingOptions
from vlmrec.models.collm_recommender import CoLLMRecommender
from vlmrec.models.collm_reranking import AskingRecommender
from vlmrec.models.collm_retrieval import ReadingRecommender
from vlmrec.models.id_teacher import TEACHERS
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender, Stage
from vlmrec.objectives import AnyObjective, BinaryCrossEntropy, FullCrossEntropy
from vlmrec.scoring import ScoringConfig
from vlmrec.vlm.options import TuningOptions, VlmOptions


class CoLLM(ModelSpec):
    """A language model that reads titles and the vectors of a model of ids."""

    name: ClassVar[str] = "collm"
    summary: ClassVar[str] = "a language model reads titles and a collaborative model's vectors"

    cf: str
    """Run folder of the collaborative model (fpmc, gru4rec, sasrec or duorec), trained on the
    same split. With `mode=rerank` its best items are what is re-ranked."""
    step_one: str | None = None
    """Run folder of the first step: a `collm` run without `step_one`. null: this is the first
    step, in which the language model learns from words alone."""
    mode: Literal["rerank", "retrieve"] = "rerank"
    """rerank: the language model is asked about each of `n_candidates` items, behind which all
    others stand as the collaborative model ranks them. retrieve: it reads the history once, and
    its state ranks all items."""
    n_candidates: int = Field(default=100, ge=1)
    """Items that are re-ranked. Recall at this rank is the collaborative model's own: no
    re-ranking can lift recall at a smaller one above it."""
    negatives_from: Literal["catalogue", "candidates"] = "catalogue"
    """Where negatives of training are drawn from: all items, or the collaborative model's best,
    which are what a re-ranker has to tell apart."""
    backbone: str = "compact"
    """Language model of the first step: "compact", "tiny", a checkpoint folder, or a hub id. The
    paper uses Vicuna-7B."""
    vlm: VlmOptions = VlmOptions()
    """How the language model computes."""
    tuning: TuningOptions = TuningOptions(kind="lora", rank=8, alpha=16.0, dropout=0.05)
    """What of it learns in the first step; the paper puts LoRA on queries and values alone."""
    text_fields: tuple[str, ...] | None = None
    """Columns that make up an item's words; null = its title, where there is one."""
    max_words: int = Field(default=12, ge=1)
    """Longest text of an item."""
    history: int = Field(default=10, ge=1)
    """How many of the latest items are told in words; the collaborative model reads as many as
    it was trained on."""
    widening: int = Field(default=10, ge=1)
    """Hidden width of the mapping, in multiples of the collaborative vectors'."""
    cf_learns: bool = False
    """Let the collaborative model learn on in the second step."""
    targets_per_user: int = Field(default=1, ge=1)
    """Targets of each user in an epoch, each with the events before it."""
    chunk: int = Field(default=16, ge=1)
    """Histories held in memory at a time, with all that is asked behind each; larger batches are
    computed twice (gradient cache)."""
    scoring: ScoringConfig = ScoringConfig(kind="cosine", temperature=0.05, learnable=True)
    """How state and item vector become a score in `mode=retrieve`."""
    objective: AnyObjective | None = None
    """The loss; null = BCE with one negative for `rerank` (the paper's), full cross-entropy for
    `retrieve`."""

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Returns the specification that `values` describe; see the base class."""
        if "cf" not in values:
            raise ConfigError(
                f"Option 'cf' for {where} is missing: the run folder of a collaborative model.",
                "Train one first (vlmrec train sasrec) and name it with --set cf=RUN.",
            )
        return super().parse(values, where)

    @model_validator(mode="after")
    def _need_negatives(self) -> "CoLLM":
        if self.mode == "rerank" and not self.loss().n_negatives:
            raise ValueError(
                "mode=rerank asks about each item by itself: it needs an objective with negatives"
            )
        if self.loss().negative_power():
            raise ValueError("collm draws negatives uniformly; objective.popularity must be 0")
        if self.cf_learns and self.step_one is None:
            raise ValueError("cf_learns is for the second step; step_one is null")
        return self

    @property
    def hybrid(self) -> bool:
        """Whether the prompt holds collaborative vectors: in the second step."""
        return self.step_one is not None

    def loss(self) -> AnyObjective:
        """Returns the loss, with the mode's own for null."""
        if self.objective is not None:
            return self.objective
        return BinaryCrossEntropy() if self.mode == "rerank" else FullCrossEntropy()

    def stages(self) -> dict[str, Stage]:
        """Returns the collaborative model's run, and the first step's."""
        found = {"cf": Stage(self.cf, TEACHERS)}
        if self.step_one is not None:
            found["step_one"] = Stage(self.step_one, ("collm",))
        return found

    def build(self, shape: CatalogShape) -> CoLLMRecommender:
        """Returns the model; what it builds on is loaded by `Recommender.initialise`."""
        del shape
        return self._kind()(self)

    def restore(self, shape: CatalogShape, folder: Path) -> Recommender:
        """Returns the model with what a run folder holds of its parts."""
        return self._kind().from_folder(self, folder, shape.n_items)

    def _kind(self) -> type[CoLLMRecommender]:
        return AskingRecommender if self.mode == "rerank" else ReadingRecommender

    def reading(self) -> ReadingOptions:
        """Returns how items become words."""
        return ReadingOptions(("text",), "", "", self.max_words, normalize=False, chunk=self.chunk)

    def describe_loss(self) -> str:
        """Returns the loss, its negatives and the step."""
        loss = self.loss()
        n = loss.n_negatives
        told = f"{loss.kind}, {n} negatives" if n else f"{loss.kind}, full"
        return f"{told}; {'mapping' if self.hybrid else 'words alone'}"

"""VLM2Rec: a vision-language model fine-tuned on clicks so that both modalities learn.

The history as a text prompt and as a picture prompt go through one model with one LoRA; the two
vectors, each at length 1, are added (external fusion). Items are read in the same way. Weak-
modality penalized contrastive learning (WPCL) and cross-modal relational topology
regularization (CRTR) keep the weaker modality from starving under the contrastive loss.

References:
    Kim et al. (2026), "VLM2Rec", arXiv 2603.17450.

Differs from the paper: its equations, prompts and hyper-parameters are not known to us. Losses
are our reconstruction from descriptions of it (see ``docs/papers/vlm2rec.md``), and so is
everything here that has a number.
"""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from vlmrec.models.branch_ranker import Readout
from vlmrec.models.catalog_reader import ReadingOptions
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender
from vlmrec.models.two_branches import TwoBranchRecommender
from vlmrec.objectives.crtr import Crtr
from vlmrec.objectives.gradient_modulation import GradientModulation
from vlmrec.objectives.info_nce import InfoNce
from vlmrec.objectives.modality_dropout import ModalityDropout
from vlmrec.objectives.unimodal_heads import UnimodalHeads
from vlmrec.objectives.wpcl import Wpcl
from vlmrec.vlm.options import TuningOptions, VlmOptions


class VLM2Rec(ModelSpec):
    """A vision-language model that reads histories and items, fine-tuned on clicks."""

    name: ClassVar[str] = "vlm2rec"
    summary: ClassVar[str] = "a vision-language model reads histories; both modalities learn"

    backbone: str = "compact"
    """Vision-language model: "compact", "tiny", a checkpoint folder, or a hub id. The paper
    uses Qwen2.5-VL-3B."""
    vlm: VlmOptions = VlmOptions(pooling="last")
    """How the model is fed; the last token is the paper's readout. `compact` was trained to be
    read by its mean, see the recipes."""
    tuning: TuningOptions = TuningOptions(kind="lora")
    """Which weights learn; LoRA as in the paper, its rank 16 is usual for embedders."""
    fusion: Literal["external", "internal"] = "external"
    """One prompt a modality, vectors added (the paper's choice), or one prompt in which
    pictures and titles take turns."""
    inputs: Literal["both", "text", "image"] = "both"
    """Which modalities are read; one alone is the yardstick of its branch."""
    max_len: int = Field(default=10, ge=1)
    """Items of a history that are read, as in the paper."""
    text_fields: tuple[str, ...] = ("title",)
    """Columns that make up an item's words; the paper's history is a list of titles."""
    max_words: int = Field(default=24, ge=1)
    """Longest text of an item: some shops write titles of sixty words, and ten of them make a
    prompt."""
    item_prefix: str = ""
    """Words in front of every item."""
    history_prefix: str = "Bought, oldest first:"
    """Words in front of every history; the prompts of the paper are not known to us."""
    normalize: bool = True
    """Bring each branch to length 1 before adding, so that lengths cannot choose the winner;
    off is an ablation."""
    scoring: Readout = "cosine"
    """What is learned and ranked by: cosine of the summed vectors, or the mean cosine of the
    branches (without cross terms)."""
    info_nce: InfoNce = InfoNce()
    """The contrastive loss that all else is added to."""
    n_negatives: int = Field(default=0, ge=0)
    """Uniform negatives besides the batch's other targets; each costs the reading of an item."""
    wpcl: Wpcl | None = Wpcl()
    """Weak-modality penalty; null turns it off."""
    crtr: Crtr | None = Crtr()
    """Topology regularization; null turns it off."""
    heads: UnimodalHeads | None = None
    """Baseline: each branch has a contrastive loss of its own."""
    modality_dropout: ModalityDropout | None = None
    """Baseline: some rows are scored by one modality."""
    modulation: GradientModulation | None = None
    """Baseline: the stronger branch's gradient is damped."""
    targets_per_user: int = Field(default=1, ge=1)
    """Targets drawn from each user's history in an epoch."""
    chunk: int = Field(default=64, ge=1)
    """Prompts held in memory at a time; a larger batch is encoded twice (gradient cache)."""
    measure_every: int = Field(default=50, ge=0)
    """Steps between measurements of the gradient that comes through each branch, which cost
    one more backward pass; 0 measures never."""

    @model_validator(mode="after")
    def _branches_are_there(self) -> "VLM2Rec":
        if self.inputs != "both" or self.fusion == "internal":
            names = ("wpcl", "crtr", "heads", "modality_dropout", "modulation")
            needing = [name for name in names if getattr(self, name) is not None]
            if needing:
                raise ValueError(
                    f"{', '.join(needing)} compare two branches, and inputs={self.inputs} with "
                    f"fusion={self.fusion} has one; set {'=null '.join(needing)}=null"
                )
        return self

    def alone(self, modality: str) -> "VLM2Rec | None":
        """Returns the same model reading one modality, under the plain contrastive loss."""
        if self.inputs not in ("both", modality):
            return None
        values = self.model_dump()
        losses = ("wpcl", "crtr", "heads", "modality_dropout", "modulation")
        values.update(dict.fromkeys(losses), inputs=modality, fusion="external")
        return VLM2Rec.model_validate(values)

    def build(self, shape: CatalogShape) -> Recommender:
        """Returns the model; its backbone is loaded by `Recommender.initialise`."""
        del shape
        return TwoBranchRecommender(self)

    def restore(self, shape: CatalogShape, folder: Path) -> Recommender:
        """Returns the model with the backbone, words and pictures of a run folder."""
        return TwoBranchRecommender.from_folder(self, folder, shape.n_items)

    def reading(self) -> ReadingOptions:
        """Returns how items and histories become prompts."""
        return ReadingOptions(
            names=self.branches(),
            item_prefix=self.item_prefix,
            history_prefix=self.history_prefix,
            max_words=self.max_words,
            normalize=self.normalize,
            chunk=self.chunk,
        )

    def branches(self) -> tuple[str, ...]:
        """Returns the names of the branches."""
        if self.inputs != "both":
            return (self.inputs,)
        return ("text", "image") if self.fusion == "external" else ("both",)

    def describe_loss(self) -> str:
        """Returns the loss and its negatives."""
        extra = f" and {self.n_negatives} sampled items" if self.n_negatives else ""
        told = [f"InfoNCE against the batch's targets{extra}"]
        if self.wpcl is not None:
            told.append(f"WPCL-{self.wpcl.variant} kappa {self.wpcl.kappa:g}")
        if self.crtr is not None:
            told.append(f"CRTR {self.crtr.weight:g}")
        if self.heads is not None:
            told.append(f"unimodal heads {self.heads.weight:g}")
        if self.modality_dropout is not None:
            told.append(f"modality dropout {self.modality_dropout.p:g}")
        if self.modulation is not None:
            told.append("gradient modulation")
        return " + ".join(told)

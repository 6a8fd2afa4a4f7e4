"""How long, how fast and where to train; what a model is stands in its own specification."""

from typing import Literal

from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.core.device import DeviceName


class TrainOptions(StrictConfig):
    """Options of one training run."""

    epochs: int = Field(default=200, ge=0)
    """At most so many passes; early stopping usually ends sooner."""
    epoch_steps: int | None = Field(default=None, ge=1)
    """After so many batches an epoch ends, so that validation comes sooner on large data; null =
    after all. Each epoch shuffles anew."""
    batch_size: int = Field(default=64, ge=1)
    """Histories, or pieces of long ones, in a batch, over all processes."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of Adam, after warm-up."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled (AdamW)."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly."""
    warmup_start: float = Field(default=0.0, ge=0, le=1)
    """Share of the learning rate that warm-up starts from; Molar's is .01."""
    schedule: Literal["constant", "cosine"] = "constant"
    """What the learning rate does after warm-up; cosine falls to 0 at the last epoch."""
    grad_clip: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient, or null."""
    patience: int = Field(default=6, ge=1)
    """Stop after so many validations without a better `valid_metric`."""
    valid_metric: str = "NDCG@10"
    """The one metric on validation cases that epochs are chosen by; models that are not trained
    to rank, such as `mirm`, measure a loss of their own on held-out rows instead."""
    valid_every: int = Field(default=1, ge=1)
    """Epochs between validations."""
    seed: int = 0
    """All random numbers follow from it."""
    device: DeviceName = "auto"
    """Where to train."""
    tensorboard: bool = False
    """Also write TensorBoard event files into the run folder (extra 'tensorboard')."""

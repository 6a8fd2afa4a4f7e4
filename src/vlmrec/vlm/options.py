"""How a vision-language model is loaded, fed and tuned: the options and their defaults."""

from typing import Literal

from pydantic import Field

from vlmrec.core.config import StrictConfig

Padding = Literal["right", "left"]


class TuningOptions(StrictConfig):
    """Which weights learn."""

    kind: Literal["frozen", "connectors", "lora", "full"] = "frozen"
    """frozen = none, connectors = learned tokens and compact's projector, lora = also low-rank
    additions to the language body (Hu et al., 2022), full = also the whole language body. The
    projectors of other families belong to the tower (`vision`)."""
    rank: int = Field(default=16, ge=1)
    """Rank of the LoRA matrices (VLM2Vec and others use 8 to 32)."""
    alpha: float = Field(default=32.0, gt=0)
    """LoRA scale; additions are multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout in front of the LoRA matrices."""
    targets: tuple[str, ...] | None = None
    """Names of linear layers of the language body that get LoRA; None = attention and MLP."""
    vision: bool = False
    """Whether the vision tower learns too; visual features can then not be cached."""
    gradient_checkpointing: bool = False
    """Recompute activations layer by layer in the backward pass: about a third more time, far
    less memory."""


class VlmOptions(StrictConfig):
    """How prompts become tokens and batches."""

    dtype: Literal["auto", "float32", "bfloat16", "mixed"] = "auto"
    """Of the weights; auto = bfloat16 where the device computes it fast, else float32. mixed =
    float32 weights, bfloat16 products in the body: several times as fast where a processor
    multiplies bfloat16 in hardware (AMX, GPUs), and small steps of learning weights are kept."""
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"] = "auto"
    """auto = flash-attention where it is installed on a GPU, else PyTorch's fused attention."""
    max_tokens: int | None = Field(default=None, ge=8)
    """Tokens of a prompt; longer texts are cut, pictures never; None = what the model is
    made for."""
    min_pixels: int | None = Field(default=None, ge=1)
    """Smaller pictures are enlarged to this area (families with dynamic resolution)."""
    max_pixels: int | None = Field(default=None, ge=1)
    """Larger pictures are shrunk to this area (families with dynamic resolution)."""
    max_tiles: int | None = Field(default=None, ge=1)
    """Tiles a picture may be cut into (families that tile)."""
    visual_tokens: Literal[1, 4, 9, 16, 49] | None = None
    """Tokens a picture becomes (compact and tiny); None = 4."""
    pooling: str | None = None
    """last, mean, mean-text, mean-image or the name of a special token; None = the family's."""
    normalize: bool = False
    """Whether vectors are scaled to length 1."""
    chat: bool = False
    """Whether prompts are put into the checkpoint's chat template."""
    instruction: str | None = None
    """System message of the chat template, such as the task of an embedding model."""
    padding: Padding = "right"
    """Side on which shorter prompts of a batch are filled up."""
    tokens_per_batch: int = Field(default=4096, ge=1)
    """Upper bound of prompts times longest prompt in one forward pass."""
    bucketed: bool = True
    """Whether prompts of similar length share a forward pass; else all are padded to longest."""
    deduplicate: bool = True
    """Whether equal prompts of one call are encoded once."""
    pictures_per_batch: int = Field(default=16, ge=1)
    """Pictures in one pass through the vision tower."""

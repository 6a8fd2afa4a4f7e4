"""Encoders that stay loaded between one use and the next."""

import torch

from vlmrec.vlm.encoders import load_image_encoder, load_text_encoder
from vlmrec.vlm.image import FrozenImageEncoder
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.text import FrozenTextEncoder


class Encoders:
    """Encoders that stay loaded, for whoever needs them again and again."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, torch.device | None], FrozenTextEncoder] = {}
        self._images: dict[tuple[str, torch.device | None], FrozenImageEncoder] = {}
        self._models: dict[
            tuple[str, VlmOptions | None, torch.device | None], VisionLanguageModel
        ] = {}

    def text(self, name: str, device: torch.device | None) -> FrozenTextEncoder:
        """Returns a text encoder, see `vlmrec.vlm.encoders.load_text_encoder`."""
        if (name, device) not in self._texts:
            self._texts[name, device] = load_text_encoder(name, device=device)
        return self._texts[name, device]

    def image(self, name: str, device: torch.device | None) -> FrozenImageEncoder:
        """Returns a picture encoder, see `vlmrec.vlm.encoders.load_image_encoder`."""
        if (name, device) not in self._images:
            self._images[name, device] = load_image_encoder(name, device=device)
        return self._images[name, device]

    def vision_language(
        self, name: str, options: VlmOptions | None, device: torch.device | None
    ) -> VisionLanguageModel:
        """Returns a vision-language model, see `vlmrec.vlm.loading.load_vlm`."""
        key = (name, options, device)
        if key not in self._models:
            self._models[key] = load_vlm(name, options, device=device)
        return self._models[key]

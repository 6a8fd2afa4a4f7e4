"""Items as prompts: a format with places for text and picture, and the encoder that fills it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.prompts import ImagePart, Part, PictureSource, Prompt, SpecialPart, TextPart

FORMATS = {"both": "{image}{text}", "text": "{text}", "image": "{image}"}
"""Formats of an item's prompt by modality: the picture first, as the families were trained."""

_PLACE = re.compile(r"(\{[^{}]*\})")


@dataclass(frozen=True)
class ItemFormat:
    """Where an item's text and picture go in its prompt.

    ``{text}`` and ``{image}`` are places, ``{special:NAME}`` is the special token NAME, all
    else is taken as it stands. A part that an item lacks leaves nothing behind.

    Args:
        pattern: Such as ``"{image}Product: {text}{special:[Cur_Item]}"``.

    Raises:
        ConfigError: A place is unknown, or there is neither text nor image.
    """

    pattern: str = FORMATS["both"]

    def __post_init__(self) -> None:
        places = _PLACE.findall(self.pattern)
        unknown = [p for p in places if p not in ("{text}", "{image}") and not _special(p)]
        if unknown or not {"{text}", "{image}"} & set(places):
            found = f"the unknown place {unknown[0]}" if unknown else "no place for the item"
            raise ConfigError(
                f"The prompt format '{self.pattern}' has {found}.",
                "Use {text}, {image} and {special:NAME}; one of the first two is needed.",
            )

    def fill(self, text: str, picture: Path | bytes | None) -> Prompt:
        """Returns the prompt of one item."""
        parts: list[Part] = []
        for piece in filter(None, _PLACE.split(self.pattern)):
            if piece == "{text}":
                parts += [TextPart(text)] if text.strip() else []
            elif piece == "{image}":
                parts += [] if picture is None else [ImagePart(picture)]
            elif name := _special(piece):
                parts.append(SpecialPart(name))
            else:
                parts.append(TextPart(piece))
        return tuple(parts)


class PromptedItems:
    """Encodes items with a vision-language model; satisfies `vlmrec.core.protocols.ItemEncoder`.

    Args:
        model: Any vision-language model.
        layout: How an item becomes a prompt.
    """

    def __init__(self, model: VisionLanguageModel, layout: ItemFormat) -> None:
        self.model = model
        self.layout = layout
        facts = {"modality": "prompt", "prompt": layout.pattern, **model.describe()}
        self._identity = json.dumps(facts, sort_keys=True)

    @property
    def identity(self) -> str:
        """JSON of everything that the vectors depend on; weights and tokenizer as hashes."""
        return self._identity

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        return self.model.width

    @property
    def problems(self) -> Mapping[str, int]:
        """Pictures that could not be read so far, per kind."""
        return self.model.picture_problems

    @property
    def cuts(self) -> Mapping[str, int]:
        """What was left out of too long prompts so far, by kind."""
        return self.model.report.cuts()

    @torch.no_grad()
    def encode_items(
        self, texts: Sequence[str], pictures: Sequence[Path | None]
    ) -> tuple[Tensor, Tensor]:
        """Returns vectors and which items have one.

        Args:
            texts: One per item, blank where it has none.
            pictures: One per item, None where it has none.

        Returns:
            ``[n, D] float32`` and ``[n] bool``, on the CPU. An item without text whose picture
            is absent or unreadable has no vector, whatever words the format puts around it.
        """
        uses_text = "{text}" in self.layout.pattern
        shown: list[PictureSource] = []
        if "{image}" in self.layout.pattern:
            shown = [picture for picture in pictures if picture is not None]
        found = zip(shown, self.model.image_features(shown), strict=True)
        seen = {source: features for source, features in found if features is not None}
        usable = [
            (uses_text and bool(text.strip())) or picture in seen
            for text, picture in zip(texts, pictures, strict=True)
        ]
        rows = [row for row, fine in enumerate(usable) if fine]
        prompts = [self.layout.fill(texts[row], pictures[row]) for row in rows]
        vectors = torch.zeros(len(texts), self.width)
        vectors[rows] = self.model.encode(prompts, seen=seen).cpu()
        return vectors, torch.tensor(usable, dtype=torch.bool)


def _special(place: str) -> str | None:
    """Returns the token's name of a place such as ``{special:[User]}``."""
    found = re.fullmatch(r"\{special:(.+)\}", place)
    return found[1] if found else None

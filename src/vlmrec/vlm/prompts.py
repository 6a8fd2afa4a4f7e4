"""What a vision-language model is asked: an ordered list of words, pictures and special tokens."""

from dataclasses import dataclass
from pathlib import Path

PictureSource = Path | bytes
"""A picture file, or the bytes of one."""


@dataclass(frozen=True)
class TextPart:
    """Words. Names of special tokens inside them are read as plain words.

    Attributes:
        text: Any text; empty adds nothing.
    """

    text: str


@dataclass(frozen=True)
class ImagePart:
    """A picture; one that cannot be read adds nothing, no black picture and no token.

    Attributes:
        source: A file or its bytes.
    """

    source: PictureSource


@dataclass(frozen=True)
class SpecialPart:
    """One special token: of the checkpoint's own, or one learned here, such as ``[Cur_Item]``.

    Attributes:
        name: Exactly as the tokenizer or `VisionLanguageModel.add_special_tokens` knows it.
    """

    name: str


Part = TextPart | ImagePart | SpecialPart
Prompt = tuple[Part, ...]
"""Equal prompts are equal values, so that a batch encodes each of them once."""


def make_prompt(*parts: str | Path | bytes | Part) -> Prompt:
    """Returns a prompt; plain strings are words, paths and bytes are pictures.

    >>> make_prompt("A cup.", SpecialPart("[Cur_Item]"))
    (TextPart(text='A cup.'), SpecialPart(name='[Cur_Item]'))
    """
    return tuple(_part(part) for part in parts)


def _part(part: str | Path | bytes | Part) -> Part:
    if isinstance(part, str):
        return TextPart(part)
    if isinstance(part, Path | bytes):
        return ImagePart(part)
    return part

"""Small pictures and prompts that tell apart what a vision-language model must tell apart."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from vlmrec.vlm.prompts import Prompt, SpecialPart, make_prompt


def noise_picture(seed: int, width: int, height: int) -> bytes:
    """Returns a PNG file of random pixels, so that no two pictures look alike to a tower."""
    values = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


WIDE, SMALL, HIGH = noise_picture(0, 40, 24), noise_picture(1, 16, 16), noise_picture(2, 20, 48)

WORDS: tuple[Prompt, ...] = (
    make_prompt("a red cup"),
    make_prompt("The user has bought ", "nothing but three green bags and a lamp."),
)
"""Prompts without any picture."""
PICTURED: tuple[Prompt, ...] = (
    make_prompt("the item ", WIDE, " is new"),
    make_prompt(SMALL, "which film"),
    make_prompt("ends with ", HIGH),
    make_prompt("first ", SMALL, " then ", HIGH, "."),
    make_prompt(HIGH, WIDE, "two pictures in a row, described here"),
)
"""Prompts with one or two pictures at every kind of place."""
MIXED: tuple[Prompt, ...] = (PICTURED[0], WORDS[0], *PICTURED[3:], WORDS[1], *PICTURED[1:3])
"""All of them, out of any order."""
ANSWERS = ("x", "a red bag of leather", "", "new", "bought last summer", "the lamp", "blue")
"""One for each prompt of `MIXED`."""


def with_tokens(name: str) -> tuple[Prompt, ...]:
    """Returns prompts that hold a special token: at the end, in the middle, twice."""
    token = SpecialPart(name)
    return (
        make_prompt("a red cup", token),
        make_prompt(SMALL, "the item ", token, " is new"),
        make_prompt(WIDE, token, "which film", token, " to watch?"),
    )


def unreadable_pictures() -> dict[str, bytes]:
    """Returns bytes that give no picture, by the kind of problem that is to be counted."""
    return {
        "not-a-picture": b"no picture at all",
        "truncated": WIDE[: len(WIDE) // 2],
        "gigantic": _gigantic_picture(),
    }


def _gigantic_picture() -> bytes:
    """Returns a PNG of a few bytes whose header announces 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )

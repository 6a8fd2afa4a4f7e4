"""What there is to know of a catalogue's pictures before anything is trained on them."""

import hashlib
import os
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmrec.data.checks.near_pictures import PicturePrint, print_of
from vlmrec.data.checks.twins import NO_GROUP, Twins
from vlmrec.data.images import MAX_PIXELS, PictureProblem, read_picture


@dataclass(frozen=True)
class PictureSurvey:
    """Counts over the pictures that items name.

    Attributes:
        named: Items with a picture path.
        decoded: Whether every picture was decoded, or only its header read.
        problems: Pictures that give no vector, by kind (missing, truncated, gigantic, ...).
        oddities: Pictures that are read, but not as they stand (animated, CMYK, 16-bit).
        examples: One file name for each kind of problem and oddity.
    """

    named: int
    decoded: bool
    problems: dict[str, int]
    oddities: dict[str, int]
    examples: dict[str, str]


def survey_pictures(
    paths: list[Path | None], *, decode: bool
) -> tuple[PictureSurvey, list[PicturePrint | None] | None]:
    """Returns the survey of the pictures and, where they are decoded, the print of each.

    Args:
        paths: One an item, None without a picture.
        decode: Decode every picture (slow, finds damage) instead of reading headers only.
    """
    problems: Counter[str] = Counter()
    oddities: Counter[str] = Counter()
    examples: dict[str, str] = {}
    headers = [None if path is None else examine_header(path) for path in paths]
    sound = [
        path if header is not None and header[0] is None else None
        for path, header in zip(paths, headers, strict=True)
    ]
    looks = _decode(sound) if decode else [None] * len(paths)
    for path, header, look in zip(paths, headers, looks, strict=True):
        if path is None or header is None:
            continue
        problem = look if isinstance(look, str) else header[0]
        for kind in header[1] if problem is None else [problem]:
            (oddities if problem is None else problems)[kind] += 1
            examples.setdefault(kind, path.name)
    survey = PictureSurvey(
        sum(path is not None for path in paths),
        decode,
        dict(problems.most_common()),
        dict(oddities.most_common()),
        examples,
    )
    prints = [None if isinstance(look, str) else look for look in looks]
    return survey, prints if decode else None


def _decode(paths: list[Path | None]) -> list[PicturePrint | str | None]:
    """Returns of each picture its print, None if there is none, or what makes it useless."""
    # Decoders let other threads run. Each thread holds one picture at a time.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(_look_at, paths))


def _look_at(path: Path | None) -> PicturePrint | str | None:
    if path is None:
        return None
    outcome = read_picture(path, side=64)
    return outcome.kind if isinstance(outcome, PictureProblem) else print_of(outcome.image)


def examine_header(path: Path) -> tuple[str | None, list[str]]:
    """Returns what makes a picture useless, or None, and what is odd about it."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        return "missing", []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size is judged below
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    return "gigantic", []
                return None, list(_oddities(image.mode, getattr(image, "n_frames", 1)))
    except Image.DecompressionBombError:
        return "gigantic", []
    except UnidentifiedImageError:
        return "not-a-picture", []
    except (OSError, ValueError, SyntaxError):
        return "damaged", []


def same_pictures(paths: list[Path | None]) -> Twins:
    """Returns which items have a picture of the same bytes as another one.

    Args:
        paths: One an item, None without a picture.
    """
    sizes = [path.stat().st_size if path is not None and path.is_file() else -1 for path in paths]
    often = Counter(sizes)
    groups = np.full(len(paths), NO_GROUP, dtype=np.int64)
    first: dict[str, int] = {}
    for row, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        if path is not None and size >= 0:
            key = _hash(path) if often[size] > 1 else f"the only one of its size: {size}"
            groups[row] = first.setdefault(key, len(first))
    return Twins(groups)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _oddities(mode: str, n_frames: int) -> list[str]:
    found: list[str] = []
    if n_frames > 1:
        found.append("animated")
    if mode == "CMYK":
        found.append("CMYK")
    if mode.startswith(("I", "F")):
        found.append("16-bit")
    return found

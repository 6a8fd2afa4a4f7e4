"""What there is to know of a catalogue's pictures before anything is trained on them."""

import hashlib
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

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


def survey_pictures(paths: list[Path | None], *, decode: bool) -> PictureSurvey:
    """Returns the survey of the pictures.

    Args:
        paths: One an item, None without a picture.
        decode: Decode every picture (slow, finds damage) instead of reading headers only.
    """
    problems: Counter[str] = Counter()
    oddities: Counter[str] = Counter()
    examples: dict[str, str] = {}
    named = [path for path in paths if path is not None]
    for path in named:
        problem, odd = examine_header(path)
        if problem is None and decode:
            outcome = read_picture(path, side=64)
            problem = outcome.kind if isinstance(outcome, PictureProblem) else None
        for kind in odd if problem is None else [problem]:
            (oddities if problem is None else problems)[kind] += 1
            examples.setdefault(kind, path.name)
    return PictureSurvey(
        len(named), decode, dict(problems.most_common()), dict(oddities.most_common()), examples
    )


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


def same_pictures(paths: list[Path | None]) -> list[list[int]]:
    """Returns groups of rows whose pictures are the same bytes.

    Args:
        paths: One an item, None without a picture.
    """
    by_size: dict[int, list[int]] = {}
    for row, path in enumerate(paths):
        if path is not None and path.is_file():
            by_size.setdefault(path.stat().st_size, []).append(row)
    groups: dict[str, list[int]] = {}
    for rows in by_size.values():
        for row in rows if len(rows) > 1 else []:
            path = paths[row]
            if path is not None:
                groups.setdefault(_hash(path), []).append(row)
    return [rows for rows in groups.values() if len(rows) > 1]


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

"""One picture file -> upright RGB pixels, or a stated reason why not.

A catalogue of real pictures always holds a few that are missing, cut short, absurdly large or
no pictures at all. Batch work must go on and say so, hence a problem is a value here, not an
exception.
"""

import io
import struct
import threading
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

ProblemKind = Literal["missing", "unreadable", "not-a-picture", "truncated", "damaged", "gigantic"]

MAX_PIXELS = 50_000_000
"""Pictures with more pixels than this are refused by their header, before any decoding."""
MAX_BYTES = 512 * 1024 * 1024
"""Files larger than this are refused without being read."""

# Only raster formats that decode within this process (EPS, for one, would start Ghostscript).
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise on damaged bytes besides OSError.
_DECODE_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
)
# Pillow warns about large pictures and damaged tags through the process-wide warning filters,
# which are not safe to change from two threads at once.
_HEADER_LOCK = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: Mode RGB, upright, first frame, transparency composited on white.
        size: (width, height) as stored in the file, in pixels; `image` may be smaller when a
            smaller side was asked for.
        format: What the file is, in Pillow's words: "JPEG", "PNG", ...
    """

    image: Image.Image
    size: tuple[int, int]
    format: str


@dataclass(frozen=True)
class PictureProblem:
    """Why a file gave no picture.

    Attributes:
        kind: The class of problem, for counting.
        text: One sentence that names the file.
    """

    kind: ProblemKind
    text: str


def read_picture(
    path: Path, *, max_pixels: int = MAX_PIXELS, side: int | None = None
) -> Picture | PictureProblem:
    """Returns the picture in `path`, or why there is none; never raises for a bad file.

    Args:
        path: The file.
        max_pixels: Larger pictures are refused by their header, without decoding.
        side: The side, in pixels, that the caller will shrink the picture to. JPEG files are
            then decoded at the nearest larger eighth, at least twice `side`, which is several
            times faster for camera pictures. None decodes at full size.
    """
    try:
        if not path.exists():
            return PictureProblem("missing", f"'{path}' does not exist.")
        if path.stat().st_size > MAX_BYTES:
            return PictureProblem("gigantic", f"'{path}' is larger than {MAX_BYTES >> 20} MiB.")
        data = path.read_bytes()
    except OSError as error:
        return PictureProblem("unreadable", f"'{path}' cannot be read: {error.strerror}.")
    return decode_picture(data, str(path), max_pixels=max_pixels, side=side)


def decode_picture(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, side: int | None = None
) -> Picture | PictureProblem:
    """Returns the picture that the bytes of a file hold; see `read_picture`.

    Args:
        data: The bytes of a picture file.
        name: What to call it in a problem's text.
        max_pixels: As in `read_picture`.
        side: As in `read_picture`.
    """
    if not data:
        return PictureProblem("not-a-picture", f"'{name}' is empty.")
    try:
        image, turn = _open_header(data)
        with image:
            size, form = image.size, image.format or ""
            if size[0] * size[1] > max_pixels:
                return _gigantic(name, f"{size[0]} x {size[1]} pixels", max_pixels)
            if side is not None:
                image.draft(None, (2 * side, 2 * side))
            image.load()
            upright = to_rgb(image)
    except Image.DecompressionBombError:
        return _gigantic(name, "far more pixels", max_pixels)
    except UnidentifiedImageError:
        return PictureProblem("not-a-picture", f"'{name}' is not a picture of a known format.")
    except _DECODE_ERRORS as error:
        return _decode_problem(name, error)
    return Picture(upright if turn is None else upright.transpose(turn), size, form)


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns an RGB copy of a loaded picture of any mode.

    Transparent places become white, 16-bit values keep their upper 8 bits, wider integers and
    floats are stretched from their smallest to their largest value.
    """
    if image.mode.startswith(("I", "F")):
        return _deep_grey(image).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        pixels = image.convert("RGBA")
        page = Image.new("RGBA", pixels.size, "white")
        return Image.alpha_composite(page, pixels).convert("RGB")
    return image.convert("RGB")


def count_problems(outcomes: Iterable[Picture | PictureProblem]) -> dict[str, int]:
    """Returns how many pictures failed, per kind, most frequent first."""
    kinds = Counter(outcome.kind for outcome in outcomes if isinstance(outcome, PictureProblem))
    return dict(kinds.most_common())


def _open_header(data: bytes) -> tuple[Image.Image, Image.Transpose | None]:
    """Returns a picture that is not decoded yet, and the turn that sets it upright."""
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.init()
        formats = [name for name in _FORMATS if name in Image.OPEN]
        image = Image.open(io.BytesIO(data), formats=formats)
        return image, _orientation(image)


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Returns the turn by the EXIF block; a damaged one counts as none."""
    if image.format == "TIFF":
        return None  # Pillow turns these itself while loading
    try:
        return _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except _DECODE_ERRORS:
        return None


def _deep_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)  # [height, width]
    if not image.mode.startswith("I;16") and not (image.mode == "I" and _fits_16_bits(values)):
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        values = (np.nan_to_num(values) - low) / max(high - low, 1e-12) * 65535.0
    return Image.fromarray((values.clip(0, 65535) / 256).astype(np.uint8))


def _fits_16_bits(values: np.ndarray) -> bool:
    return bool(values.min() >= 0 and values.max() <= 65535)


def _gigantic(name: str, found: str, max_pixels: int) -> PictureProblem:
    return PictureProblem(
        "gigantic", f"'{name}' announces {found}; at most {max_pixels:,} pixels are decoded."
    )


def _decode_problem(name: str, error: BaseException) -> PictureProblem:
    text = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in text or "unexpected end" in text:
        return PictureProblem("truncated", f"'{name}' is cut short: {error}.")
    return PictureProblem("damaged", f"'{name}' cannot be decoded: {error}.")

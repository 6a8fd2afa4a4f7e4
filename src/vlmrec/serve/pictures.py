"""Pictures from outside: looked at before anything is unpacked, and kept as files."""

import hashlib
import io
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from vlmrec.core.errors import DataError
from vlmrec.core.files import atomic_file
from vlmrec.serve.unable import UnableError

FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}
"""Kinds of pictures that are taken, and how their files end."""


def check_picture(data: bytes, most_pixels: int) -> None:
    """Refuses what is no picture, or one that is not taken.

    Its size is read from its head, so that a small file that unpacks to gigabytes is refused
    before it does. Then it is unpacked once: half a picture is refused too.

    Raises:
        DataError: It is no picture, one of another kind, too large, or damaged.
    """
    kinds = ", ".join(FORMATS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own limit warns; ours refuses
            with Image.open(io.BytesIO(data), formats=list(FORMATS)) as picture:
                width, height = picture.size
                if width * height <= most_pixels:
                    picture.load()
    except Image.DecompressionBombError:
        raise _too_large("a huge number of", most_pixels) from None
    except UnidentifiedImageError:
        raise DataError("The upload is no picture that can be read.", f"Send {kinds}.") from None
    except (OSError, ValueError, SyntaxError, EOFError):
        raise DataError("The picture is damaged or cut off.", "Send the whole file.") from None
    if width * height > most_pixels:
        raise _too_large(f"{width * height:,}", most_pixels)


def kept_picture(data: bytes, folder: Path) -> Path:
    """Returns the file in which a picture is, under a name made of its bytes alone.

    The picture was checked when it came; here its head alone is read.

    Raises:
        UnableError: It cannot be written.
    """
    with Image.open(io.BytesIO(data), formats=list(FORMATS)) as picture:
        ending = FORMATS[str(picture.format)]
    path = folder / f"{hashlib.sha256(data).hexdigest()}{ending}"
    if not path.is_file():
        try:
            with atomic_file(path) as temporary:
                temporary.write_bytes(data)
        except (DataError, OSError) as error:
            raise UnableError(
                "The picture cannot be kept now; nothing was stored.",
                "Try again; whoever runs the service finds the cause in its log.",
            ) from error
    return path


def _too_large(pixels: str, most_pixels: int) -> DataError:
    return DataError(
        f"The picture has {pixels} pixels; at most {most_pixels:,} are taken.",
        "Send a smaller one.",
    )

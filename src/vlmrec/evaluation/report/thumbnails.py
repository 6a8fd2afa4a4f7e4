"""Pictures small enough to travel inside the page."""

import base64
import io

from PIL import Image, ImageOps

EDGE = 144
"""Longest edge of a thumbnail in pixels: twice its size on the page, for sharp screens."""


def thumbnail_uri(picture: bytes | None, edge: int = EDGE) -> str | None:
    """Returns a ``data:`` URI of a downscaled JPEG, None where there is no readable picture.

    Args:
        picture: An encoded picture, or None.
        edge: Longest edge in pixels; smaller pictures keep their size.
    """
    if not picture:
        return None
    try:
        with Image.open(io.BytesIO(picture)) as image:
            image.draft("RGB", (edge, edge))
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # a damaged picture must not cost the report
    upright.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    flat = Image.new("RGB", upright.size, "white")
    flat.paste(upright, mask=upright.getchannel("A"))
    target = io.BytesIO()
    flat.save(target, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode("ascii")

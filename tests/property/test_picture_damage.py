import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlmrec.data.images import Picture, PictureProblem, decode_picture


def encoded(kind):
    noise = np.random.default_rng(1).integers(0, 255, (24, 16, 3), np.uint8)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(buffer, kind, exif=exif)
    return buffer.getvalue()


FILES = {kind: encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")}
FILES["GIF"] = encoded("GIF")


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 10_000),
)
def test_damaged_bytes_never_raise(kind, changes, cut):
    data = bytearray(FILES[kind])
    for place, value in changes:
        data[place % len(data)] = value
    outcome = decode_picture(bytes(data[: cut % (len(data) + 1)]), kind, max_pixels=1_000_000)
    assert isinstance(outcome, Picture | PictureProblem)
    if isinstance(outcome, Picture):
        assert outcome.image.mode == "RGB"

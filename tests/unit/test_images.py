import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vlmrec.data.images import (
    Picture,
    PictureProblem,
    count_problems,
    decode_picture,
    read_picture,
)

RED, WHITE = (255, 0, 0), (255, 255, 255)


def save(tmp_path, image, name="a.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def pixels(path, **options):
    picture = read_picture(path, **options)
    assert isinstance(picture, Picture), picture
    assert picture.image.mode == "RGB"
    return np.asarray(picture.image).astype(int)


def problem(path, **options):
    outcome = read_picture(path, **options)
    assert isinstance(outcome, PictureProblem)
    return outcome


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_set_upright(tmp_path, orientation, name):
    # Upright: 2 wide, 3 tall, red in the top left corner, blue in the bottom left.
    upright = np.zeros((3, 2, 3), np.uint8)
    upright[0, 0], upright[2, 0] = RED, (0, 0, 255)
    # How a camera stores it, by the EXIF definition of where row 0 and column 0 lie.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if name == "a.webp" else {}
    path = save(
        tmp_path, Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif, **lossless
    )
    np.testing.assert_array_equal(pixels(path), upright)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(tmp_path, mode):
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0)).convert(mode)
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128)).convert(mode)
    assert (pixels(save(tmp_path, clear)) == 255).all()
    assert (abs(pixels(save(tmp_path, half)) - 127) <= 1).all()


def test_transparent_palette_colour_becomes_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((1, 0), 1)
    path = save(tmp_path, image, transparency=0)
    np.testing.assert_array_equal(pixels(path), [[WHITE, RED]])


def test_cmyk_jpeg_keeps_its_colours(tmp_path):
    path = save(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg", quality=95)
    assert (abs(pixels(path) - RED) <= 4).all()


def test_16_bit_grey_keeps_its_upper_8_bits(tmp_path):
    values = np.array([[0, 256, 32768, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        path = save(tmp_path, Image.fromarray(values), name)
        np.testing.assert_array_equal(pixels(path)[0, :, 0], [0, 1, 128, 255])


def test_float_picture_is_stretched_and_grey_and_bitmap_become_rgb(tmp_path):
    floats = save(tmp_path, Image.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32)), "f.tif")
    np.testing.assert_array_equal(pixels(floats)[0, :, 0], [0, 127, 255])
    assert (pixels(save(tmp_path, Image.new("L", (2, 2), 77))) == 77).all()
    assert (pixels(save(tmp_path, Image.new("1", (2, 2), 1))) == 255).all()


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animation_gives_its_first_frame(tmp_path, name):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 255, 0))]
    path = save(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
    assert (abs(pixels(path) - RED) <= 3).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp"])
def test_truncated_file_is_reported_not_half_shown(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = save(tmp_path, Image.fromarray(noise), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = problem(path)
    assert found.kind in ("truncated", "damaged", "not-a-picture")
    assert str(path) in found.text
    if name in ("a.jpg", "a.png"):
        assert found.kind == "truncated"


def test_gigantic_picture_is_refused_by_its_header(tmp_path):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    for side in (8_000, 100_000):  # above our limit, and above the one at which Pillow raises
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        path = tmp_path / "bomb.png"
        # The body is too short to decode: "truncated" would mean that decoding was tried.
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")))
        assert problem(path).kind == "gigantic"
    small = save(tmp_path, Image.new("RGB", (5, 5)))
    assert problem(small, max_pixels=24).kind == "gigantic"
    assert isinstance(read_picture(small, max_pixels=25), Picture)


def test_other_problems_are_told_apart_and_counted(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "folder.jpg").mkdir()
    good = save(tmp_path, Image.new("RGB", (2, 2)))
    names = ["gone.jpg", "empty.jpg", "text.jpg", "script.eps", "folder.jpg"]
    outcomes = [read_picture(tmp_path / name) for name in names] + [read_picture(good)]
    assert count_problems(outcomes) == {"not-a-picture": 3, "missing": 1, "unreadable": 1}


def test_smaller_side_decodes_jpeg_at_reduced_size(tmp_path):
    path = save(tmp_path, Image.new("RGB", (1600, 1200), RED), "a.jpg")
    picture = read_picture(path, side=100)
    assert isinstance(picture, Picture)
    assert picture.size == (1600, 1200)
    assert picture.image.size == (400, 300)  # a quarter: half would do, an eighth is below 2 x 100


def test_decoding_bytes_names_what_it_was_given():
    outcome = decode_picture(b"nonsense", "upload 7")
    assert isinstance(outcome, PictureProblem)
    assert "upload 7" in outcome.text

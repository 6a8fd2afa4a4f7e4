"""What every frozen encoder must do; a new one passes by subclassing a suite in its tests."""

from abc import abstractmethod
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from vlmrec.core.protocols import ImageEncoder, TextEncoder

_TOLERANCE = 1e-5
_TEXTS = (
    "a red cup",
    "A cowboy doll is threatened when a new spaceman figure supplants him as top toy. " * 4,
    "blue",
    "two words",
    "Schön & 東京, 50 % off!",
)


class TextEncoderContract:
    """The promises of `vlmrec.core.protocols.TextEncoder`."""

    @abstractmethod
    def make_encoder(self) -> TextEncoder:
        """Returns a fresh encoder, loaded as users load it."""

    def test_texts_give_finite_float32_rows(self) -> None:
        """Shape, type and values."""
        encoder = self.make_encoder()
        vectors = encoder.encode_texts(_TEXTS)
        assert vectors.shape == (len(_TEXTS), encoder.width)
        assert vectors.dtype == torch.float32
        assert torch.isfinite(vectors).all()
        assert not vectors.requires_grad

    def test_text_alone_equals_text_in_batch(self) -> None:
        """Neither padding nor neighbours change a vector."""
        encoder = self.make_encoder()
        alone = torch.cat([encoder.encode_texts([text]) for text in _TEXTS])
        torch.testing.assert_close(
            encoder.encode_texts(_TEXTS), alone, atol=_TOLERANCE, rtol=_TOLERANCE
        )

    def test_order_of_texts_is_kept(self) -> None:
        """Reversed texts give reversed rows, and different texts different rows."""
        encoder = self.make_encoder()
        vectors = encoder.encode_texts(_TEXTS)
        back = encoder.encode_texts(_TEXTS[::-1]).flip(0)
        torch.testing.assert_close(back, vectors, atol=_TOLERANCE, rtol=_TOLERANCE)
        assert torch.pdist(vectors).min() > 100 * _TOLERANCE

    def test_no_texts_give_no_rows(self) -> None:
        """An empty list is no special case for callers."""
        encoder = self.make_encoder()
        assert encoder.encode_texts([]).shape == (0, encoder.width)

    def test_loading_twice_gives_equal_vectors_and_identity(self) -> None:
        """Nothing is drawn at random, and the identity can be a cache key."""
        first, second = self.make_encoder(), self.make_encoder()
        assert first.identity == second.identity
        assert torch.equal(first.encode_texts(_TEXTS), second.encode_texts(_TEXTS))


class ImageEncoderContract:
    """The promises of `vlmrec.core.protocols.ImageEncoder`."""

    @abstractmethod
    def make_encoder(self) -> ImageEncoder:
        """Returns a fresh encoder, loaded as users load it."""

    def test_pictures_give_finite_float32_rows(self, tmp_path: Path) -> None:
        """Shape, type and values."""
        encoder = self.make_encoder()
        paths = draw_pictures(tmp_path)
        vectors, present = encoder.encode_images(paths)
        assert vectors.shape == (len(paths), encoder.width)
        assert vectors.dtype == torch.float32
        assert present.tolist() == [True] * len(paths)
        assert torch.isfinite(vectors).all()
        assert not vectors.requires_grad

    def test_picture_alone_equals_picture_in_batch(self, tmp_path: Path) -> None:
        """Neighbours do not change a vector, whatever their size."""
        encoder = self.make_encoder()
        paths = draw_pictures(tmp_path)
        alone = torch.cat([encoder.encode_images([path])[0] for path in paths])
        batch, _ = encoder.encode_images(paths)
        torch.testing.assert_close(batch, alone, atol=_TOLERANCE, rtol=_TOLERANCE)

    def test_order_of_pictures_is_kept(self, tmp_path: Path) -> None:
        """Reversed files give reversed rows, and different pictures different rows."""
        encoder = self.make_encoder()
        paths = draw_pictures(tmp_path)
        vectors, _ = encoder.encode_images(paths)
        back, _ = encoder.encode_images(paths[::-1])
        torch.testing.assert_close(back.flip(0), vectors, atol=_TOLERANCE, rtol=_TOLERANCE)
        assert torch.pdist(vectors).min() > 100 * _TOLERANCE

    def test_unreadable_picture_is_absent_and_zero(self, tmp_path: Path) -> None:
        """One bad file costs one row, wherever it stands."""
        encoder = self.make_encoder()
        good = draw_pictures(tmp_path)
        bad = tmp_path / "cut.png"
        bad.write_bytes(good[0].read_bytes()[:60])
        vectors, present = encoder.encode_images([bad, good[1], tmp_path / "gone.png", good[2]])
        assert present.tolist() == [False, True, False, True]
        assert not vectors[[0, 2]].any()
        expected, _ = encoder.encode_images([good[1], good[2]])
        torch.testing.assert_close(vectors[[1, 3]], expected, atol=_TOLERANCE, rtol=_TOLERANCE)

    def test_no_pictures_give_no_rows(self) -> None:
        """An empty list is no special case for callers."""
        encoder = self.make_encoder()
        vectors, present = encoder.encode_images([])
        assert vectors.shape == (0, encoder.width)
        assert present.shape == (0,)

    def test_loading_twice_gives_equal_vectors_and_identity(self, tmp_path: Path) -> None:
        """Nothing is drawn at random, and the identity can be a cache key."""
        first, second = self.make_encoder(), self.make_encoder()
        paths = draw_pictures(tmp_path)
        assert first.identity == second.identity
        assert torch.equal(first.encode_images(paths)[0], second.encode_images(paths)[0])


def draw_pictures(folder: Path) -> list[Path]:
    """Writes four small pictures that differ in colour, shape and size, and returns them."""
    paths: list[Path] = []
    for name, colour, size in (
        ("tall", "firebrick", (60, 90)),
        ("wide", "seagreen", (120, 50)),
        ("square", "royalblue", (80, 80)),
        ("small", "gold", (20, 30)),
    ):
        image = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(image)
        corners = (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4)
        (draw.ellipse if name in ("tall", "small") else draw.rectangle)(corners, fill=colour)
        paths.append(folder / f"{name}.png")
        image.save(paths[-1])
    return paths

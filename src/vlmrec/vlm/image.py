"""Frozen image encoder: picture files -> decoded, shrunk, batched -> vectors."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from vlmrec.core.tensors import require_finite
from vlmrec.data.images import MAX_PIXELS, Picture, read_picture

_DECODING_THREADS = 4


class VisionTower(Protocol):
    """What an architecture contributes: its input format and its features."""

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        ...

    @property
    def side(self) -> int:
        """Longest side, in pixels, of what the network sees."""
        ...

    def describe(self) -> dict[str, str | int]:
        """Returns everything that the vectors depend on; weights as a hash."""
        ...

    def prepare(self, image: Image.Image) -> Tensor:
        """Returns ``[3, H, W] float32``; H and W are the same for every picture."""
        ...

    def features(self, pixels: Tensor) -> Tensor:
        """Returns ``[B, D]`` for ``[B, 3, H, W] float32``."""
        ...


class FrozenImageEncoder:
    """Turns picture files into vectors; satisfies `vlmrec.core.protocols.ImageEncoder`.

    The next batch is decoded while the network works on the present one.

    Args:
        tower: The network.
        device: Where the network is.
        batch_size: Pictures per batch.
        max_pixels: Larger pictures are counted as unreadable, without decoding them.
    """

    def __init__(
        self,
        tower: VisionTower,
        *,
        device: torch.device | None = None,
        batch_size: int = 16,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._tower = tower
        self._device = torch.device("cpu") if device is None else device
        self._batch_size = batch_size
        self._max_pixels = max_pixels
        description = {"modality": "image", "dtype": "float32", **tower.describe()}
        self._identity = json.dumps(description, sort_keys=True)

    @property
    def identity(self) -> str:
        """JSON of everything that the vectors depend on; weights as a hash."""
        return self._identity

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        return self._tower.width

    @torch.no_grad()
    def encode_images(self, paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Returns vectors and which pictures could be read.

        Returns:
            ``[n, D] float32`` (zero rows where unreadable) and ``[n] bool``, on the CPU.

        Raises:
            FloatingPointError: The network produced NaN or infinity.
        """
        vectors = torch.zeros(len(paths), self.width)
        present = torch.zeros(len(paths), dtype=torch.bool)
        start = 0
        for batch in self._decoded(paths):
            rows = [start + i for i, pixels in enumerate(batch) if pixels is not None]
            start += len(batch)
            if not rows:
                continue
            pixels = torch.stack([pixels for pixels in batch if pixels is not None])
            pixels = pixels.to(self._device).contiguous(memory_format=torch.channels_last)
            vectors[rows] = self._tower.features(pixels).float().cpu()
            present[rows] = True
        require_finite(vectors, "Image vectors")
        return vectors, present

    def _decoded(self, paths: Sequence[Path]) -> Iterator[list[Tensor | None]]:
        """Yields batches in order, with one more batch in the making."""
        size = self._batch_size
        with ThreadPoolExecutor(_DECODING_THREADS) as pool:
            waiting: list[Future[Tensor | None]] = []
            for start in range(0, len(paths), size):
                coming = [pool.submit(self._decode, path) for path in paths[start : start + size]]
                if waiting:
                    yield [future.result() for future in waiting]
                waiting = coming
            if waiting:
                yield [future.result() for future in waiting]

    def _decode(self, path: Path) -> Tensor | None:
        picture = read_picture(path, max_pixels=self._max_pixels, side=self._tower.side)
        return self._tower.prepare(picture.image) if isinstance(picture, Picture) else None

"""Pictures as the tower takes them, kept in memory while it learns and sees them at every step."""

from vlmrec.vlm.families.base import Pixels


class KeptPixels:
    """Keeps prepared pictures until a number of bytes is reached; later ones are not kept.

    Training goes through the catalogue again and again in random order, where throwing out old
    pictures for new ones would gain nothing.

    Args:
        max_bytes: Upper bound of all tensors together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._kept: dict[bytes, Pixels] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes | None) -> Pixels | None:
        """Returns the picture whose bytes have this hash, or None where it is not kept."""
        return None if key is None else self._kept.get(key)

    def put(self, key: bytes | None, pixels: Pixels) -> None:
        """Keeps a picture where there is room for it."""
        size = sum(one.numel() * one.element_size() for one in pixels.tensors.values())
        if key is not None and key not in self._kept and size <= self._left:
            self._kept[key] = pixels
            self._left -= size

"""A file that only grows, read through memory maps."""

import mmap
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SEGMENT = 1 << 31  # bytes


class MappedFile:
    """Views of a file's bytes that copy nothing; processes share the pages they read.

    Maps are copy-on-write: torch takes them without a warning, and whoever writes into a view
    changes neither the file nor another process's view. Linux refuses one such map that is
    larger than its memory, so that a file is mapped in segments.

    Args:
        path: The file; it may be made later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._segments: dict[int, NDArray[np.uint8]] = {}

    def __reduce__(self) -> tuple[type["MappedFile"], tuple[Path]]:
        """Another process maps the file itself instead of getting a copy of its bytes."""
        return MappedFile, (self.path,)

    def view(self, start: int, size: int, stop: int) -> NDArray[np.uint8]:
        """Returns ``[size] uint8``; a view stays valid after the file has grown.

        Args:
            start: Offset of the first byte.
            size: Number of bytes.
            stop: Where the part of the file ends that will not change any more.

        Raises:
            EOFError: The file is shorter.
            OSError: The file cannot be opened or mapped.
        """
        number = start // _SEGMENT
        base = number * _SEGMENT
        segment = self._segments.get(number)
        if segment is None or start + size > base + len(segment):
            # What crosses the end of a segment belongs to the segment that it begins in.
            end = max(start + size, min(stop, base + _SEGMENT))
            segment = self._segments[number] = self._map(base, end - base)
        return segment[start - base : start - base + size]

    def _map(self, base: int, length: int) -> NDArray[np.uint8]:
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < base + length:
                raise EOFError
            pages = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY, offset=base)
        return np.frombuffer(pages, dtype=np.uint8)

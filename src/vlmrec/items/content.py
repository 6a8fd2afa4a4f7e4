"""What a frozen encoder says about every item: words or picture -> one row of a matrix."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.files import sha256_of
from vlmrec.core.protocols import ImageEncoder, ItemEncoder, TextEncoder
from vlmrec.data.images import Picture, read_picture
from vlmrec.items.cache import VectorCache

Progress = Callable[[int, int], None]
"""Called with how many distinct texts or pictures are encoded, and how many there are to do."""

_CHUNK = 256  # contents encoded and stored at a time; a killed run loses at most these


@dataclass(frozen=True)
class ContentCounts:
    """How the vectors came about; the first three add up to the number of items.

    Attributes:
        encoded: Items whose vector was computed now.
        from_cache: Items whose vector was stored before.
        missing: Items without a vector: nothing given, or the picture could not be read.
        calls: Distinct texts or pictures that went through the encoder.
        problems: Pictures that could not be read, per kind (see `vlmrec.data.images`).
        cuts: What was left out of too long prompts, by kind.
    """

    encoded: int = 0
    from_cache: int = 0
    missing: int = 0
    calls: int = 0
    problems: Mapping[str, int] = field(default_factory=dict[str, int])
    cuts: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, eq=False)
class ContentVectors:
    """Frozen content of the whole catalogue, by internal item id.

    Attributes:
        vectors: ``[I + 1, D] float32``; row 0 is padding and zero, and so are items without
            content.
        present: ``[I + 1] bool``; false for row 0 and for items without content.
        identity: What the vectors were made by.
        counts: How they came about.
    """

    vectors: Tensor
    present: Tensor
    identity: str
    counts: ContentCounts = field(default_factory=ContentCounts)

    @property
    def width(self) -> int:
        """Number of dimensions D."""
        return int(self.vectors.shape[1])


def content_vectors(
    texts: Sequence[str],
    encoder: TextEncoder,
    cache: VectorCache | None = None,
    *,
    progress: Progress | None = None,
) -> ContentVectors:
    """Returns the text vectors of a catalogue; equal texts are encoded once.

    Args:
        texts: One per item in internal order; blank where an item has none.
        encoder: Any text encoder.
        cache: Where vectors are kept between runs; None keeps nothing.
        progress: Told before the first and after each stored chunk.

    Raises:
        ArtifactError: The cache file is damaged.
    """

    def encode(chosen: list[int]) -> tuple[Tensor, Tensor]:
        vectors = encoder.encode_texts([texts[item] for item in chosen])
        return vectors, torch.ones(len(chosen), dtype=torch.bool)

    keys = [hashlib.sha256(text.encode()).digest() if text.strip() else None for text in texts]
    job = _Job(keys, encoder.identity, encoder.width, cache)
    return job.run(encode, progress)


def picture_vectors(
    paths: Sequence[Path | None],
    encoder: ImageEncoder,
    cache: VectorCache | None = None,
    *,
    progress: Progress | None = None,
) -> ContentVectors:
    """Returns the picture vectors of a catalogue; equal files are decoded and encoded once.

    Args:
        paths: One per item in internal order; None where an item has no picture.
        encoder: Any image encoder.
        cache: Where vectors are kept between runs; None keeps nothing.
        progress: Told before the first and after each stored chunk.

    Raises:
        ArtifactError: The cache file is damaged.
    """

    def encode(chosen: list[int]) -> tuple[Tensor, Tensor]:
        return encoder.encode_images([path for item in chosen if (path := paths[item])])

    keys = [_file_key(path) for path in paths]
    job = _Job(keys, encoder.identity, encoder.width, cache)
    result = job.run(encode, progress)
    failed = [path for row, path in enumerate(paths, 1) if path and not result.present[row]]
    return replace(result, counts=replace(result.counts, problems=_problem_kinds(failed)))


def item_vectors(
    texts: Sequence[str],
    paths: Sequence[Path | None],
    encoder: ItemEncoder,
    cache: VectorCache | None = None,
    *,
    progress: Progress | None = None,
) -> ContentVectors:
    """Returns one vector per item from its text and picture together.

    An item with one of the two is encoded from that one; an item with the same text and the
    same picture bytes as another is encoded once.

    Args:
        texts: One per item in internal order; blank where an item has none.
        paths: One per item; None where an item has no picture.
        encoder: Any item encoder.
        cache: Where vectors are kept between runs; None keeps nothing.
        progress: Told before the first and after each stored chunk.

    Raises:
        ArtifactError: The cache file is damaged.
    """

    def encode(chosen: list[int]) -> tuple[Tensor, Tensor]:
        return encoder.encode_items(
            [texts[item] for item in chosen], [paths[item] for item in chosen]
        )

    keys = [_item_key(text, path) for text, path in zip(texts, paths, strict=True)]
    job = _Job(keys, encoder.identity, encoder.width, cache)
    result = job.run(encode, progress)
    told = {"problems": dict(encoder.problems), "cuts": dict(encoder.cuts)}
    return replace(result, counts=replace(result.counts, **told))


class _Job:
    """One pass over a catalogue: look up, encode what is new, store, spread over the items."""

    def __init__(
        self, keys: list[bytes | None], identity: str, width: int, cache: VectorCache | None
    ) -> None:
        self._keys = keys
        self._identity = identity
        self._cache = cache
        self._vectors = np.zeros((len(keys) + 1, width), dtype=np.float32)
        self._present = np.zeros(len(keys) + 1, dtype=np.bool_)
        self._rows: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys, 1):
            if key is not None:
                self._rows.setdefault(key, []).append(row)

    def run(
        self,
        encode: Callable[[list[int]], tuple[Tensor, Tensor]],
        progress: Progress | None,
    ) -> ContentVectors:
        """Returns the vectors; `encode` gets positions in the catalogue, one per content."""
        todo = self._look_up()
        from_cache = int(self._present.sum())
        for start in range(0, len(todo), _CHUNK):
            if progress is not None:
                progress(start, len(todo))
            keys = todo[start : start + _CHUNK]
            vectors, readable = encode([self._rows[key][0] - 1 for key in keys])
            kept = [i for i, fine in enumerate(readable.tolist()) if fine]
            self._fill([keys[i] for i in kept], vectors[kept].numpy())
        if progress is not None:
            progress(len(todo), len(todo))
        known = int(self._present.sum())
        counts = ContentCounts(
            known - from_cache, from_cache, len(self._keys) - known, calls=len(todo)
        )
        return ContentVectors(
            torch.from_numpy(self._vectors), torch.from_numpy(self._present), self._identity, counts
        )

    def _look_up(self) -> list[bytes]:
        """Fills in what the cache holds and returns the keys that it does not."""
        keys = list(self._rows)
        if self._cache is None:
            return keys
        vectors, found = self._cache.get(self._identity, keys, self._vectors.shape[1])
        for i in np.flatnonzero(found):
            self._set(keys[i], vectors[i])
        return [key for key, known in zip(keys, found, strict=True) if not known]

    def _fill(self, keys: list[bytes], vectors: np.ndarray) -> None:
        for key, vector in zip(keys, vectors, strict=True):
            self._set(key, vector)
        if self._cache is not None:
            self._cache.put(self._identity, keys, vectors)

    def _set(self, key: bytes, vector: np.ndarray) -> None:
        self._vectors[self._rows[key]] = vector
        self._present[self._rows[key]] = True


def _file_key(path: Path | None) -> bytes | None:
    """Returns the hash of a file's bytes; a file that cannot be read has none."""
    if path is None:
        return None
    try:
        return bytes.fromhex(sha256_of(path))
    except OSError:
        return None


def _item_key(text: str, path: Path | None) -> bytes | None:
    """Returns the hash of a text and a picture's bytes; None where an item has neither."""
    picture = _file_key(path)
    if picture is None and not text.strip():
        return None
    return hashlib.sha256((picture or bytes(32)) + text.encode()).digest()


def _problem_kinds(failed: Sequence[Path]) -> dict[str, int]:
    """Returns why pictures could not be read; a failure costs a second, usually short, look."""
    outcomes = [read_picture(path) for path in failed]
    kinds = Counter("refused" if isinstance(o, Picture) else o.kind for o in outcomes)
    return dict(kinds.most_common())

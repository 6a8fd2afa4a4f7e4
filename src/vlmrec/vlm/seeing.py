"""Picture files -> visual features: each picture decoded and seen once, or found in a cache.

A frozen tower sees the same in a picture for ever, which `visual_cache` keeps; one that learns
sees anew at every step, and what is kept then is the decoded picture.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch import Tensor

from vlmrec.core.errors import ArtifactError
from vlmrec.data.images import (
    MAX_BYTES,
    MAX_PIXELS,
    Picture,
    PictureProblem,
    decode_picture,
    read_picture,
)
from vlmrec.vlm.families.base import Family, Pixels
from vlmrec.vlm.kept_pixels import KeptPixels
from vlmrec.vlm.prompts import PictureSource
from vlmrec.vlm.visual_cache import VisualCache
from vlmrec.vlm.visual_features import VisualFeatures

_DECODING_THREADS = 4
_KEPT_BYTES = 1 << 30  # 1,700 pictures of 224 x 224


class PictureEncoder:
    """Runs a family's vision tower over pictures.

    A picture that cannot be read, or is gigantic, is counted in `problems` and left out.

    Args:
        family: The architecture with its weights.
        batch_size: Pictures in one pass through the tower.
        cache: Features of a frozen tower from earlier runs; None keeps nothing.
    """

    def __init__(self, family: Family, batch_size: int, cache: VisualCache | None = None) -> None:
        self._family = family
        self._batch_size = batch_size
        self.cache = cache
        self._problems: dict[Path | str, str] = {}
        self._keys: dict[tuple[Path, int, int], bytes] = {}
        self._pixels = KeptPixels(_KEPT_BYTES)

    @property
    def problems(self) -> dict[str, int]:
        """How many pictures could not be read, per kind; each counts once."""
        return dict(Counter(self._problems.values()).most_common())

    def features(
        self, sources: Sequence[PictureSource], *, keep: bool = False
    ) -> dict[PictureSource, VisualFeatures]:
        """Returns the features of every readable picture; unreadable ones are absent.

        Args:
            sources: Files or bytes; repeated ones, and files with the same bytes, are seen once.
            keep: Keep decoded pictures in memory (up to 1 GiB), to be seen again.

        Raises:
            ArtifactError: The tower gives another number of rows than the layout has places.
        """
        wanted = list(dict.fromkeys(sources))
        if self.cache is None:
            seen = self._seen(wanted, keep)
            return {source: one for batch in seen for source, one in batch.items()}
        keys = {source: self._key(source) for source in wanted}
        found = self.cache.get([key for key in keys.values() if key is not None])
        todo = {key or source: source for source, key in keys.items() if key not in found}
        for batch in self._seen(list(todo.values())):
            fresh = {key: one for source, one in batch.items() if (key := keys[source])}
            self.cache.put(fresh)
            # As stored, so that values do not depend on whether the cache was warm.
            found |= self.cache.get(list(fresh))
        return {source: found[key] for source, key in keys.items() if key and key in found}

    def _seen(
        self, sources: list[PictureSource], keep: bool = False
    ) -> Iterator[dict[PictureSource, VisualFeatures]]:
        """Yields the readable pictures of one pass through the tower after another."""
        with ThreadPoolExecutor(_DECODING_THREADS) as pool:
            for start in range(0, len(sources), self._batch_size):
                batch = sources[start : start + self._batch_size]
                kept = self._kept(batch) if keep else {}
                fresh = [source for source in batch if source not in kept]
                for source, outcome in zip(fresh, pool.map(self._prepared, fresh), strict=True):
                    if isinstance(outcome, Pixels):
                        kept[source] = outcome
                        if keep:
                            self._pixels.put(self._key(source), outcome)
                    else:
                        self._problems[_name_of(source)] = outcome
                if kept:
                    yield dict(self._run(list(kept), list(kept.values())))

    def _run(
        self, sources: Sequence[PictureSource], pictures: Sequence[Pixels]
    ) -> Iterator[tuple[PictureSource, VisualFeatures]]:
        for source, pixels, rows in zip(sources, pictures, self._family.see(pictures), strict=True):
            self._check(pixels, rows)
            yield source, VisualFeatures(rows, pixels.shape)

    def _check(self, pixels: Pixels, rows: Tensor) -> None:
        places = self._family.feature_rows(pixels.shape)
        if len(rows) != places:
            raise ArtifactError(
                f"A picture has {places} places in the prompt but {len(rows)} rows of visual "
                f"features: the image processor of this '{self._family.name}' checkpoint does not "
                "belong to its model.",
                "Compare preprocessor_config.json and processor_config.json with config.json, or "
                "fetch the checkpoint again.",
            )

    def _kept(self, sources: Sequence[PictureSource]) -> dict[PictureSource, Pixels]:
        """Returns the pictures that were kept in memory."""
        found = ((source, self._pixels.get(self._key(source))) for source in sources)
        return {source: pixels for source, pixels in found if pixels is not None}

    def _prepared(self, source: PictureSource) -> Pixels | str:
        """Returns the tower's input, or the kind of problem."""
        outcome = _decoded(source)
        if isinstance(outcome, PictureProblem):
            return outcome.kind
        return self._fitted(outcome)

    def _fitted(self, picture: Picture) -> Pixels | str:
        try:
            return self._family.prepare(picture.image)
        except ValueError:  # an image processor refuses, for one, pictures like a thread
            return "refused"

    def _key(self, source: PictureSource) -> bytes | None:
        """Returns the hash of a picture's bytes; None for files that cannot be or are not read."""
        if isinstance(source, bytes):
            return hashlib.sha256(source).digest()
        try:
            stat = source.stat()
            if stat.st_size > MAX_BYTES:
                return None
            identity = (source, stat.st_mtime_ns, stat.st_size)
            if identity not in self._keys:
                self._keys[identity] = hashlib.sha256(source.read_bytes()).digest()
        except OSError:
            return None
        return self._keys[identity]


def _name_of(source: PictureSource) -> Path | str:
    """Returns what a picture is remembered by, without holding its bytes."""
    return hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else source


def _decoded(source: PictureSource) -> Picture | PictureProblem:
    if isinstance(source, bytes):
        return decode_picture(source, "the picture", max_pixels=MAX_PIXELS)
    return read_picture(source, max_pixels=MAX_PIXELS)

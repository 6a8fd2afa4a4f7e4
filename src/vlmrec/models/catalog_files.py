"""Backbone, words and pictures of a catalogue reader in a run folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file, explain_os_error
from vlmrec.data.parquet_write import write_table
from vlmrec.items.cache import VectorCache
from vlmrec.models.catalog_reader import CatalogReader, ReadingOptions
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.prompts import PictureSource
from vlmrec.vlm.saving import save_vlm
from vlmrec.vlm.visual_cache import VisualCache

_BACKBONE = "backbone"
_PICTURES = "pictures"
_CONTENTS = "contents.parquet"
_TEXT, _PICTURE, _BYTES = "text", "picture", "bytes"


@dataclass(frozen=True, eq=False)
class Contents:
    """What a run folder holds for a reader.

    Attributes:
        backbone: Checkpoint folder.
        texts: By internal id.
        pictures: By internal id.
    """

    backbone: Path
    texts: list[str]
    pictures: list[PictureSource | None]


def write_contents(reader: CatalogReader, folder: Path) -> list[str]:
    """Writes a checkpoint with LoRA merged in, the words, and a copy of every picture.

    Pictures are named by the hash of their bytes, so that equal ones are stored once.

    Args:
        reader: What to write.
        folder: The run folder.

    Returns:
        The names of the files to be hash-checked: all but the pictures, whose names are hashes.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    try:
        (folder / _PICTURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        explain_os_error(error, folder)
    stored = [_store(source, folder / _PICTURES) for source in reader.pictures]
    table = pl.DataFrame(
        {
            _TEXT: list(reader.texts),
            _PICTURE: [name for name, _ in stored],
            _BYTES: [size for _, size in stored],
        },
        schema={_TEXT: pl.String, _PICTURE: pl.String, _BYTES: pl.Int64},
    )
    with atomic_file(folder / _CONTENTS) as temporary:
        write_table(table, temporary)
    save_vlm(reader.vlm, folder / _BACKBONE, overwrite=True)
    written = sorted(path for path in (folder / _BACKBONE).rglob("*") if path.is_file())
    return [_CONTENTS, *(str(path.relative_to(folder)) for path in written)]


def read_contents(folder: Path) -> Contents:
    """Returns what `write_contents` wrote.

    Raises:
        ArtifactError: A file is missing, or a picture is not the one that was stored.
    """
    if not (folder / _CONTENTS).is_file():
        raise ArtifactError(
            f"'{folder / _CONTENTS}' is missing; the run folder is incomplete.",
            "Restore it from a copy.",
        )
    table = pl.read_parquet(folder / _CONTENTS)
    pictures: list[PictureSource | None] = []
    for name, size in zip(table[_PICTURE], table[_BYTES], strict=True):
        path = None if name is None else folder / _PICTURES / name
        if path is not None and (not path.is_file() or path.stat().st_size != size):
            raise ArtifactError(
                f"The picture '{path}' is missing or damaged; the run folder is incomplete.",
                "Restore it from a copy.",
            )
        pictures.append(path)
    return Contents(folder / _BACKBONE, table[_TEXT].to_list(), pictures)


def read_reader(
    folder: Path,
    reading: ReadingOptions,
    options: VlmOptions,
    n_items: int,
    *,
    vision_learned: bool,
) -> CatalogReader:
    """Returns the reader that `write_contents` wrote.

    Args:
        folder: The run folder.
        reading: How items and histories become prompts.
        options: How the backbone is fed.
        n_items: Least number of items that must be there.
        vision_learned: Whether the vision tower learned; else features are rounded as the cache
            stores them, as in training, found there or not.

    Raises:
        ArtifactError: A file is missing or damaged.
    """
    contents = read_contents(folder)
    vlm = load_vlm(str(contents.backbone), options)
    if not vision_learned:
        vlm.use_visual_cache(VisualCache(VectorCache().folder, vlm.visual_identity()))
    reader = CatalogReader(vlm, reading, contents.texts, contents.pictures)
    if reader.n_items < n_items:
        raise ArtifactError(
            f"'{folder}' holds {reader.n_items} items' words and pictures; its run.json "
            f"speaks of {n_items}.",
            "Restore it from a copy.",
        )
    return reader


def _store(source: PictureSource | None, folder: Path) -> tuple[str | None, int]:
    """Returns the name and size that a picture has in the run folder, after copying it there."""
    if source is None:
        return None, 0
    content = source if isinstance(source, bytes) else source.read_bytes()
    suffix = "" if isinstance(source, bytes) else source.suffix.lower()
    name = f"{hashlib.sha256(content).hexdigest()}{suffix}"
    if not (folder / name).is_file():
        with atomic_file(folder / name) as temporary:
            temporary.write_bytes(content)
    return name, len(content)

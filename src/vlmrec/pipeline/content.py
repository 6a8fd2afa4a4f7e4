"""Which frozen vectors a model asks for, and where they come from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vlmrec.core.errors import ConfigError
from vlmrec.core.progress import bar
from vlmrec.data.catalog import Catalog
from vlmrec.items.cache import VectorCache
from vlmrec.items.content import ContentVectors, content_vectors, picture_vectors
from vlmrec.items.content_tower import RawContent
from vlmrec.items.vector_files import SUFFIXES, load_vectors


def gather_content(
    wanted: dict[str, str],
    catalog: Catalog,
    item_ids: Sequence[str],
    *,
    cache: VectorCache | None,
    text_fields: Sequence[str] | None = None,
    device: torch.device | None = None,
    quiet: bool = True,
) -> dict[str, ContentVectors]:
    """Returns the frozen vectors ``[I + 1, W]`` of each modality.

    Args:
        wanted: Modality ("text", "image") -> encoder name or vector file.
        catalog: Words and pictures.
        item_ids: External ids in internal order.
        cache: Known vectors, or None.
        text_fields: Columns to read; default: see `Catalog.default_text_fields`.
        device: Where encoders compute; default CPU.
        quiet: Show no progress.

    Raises:
        ConfigError: No item has the modality.
    """
    found: dict[str, ContentVectors] = {}
    for modality, source in wanted.items():
        if is_vector_file(source):
            content = load_vectors(Path(source), item_ids)
        else:
            content = _encode(modality, source, catalog, text_fields, cache, device, quiet)
        if not bool(content.present.any()):
            raise ConfigError(
                f"No item has {'a picture' if modality == 'image' else 'a text'}, "
                f"which the model's option '{modality}' needs.",
                f"Turn it off with --set {modality}=null, or give the dataset some.",
            )
        found[modality] = content
    return found


def is_vector_file(source: str) -> bool:
    """Returns whether an encoder name is really a file of vectors."""
    return Path(source).suffix in SUFFIXES


def raw(content: dict[str, ContentVectors]) -> dict[str, RawContent]:
    """Returns what a model takes in: vectors and presence."""
    return {name: RawContent(one.vectors, one.present) for name, one in content.items()}


def describe(wanted: dict[str, str], content: dict[str, ContentVectors]) -> dict[str, Any]:
    """Returns what the run folder records of the content."""
    return {
        name: {
            "encoder": wanted[name],
            "identity": one.identity,
            "width": one.width,
            "items_with": int(one.present.sum()),
            "picture_problems": dict(one.counts.problems),
        }
        for name, one in content.items()
    }


def _encode(
    modality: str,
    encoder: str,
    catalog: Catalog,
    text_fields: Sequence[str] | None,
    cache: VectorCache | None,
    device: torch.device | None,
    quiet: bool,
) -> ContentVectors:
    from vlmrec.vlm.encoders import load_image_encoder, load_text_encoder

    if modality == "text":
        tool = load_text_encoder(encoder, device=device)
        with bar("encoding texts", quiet=quiet) as advance:
            return content_vectors(catalog.texts(text_fields), tool, cache, progress=advance)
    if modality == "image":
        eye = load_image_encoder(encoder, device=device)
        with bar("encoding pictures", quiet=quiet) as advance:
            return picture_vectors(catalog.image_paths(), eye, cache, progress=advance)
    raise ConfigError(f"Unknown modality '{modality}'; expected 'text' or 'image'.")

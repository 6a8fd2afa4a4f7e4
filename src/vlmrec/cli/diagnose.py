"""`vlmrec diagnose`: the modality report card of a run."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vlmrec.cli.embed import Device


class CaseSet(StrEnum):
    """Which cases the card is about."""

    test = "test"
    valid = "valid"


def diagnose(
    run: Annotated[Path, typer.Argument(help="Run folder of a model that reads content.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Dataset folder; default: where the run was trained."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for card.json and card.html; default: RUN/diagnosis."
        ),
    ] = None,
    cases: Annotated[CaseSet, typer.Option(help="Which cases are ranked.")] = CaseSet.test,
    alone: Annotated[
        list[str] | None,
        typer.Option(
            "--alone",
            help="The same model trained on one modality, as text=RUN or image=RUN; repeatable.",
        ),
    ] = None,
    train_alone: Annotated[
        bool,
        typer.Option(
            "--train-alone",
            help="Train each modality alone where --alone names no run; kept beside RUN.",
        ),
    ] = False,
    no_curves: Annotated[
        bool,
        typer.Option(
            "--no-curves",
            help="Leave out partly missing and partly noisy content: 12 of 20 views.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of shuffles, noise, samples and intervals.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Say whether a model uses texts and pictures: collapsed, unbalanced or balanced."""
    from vlmrec.cli.card_table import print_card
    from vlmrec.cli.stored_run import load_run_and_split
    from vlmrec.pipeline.diagnosing import diagnose as card_of
    from vlmrec.pipeline.diagnosing import page_path

    given = _by_modality(alone or [])
    loaded, split = load_run_and_split(run, data)
    folder = out or run / "diagnosis"
    card = card_of(
        loaded,
        split,
        folder,
        cases=cases.value,
        alone=given,
        train_missing=train_alone,
        curves=not no_curves,
        seed=seed,
        device=device.value,
    )
    if as_json:
        typer.echo(json.dumps(card.to_json(), indent=2))
    else:
        print_card(card, page_path(folder, cases.value))


def _by_modality(assignments: list[str]) -> dict[str, Path]:
    """Returns run folders by modality from ``text=RUN`` and ``image=RUN``."""
    from vlmrec.core.errors import ConfigError

    folders: dict[str, Path] = {}
    for assignment in assignments:
        modality, equals, folder = assignment.partition("=")
        if not equals or not modality or not folder:
            raise ConfigError(
                f"'--alone {assignment}' is not of the form MODALITY=RUN.",
                "Write for example --alone text=runs/content-alone-text.",
            )
        if modality in folders:
            raise ConfigError(f"'--alone {modality}=...' was given twice.")
        folders[modality] = Path(folder)
    return folders

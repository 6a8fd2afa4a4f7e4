"""`vlmrec train`: one model on one dataset, resumable."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vlmrec.models.spec import ModelSpec
    from vlmrec.train.options import TrainOptions


class Protocol(StrEnum):
    """How the data are split."""

    leave_one_out = "leave-one-out"
    global_time = "global-time"
    cold_item = "cold-item"
    cold_item_by_time = "cold-item-by-time"
    cold_user = "cold-user"
    cold_user_by_time = "cold-user-by-time"
    half_catalogue = "half-catalogue"


def train(
    model: Annotated[
        str,
        typer.Argument(
            help="sasrec, sasrec-content, duorec, bert4rec, gru4rec, fpmc, mirm, molar, hllm, "
            "vlm2rec, ensemble, content-knn, item-knn or popularity."
        ),
    ],
    data: Annotated[Path, typer.Option("--data", "-d", help="Dataset folder.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Run folder; default: runs/MODEL-DATASET-seedN."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON file of options; --set overrides it.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="An option of the model or of training, as key=value; repeatable."
        ),
    ] = None,
    split: Annotated[Protocol, typer.Option(help="How the data are split.")] = (
        Protocol.leave_one_out
    ),
    filter_seen: Annotated[
        bool, typer.Option("--filter-seen", help="Leave seen items out of the test ranking.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that is already there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Train a model, measure it on the test cases, and store a run folder.

    The same command continues a run that was interrupted or killed.
    """
    from accelerate import PartialState

    from vlmrec.core.config import merge, parse_assignments, read_config_file
    from vlmrec.data.dataset import Dataset
    from vlmrec.data.named_splits import split_by
    from vlmrec.models import model_class
    from vlmrec.pipeline.fitting import fit

    kind = model_class(model)
    given = read_config_file(config) if config is not None else {}
    spec, options = divide_options(kind, merge(given, parse_assignments(settings or [])))
    dataset = Dataset.load(data)
    folder = out or Path("runs") / f"{model}-{data.resolve().name}-seed{options.seed}"
    run = fit(
        spec,
        split_by(dataset, split),
        folder,
        options=options,
        overwrite=overwrite,
        filter_seen=filter_seen,
    )
    if not PartialState().is_main_process:
        return  # several processes, one report
    if as_json:
        typer.echo(json.dumps(run.info, indent=2))
    else:
        from vlmrec.cli.tables import print_run

        print_run(run.info, folder)


def divide_options(
    kind: "type[ModelSpec]", given: dict[str, Any]
) -> "tuple[ModelSpec, TrainOptions]":
    """Returns the model's specification and the training options among flat options.

    Raises:
        ConfigError: An option belongs to neither (the nearest right name is given).
    """
    from vlmrec.core.errors import ConfigError, nearest
    from vlmrec.train.options import TrainOptions

    of_model = {key: value for key, value in given.items() if key in kind.model_fields}
    of_training = {key: value for key, value in given.items() if key in TrainOptions.model_fields}
    for key in given:
        if key not in of_model and key not in of_training:
            known = [*kind.model_fields, *TrainOptions.model_fields]
            raise ConfigError(
                f"Unknown option '{key}' for model '{kind.name}'.", nearest(key, known)
            )
    where = f"model '{kind.name}'"
    return kind.parse(of_model, where), TrainOptions.parse(of_training, where)

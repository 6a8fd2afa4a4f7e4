"""Runs of the same model on one modality alone: given, found beside the run, or trained now."""

from collections.abc import Mapping
from pathlib import Path

from vlmrec.bundle import is_complete
from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.core.protocols import Multimodal
from vlmrec.data.splits import Split
from vlmrec.items.cache import VectorCache
from vlmrec.models.spec import ModelSpec
from vlmrec.pipeline.evaluation import require_same_data
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.train.options import TrainOptions

_GUARDED = ("model", "spec", "options", "filter_seen")


def require_alone(run: Run, alone: Run, modality: str, split: Split) -> None:
    """Raises an error where `alone` is not the model of `run` trained on one modality.

    Options that differ besides the modality are not refused; see `differing_options`.

    Args:
        run: The joint model.
        alone: What was given for the modality.
        modality: "text" or "image".
        split: What both must have been trained on.

    Raises:
        ConfigError: It is another model, or reads something else.
        ArtifactError: It was trained on other data.
    """
    where = _named(alone)
    if alone.info["model"] != run.info["model"]:
        raise ConfigError(
            f"The run {where} for '{modality}' alone is a {alone.info['model']}; "
            f"expected a {run.info['model']} that reads {modality} only."
        )
    read = alone.model.modalities if isinstance(alone.model, Multimodal) else ()
    if read != (modality,):
        raise ConfigError(
            f"The run {where} for '{modality}' alone reads {' and '.join(read) or 'ids'}; "
            f"expected one that reads {modality} only.",
            "Let --train-alone make it.",
        )
    try:
        require_same_data(alone.info, split)
    except ArtifactError as error:
        raise ArtifactError(f"{where} for '{modality}' alone: {error.problem}") from None


def differing_options(run: Run, alone: Run, modality: str) -> str:
    """Returns in which options a run differs from the model of `run` alone, in words."""
    asked = _alone_spec(run, modality).model_dump(mode="json")
    wanted = {**asked, **run.info["options"]}
    given = {**alone.info["spec"], **alone.info["options"]}
    parts = [
        f"{name} {given.get(name)} instead of {value}"
        for name, value in wanted.items()
        if given.get(name) != value
    ]
    return f"differs in {', '.join(parts)}" if parts else ""


def train_alone(
    run: Run, modality: str, split: Split, *, cache: VectorCache | None = None, quiet: bool = False
) -> tuple[Run, float]:
    """Returns the model of `run` trained on one modality, and the seconds it took now.

    It is stored beside the run in a folder named ``RUN-alone-MODALITY``. Training goes on
    where it was interrupted, and a finished run with the same options is used as it is.

    Args:
        run: The joint model.
        modality: "text" or "image".
        split: What it was trained on.
        cache: Where frozen vectors are kept; default: the user's cache folder.
        quiet: Say nothing on stderr.

    Raises:
        ConfigError: The model cannot read one modality alone.
        DataError: The folder is taken by something else.
    """
    spec = _alone_spec(run, modality)
    options = TrainOptions.parse(run.info["options"], f"run {_named(run)}")
    filter_seen = bool(run.info["filter_seen"])
    folder = None
    if run.folder is not None:
        whole = run.folder.resolve()
        folder = whole.parent / f"{whole.name}-alone-{modality}"
        if is_complete(folder):
            return _reused(folder, spec, run, split), 0.0
    fitted = fit(
        spec, split, folder, options=options, filter_seen=filter_seen, cache=cache, quiet=quiet
    )
    return fitted, float(fitted.info["training"]["wall_seconds"])


def _alone_spec(run: Run, modality: str) -> ModelSpec:
    spec = run.spec.alone(modality)
    if spec is None:
        raise ConfigError(
            f"The model {run.info['model']} cannot read {modality} alone.",
            "Leave --train-alone out.",
        )
    return spec


def _reused(folder: Path, spec: ModelSpec, run: Run, split: Split) -> Run:
    found = Run.load(folder)
    wanted = {**_record(run.info), "spec": spec.model_dump(mode="json")}
    same = _record(found.info) == wanted
    if not same or found.info["split"]["fingerprint"] != split.fingerprint:
        raise DataError(
            f"The folder '{folder}' holds a run with other options or data than '{run.folder}'.",
            "Move it away, or name it with --alone if it is what you want to compare with.",
        )
    return found


def _record(info: Mapping[str, object]) -> dict[str, object]:
    return {name: info[name] for name in _GUARDED}


def _named(run: Run) -> str:
    return "in memory" if run.folder is None else f"'{run.folder}'"

"""Training for studies: what is finished is loaded, what is not is trained or goes on."""

from pathlib import Path

from vlmrec.bundle import is_complete
from vlmrec.core.errors import DataError
from vlmrec.data.splits import Split
from vlmrec.models.spec import ModelSpec
from vlmrec.pipeline.evaluation import require_same_data
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.train.options import TrainOptions


def fit_once(
    spec: ModelSpec,
    split: Split,
    out: Path,
    options: TrainOptions,
    *,
    filter_seen: bool = False,
    quiet: bool = False,
) -> Run:
    """Returns the run of a folder, trained unless it is finished.

    Args:
        spec: The model.
        split: Data.
        out: Run folder.
        options: Training, with the seed.
        filter_seen: Leave items of the history out of the ranking.
        quiet: Say nothing on stderr.

    Raises:
        DataError: The folder holds a run with other options.
        ArtifactError: It holds a run on other data.
    """
    if not is_complete(out):
        return fit(spec, split, out, options=options, filter_seen=filter_seen, quiet=quiet)
    run = Run.load(out)
    require_same_data(run.info, split)
    asked = options.model_dump(mode="json", exclude={"device", "tensorboard"})
    if run.spec != spec or run.info["options"] != asked:
        raise DataError(
            f"The folder '{out}' holds a run with other options.",
            "Choose another folder for the study, or remove it.",
        )
    return run

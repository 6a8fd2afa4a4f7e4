"""A stored run together with the data that it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmrec.data.splits import Split
    from vlmrec.pipeline.run import Run


def load_run_and_split(run: Path, data: Path | None) -> "tuple[Run, Split]":
    """Returns a run and its split.

    Args:
        run: Run folder.
        data: Dataset folder; None for where it was when the run was trained.

    Raises:
        ArtifactError: The folder holds no finished run, or it was trained on other data.
        DataError: The dataset is not there.
    """
    from vlmrec.core.errors import DataError
    from vlmrec.data.dataset import Dataset
    from vlmrec.data.named_splits import split_by
    from vlmrec.pipeline.evaluation import require_same_data
    from vlmrec.pipeline.run import Run

    loaded = Run.load(run)
    folder = data or loaded.info["dataset"]["folder"]
    if folder is None or not Path(folder).is_dir():
        raise DataError(
            f"The dataset that '{run}' was trained on is not at '{folder}'.",
            "Say where it is with --data.",
        )
    split = split_by(Dataset.load(folder), loaded.info["split"]["name"])
    require_same_data(loaded.info, split)
    return loaded, split

"""What a dataset folder keeps of events beyond user, item and time, read when it is asked for."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from vlmrec.core.columns import REQUIRED_INTERACTION_COLUMNS
from vlmrec.core.errors import ArtifactError
from vlmrec.data.dataset import Dataset
from vlmrec.data.frames import ordered_interactions


def load_with_events(folder: Path) -> Dataset:
    """Returns the dataset in a folder with its ratings, kinds of events and the like.

    `Dataset.load` leaves them on disk, because no model reads them.

    Raises:
        DataError: There is no dataset in the folder.
        ArtifactError: It is damaged.
    """
    dataset = Dataset.load(folder)
    path = folder / "interactions.parquet"
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"'{path}' cannot be read as Parquet: {reason}.") from None
    if table.width == len(REQUIRED_INTERACTION_COLUMNS):
        return dataset
    log = ordered_interactions(table)
    if not log.select(REQUIRED_INTERACTION_COLUMNS).equals(dataset.to_interactions()):
        raise ArtifactError(
            f"'{path}' is not the log from which the rest of the folder was made.",
            "Prepare the dataset again.",
        )
    return replace(dataset, events=log.drop(REQUIRED_INTERACTION_COLUMNS))

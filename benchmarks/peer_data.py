"""The data that every side of the comparison gets: our split, as plain arrays in a file."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workers.handover import flat_events
from vlmrec.data.dataset import Dataset
from vlmrec.data.recbole_files import write_recbole
from vlmrec.data.sources.sequence_lines import read_sequences
from vlmrec.data.splits import Split

FEWEST_EVENTS = 4  # with fewer RecBole has no validation case for a user


@dataclass(frozen=True)
class PeerData:
    """A dataset with the options that belong to it.

    Attributes:
        name: What results call it.
        arrays: What `arrays_of` gave.
        options: Dropout and batch size, as in this project's recipe for the data.
    """

    name: str
    arrays: dict[str, np.ndarray]
    options: dict[str, Any]


def arrays_of(split: Split) -> dict[str, np.ndarray]:
    """Returns everything that all sides learn from and are measured on.

    Raises:
        ValueError: A user has too few events for one of the sides.
    """
    parts = {"train": split.train, "valid": split.valid.histories, "test": split.test.histories}
    if int(split.train.lengths.min()) + 2 < FEWEST_EVENTS or len(split.train) != len(split.test):
        raise ValueError(f"Every user needs at least {FEWEST_EVENTS} events.")
    arrays = {
        "items": np.asarray(split.dataset.sequences.items),
        "n_items": np.array(split.dataset.n_items),
        "valid_targets": split.valid.targets,
        "test_targets": split.test.targets,
    }
    for name, part in parts.items():
        arrays |= {f"{name}_start": part.start, f"{name}_stop": part.stop}
        arrays[f"{name}_users"] = part.users
    return arrays


def write_events(arrays: dict[str, np.ndarray], folder: Path) -> None:
    """Writes all events as RecBole's atomic files; the time is the place in the history.

    Ids are the internal ones, so that items in results need no translation.
    """
    users, items, places = flat_events(arrays, "test")
    last = arrays["test_stop"] - arrays["test_start"]
    events = {
        "user_id": np.concatenate([users, arrays["test_users"]]),
        "item_id": np.concatenate([items, arrays["test_targets"]]),
        "timestamp": np.concatenate([places, last]),
    }
    write_recbole(Dataset.from_frames(events), folder, overwrite=True)


def folder_data(folder: Path) -> PeerData:
    """Returns a dataset folder such as ml-100k-mm."""
    arrays = arrays_of(Dataset.load(folder).leave_one_out())
    return PeerData(folder.name, arrays, {"dropout": 0.2, "batch_size": 64})


def lines_data(path: Path) -> PeerData:
    """Returns a file of sequence lines such as Beauty.txt."""
    arrays = arrays_of(Dataset.from_frames(read_sequences(path).interactions).leave_one_out())
    return PeerData(path.stem, arrays, {"dropout": 0.5, "batch_size": 256})


def toy_data() -> PeerData:
    """Returns a small world of made-up events in which items follow one another."""
    rng = np.random.default_rng(0)
    users, steps = np.repeat(np.arange(80), 12), np.tile(np.arange(12), 80)
    items = (rng.integers(0, 40, 80)[users] + steps) % 40
    events = {
        "user_id": [f"u{user}" for user in users],
        "item_id": [f"i{item}" for item in items],
        "timestamp": steps,
    }
    arrays = arrays_of(Dataset.from_frames(events).leave_one_out())
    return PeerData("toy", arrays, {"dropout": 0.2, "batch_size": 16})


def chosen_data(folder: Path | None, lines: Path | None) -> list[PeerData]:
    """Returns the data that was named, ml-100k-mm of VLMREC_REALDATA if none was."""
    if folder is None and lines is None:
        folder = Path(os.environ.get("VLMREC_REALDATA", "../shared/data")) / "ml-100k-mm"
    found = [] if folder is None else [folder_data(folder)]
    return found if lines is None else [*found, lines_data(lines)]

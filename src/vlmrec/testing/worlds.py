"""Small data for contract suites and tests: a log to train on, and content that is only noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from vlmrec.core.columns import ITEM_ID, TIMESTAMP, TITLE, USER_ID
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.data.splits import Split
from vlmrec.data.synthetic import World
from vlmrec.items.content import ContentVectors
from vlmrec.items.vector_files import save_vectors

START = 1_700_000_000


def small_log(n_users: int = 29, n_items: int = 23, seed: int = 0) -> pl.DataFrame:
    """Returns a log of random items: every user has 4 to 12 events, some at equal times."""
    rng = Streams(seed).numpy("small log")
    rows = [
        (f"u{user}", f"i{rng.integers(n_items):02d}", START + int(rng.integers(50)) * 60)
        for user in range(n_users)
        for _ in range(int(rng.integers(4, 13)))
    ]
    return pl.DataFrame(rows, schema=[USER_ID, ITEM_ID, TIMESTAMP], orient="row")


def small_items(n_items: int = 23) -> pl.DataFrame:
    """Returns a row for every item that `small_log` can name."""
    ids = [f"i{item:02d}" for item in range(n_items)]
    return pl.DataFrame({ITEM_ID: ids, TITLE: [f"title of {name}" for name in ids]})


def small_dataset(n_users: int = 29, n_items: int = 23, seed: int = 0) -> Dataset:
    """Returns `small_log` with `small_items` as a dataset."""
    return Dataset.from_frames(small_log(n_users, n_items, seed), small_items(n_items))


def world_split(world: World) -> Split:
    """Returns the leave-one-out split of a planted world.

    Where the world names candidates, these are unknown to training, and tests are ranked among
    them.
    """
    split = Dataset.from_frames(world.interactions, world.items).leave_one_out()
    if world.candidates is None:
        return split
    cold = np.sort(split.dataset.items.to_internal(list(world.candidates)))
    warm = np.setdiff1d(np.arange(1, split.dataset.n_items + 1), cold)
    return replace(split, training_items=warm, test_candidates=cold)


def write_world_vectors(world: World, folder: Path) -> dict[str, str]:
    """Writes a world's content vectors and returns the files by modality."""
    ids = world.items[ITEM_ID].to_list()
    return {
        modality: write_matrix(folder / f"{modality}.npy", ids, matrix)
        for modality, matrix in world.vectors.items()
    }


def write_noise_vectors(dataset: Dataset, folder: Path, width: int = 6) -> dict[str, str]:
    """Writes random text and image vectors for all items and returns the files by modality."""
    ids = dataset.items.names.to_list()
    return {
        modality: write_matrix(
            folder / f"{modality}.npy",
            ids,
            Streams(0).numpy(modality).standard_normal((len(ids), width), dtype=np.float32),
        )
        for modality in ("text", "image")
    }


def write_matrix(path: Path, item_ids: list[str], matrix: np.ndarray) -> str:
    """Writes ``[I, W]`` vectors with their ids and returns the path as an option's value."""
    vectors = torch.zeros(len(matrix) + 1, matrix.shape[1])
    vectors[1:] = torch.as_tensor(matrix)
    save_vectors(path, item_ids, ContentVectors(vectors, vectors.any(dim=1), "a file"))
    return str(path)

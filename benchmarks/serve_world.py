"""A large run and people to serve, made without training.

Item vectors lie in groups and differ in length, as learned ones do, and each person keeps to a
few groups; the transformer has the weights that training would start from. Queries therefore lie
near items, so that an approximate index finds as much and takes as long as on a trained run, while
every product is as large as in one. What is recommended says nothing.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.random import Streams
from vlmrec.index.stored import is_stored
from vlmrec.models.sasrec import SASRec
from vlmrec.models.spec import CatalogShape
from vlmrec.pipeline.indexing import FOLDER, build_index
from vlmrec.pipeline.run import Run

_GROUP = 200
"""Items of a group."""
_GROUPS_A_PERSON = 4


@dataclass(frozen=True)
class WorldSize:
    """How large the run and the histories are.

    Attributes:
        n_items: Number of items I.
        dim: Width D of their vectors.
        length: Items of a history, and how many the model reads.
        people: How many different histories are sent.
    """

    n_items: int = 300_000
    dim: int = 256
    length: int = 50
    people: int = 5_000


TOY = WorldSize(n_items=2_000, dim=32, length=50, people=100)


def make_run(folder: Path, size: WorldSize, seed: int = 0) -> Run:
    """Returns the run in a folder, with its index as `vlmrec index` chooses it; makes both once.

    Args:
        folder: Its run folder.
        size: How large it is to be.
        seed: Other weights and vectors by another one.
    """
    if not is_stored(folder / FOLDER):
        _untrained(size, seed).save(folder)
        build_index(Run.load(folder), folder=folder / FOLDER)
    return Run.load(folder)


def make_twin(run: Run, folder: Path) -> None:
    """Makes a run of the same item vectors, and so the same index, that reads histories otherwise.

    Args:
        run: As `make_run` returns it.
        folder: The other's run folder; left alone where there is one.
    """
    if run.folder is None or is_stored(folder / FOLDER):
        return
    twin = Run.load(run.folder)
    with torch.no_grad():
        for weight in twin.model.users.parameters():
            weight.mul_(1.1)
    twin.save(folder)
    shutil.copytree(run.folder / FOLDER, folder / FOLDER, dirs_exist_ok=True)


def histories(size: WorldSize) -> NDArray[np.int64]:
    """Returns ``[people, length] int64`` internal ids; each row has items of a few groups."""
    rng = Streams(0).numpy("people")
    n_groups = max(1, size.n_items // _GROUP)
    theirs = rng.integers(n_groups, size=(size.people, _GROUPS_A_PERSON))
    which = rng.integers(_GROUPS_A_PERSON, size=(size.people, size.length))
    member = rng.integers(size.n_items // n_groups, size=which.shape)
    return np.take_along_axis(theirs, which, axis=1) + n_groups * member + 1


def name_of(item: int) -> str:
    """Returns the external id of an internal one."""
    return f"item-{item:07d}"


def items_for_sale(n_items: int, streams: Streams) -> pl.DataFrame:
    """Returns ids, titles and how often training saw each, in internal order."""
    numbers = range(1, n_items + 1)
    return pl.DataFrame(
        {
            ITEM_ID: [name_of(item) for item in numbers],
            TITLE: [f"Thing number {item} of the shop" for item in numbers],
            "n_train": streams.numpy("sold").zipf(1.3, n_items).clip(max=10_000),
        }
    )


def _untrained(size: WorldSize, seed: int) -> Run:
    """Returns a run of SASRec that looks trained to whoever serves it."""
    spec = SASRec(dim=size.dim, max_len=size.length)
    shape = CatalogShape(size.n_items)
    model, streams = spec.build(shape), Streams(seed)
    model.initialise(streams, torch.device("cpu"))
    vectors = _grouped(size, streams.numpy("items"))
    with torch.no_grad():
        model.items.weight.copy_(vectors)
    info = {
        "model": spec.name,
        "spec": spec.model_dump(mode="json"),
        "shape": {"n_items": size.n_items, "widths": {}, "n_users": 0},
        "text_fields": [],
    }
    return Run(spec, model.eval(), vectors, items_for_sale(size.n_items, streams), info)


def _grouped(size: WorldSize, rng: np.random.Generator) -> torch.Tensor:
    """Returns ``[I + 1, D]`` vectors; item i lies in group (i - 1) mod the number of groups."""
    n_groups = max(1, size.n_items // _GROUP)
    centres = rng.standard_normal((n_groups, size.dim), dtype=np.float32)
    vectors = np.zeros((size.n_items + 1, size.dim), dtype=np.float32)
    vectors[1:] = 0.7 * rng.standard_normal((size.n_items, size.dim), dtype=np.float32)
    vectors[1:] += centres[np.arange(size.n_items) % n_groups]
    vectors[1:] *= 0.5 + rng.random((size.n_items, 1), dtype=np.float32)
    return torch.from_numpy(vectors)

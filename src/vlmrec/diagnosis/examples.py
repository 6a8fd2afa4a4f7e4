"""Items and users to look at, drawn at random and not chosen; by internal ids."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.diagnosis.measuring import Measured, Setting
from vlmrec.diagnosis.views import BOTH, only

N_ITEMS, N_USERS, N_NEIGHBOURS = 4, 3, 6


@dataclass(frozen=True)
class ItemExample:
    """An item with its nearest neighbours by each modality.

    Attributes:
        item: Internal id.
        neighbours: Modality -> internal ids, nearest (by cosine) first.
    """

    item: int
    neighbours: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class UserExample:
    """A case with the first items of several views.

    Attributes:
        row: Of the case.
        lists: View -> internal ids, best first.
        ranks: View -> rank of the target.
    """

    row: int
    lists: Mapping[str, tuple[int, ...]]
    ranks: Mapping[str, float]


@dataclass(frozen=True)
class Examples:
    """What a reader may look at.

    Attributes:
        items: Among those that have all modalities, where item vectors are known.
        users: Among all cases.
    """

    items: tuple[ItemExample, ...]
    users: tuple[UserExample, ...]


def draw_examples(
    results: Mapping[str, Measured], modalities: tuple[str, ...], setting: Setting
) -> Examples:
    """Returns items and users drawn at random.

    Args:
        results: Of all views.
        modalities: What the model reads.
        setting: On what was measured.
    """
    views = list(dict.fromkeys([BOTH, *(only(name, modalities) for name in modalities)]))
    n = len(setting.cases)
    rows = setting.streams.numpy("example users").choice(n, size=min(N_USERS, n), replace=False)
    users = tuple(
        UserExample(
            int(row),
            {v: _listed(results[v].found.top_items[row, :N_NEIGHBOURS]) for v in views},
            {v: float(results[v].found.ranks[row]) for v in views},
        )
        for row in np.sort(rows)
    )
    return Examples(_items(results, modalities, setting), users)


def nearest(vectors: Tensor, item: int, k: int) -> tuple[int, ...]:
    """Returns the k internal ids with the highest cosine to an item, nearest first.

    Args:
        vectors: ``[I + 1, D]``; zero rows have no neighbours and are nobody's.
        item: Internal id.
        k: How many at most.
    """
    known = torch.nonzero(vectors.any(dim=1)).flatten()
    known = known[known != item]
    cosines = F.normalize(vectors[known], dim=-1) @ F.normalize(vectors[item], dim=-1)
    order = cosines.argsort(descending=True, stable=True)[:k]
    return tuple(int(number) for number in known[order])


def _items(
    results: Mapping[str, Measured], modalities: tuple[str, ...], setting: Setting
) -> tuple[ItemExample, ...]:
    found = {name: results[only(name, modalities)].vectors for name in modalities}
    tables = {name: one.items for name, one in found.items() if one is not None}
    if not tables:
        return ()
    complete = torch.stack([table.any(dim=1) for table in tables.values()]).all(dim=0)
    known = torch.nonzero(complete).flatten().numpy()
    rng = setting.streams.numpy("example items")
    drawn = np.sort(rng.choice(known, size=min(N_ITEMS, len(known)), replace=False))
    return tuple(
        ItemExample(
            int(item),
            {name: nearest(table, int(item), N_NEIGHBOURS) for name, table in tables.items()},
        )
        for item in drawn
    )


def _listed(ids: np.ndarray) -> tuple[int, ...]:
    return tuple(int(number) for number in ids if number > 0)

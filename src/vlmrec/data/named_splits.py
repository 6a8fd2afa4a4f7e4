"""The splits by name, each with its default options."""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from vlmrec.core.errors import ConfigError, nearest
from vlmrec.data.cold_items import LateItemOptions, late_item_split
from vlmrec.data.cold_users import ColdUserOptions, LateUserOptions, cold_users, late_users
from vlmrec.data.dataset import Dataset
from vlmrec.data.splits import Split
from vlmrec.data.transfer import half_catalogue_split

SplitName = Literal[
    "leave-one-out",
    "global-time",
    "cold-item",
    "cold-item-by-time",
    "cold-user",
    "cold-user-by-time",
    "half-catalogue",
]
"""How data are split."""
_MAKERS: Mapping[SplitName, Callable[[Dataset], Split]] = {
    "leave-one-out": Dataset.leave_one_out,
    "global-time": Dataset.global_time,
    "cold-item": Dataset.cold_items,
    "cold-item-by-time": lambda dataset: late_item_split(dataset, LateItemOptions()),
    "cold-user": lambda dataset: cold_users(dataset, ColdUserOptions()),
    "cold-user-by-time": lambda dataset: late_users(dataset, LateUserOptions()),
    "half-catalogue": half_catalogue_split,
}
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


def split_by(dataset: Dataset, name: str) -> Split:
    """Returns the split of that name.

    Raises:
        ConfigError: There is no such split.
        DataError: It leaves nothing to train or to test.
    """
    for known in SPLITS:
        if name == known:
            return _MAKERS[known](dataset)
    raise ConfigError(f"There is no split '{name}'.", nearest(name, SPLITS))

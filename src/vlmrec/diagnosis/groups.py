"""Cold, tail and warm targets: what each modality does for items with and without a past."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlmrec.diagnosis.measuring import Measured, Setting
from vlmrec.diagnosis.views import BOTH, only
from vlmrec.evaluation.significance import Estimate
from vlmrec.evaluation.slices import popularity_slices


@dataclass(frozen=True)
class Group:
    """NDCG@10 of the main views on a group of cases.

    Attributes:
        name: "unseen", "cold", "tail" or "warm".
        definition: Which cases belong to it.
        n_cases: How many do.
        views: View -> NDCG@10; NaN where no case belongs.
    """

    name: str
    definition: str
    n_cases: int
    views: Mapping[str, Estimate]


def popularity_groups(
    results: Mapping[str, Measured],
    modalities: Sequence[str],
    setting: Setting,
    training_counts: np.ndarray,
) -> tuple[Group, ...]:
    """Returns the main views on cold, tail and warm targets.

    Args:
        results: Of all views.
        modalities: What the model reads.
        setting: On what was measured.
        training_counts: ``[I + 1] int`` training interactions of each item.
    """
    names = list(dict.fromkeys([BOTH, *(only(name, modalities) for name in modalities)]))
    groups: list[Group] = []
    for part in popularity_slices(training_counts, setting.cases.targets):
        columns = [results[name].gains for name in names]
        found = setting.resample(columns, part.name, part.mask).estimates()
        views = dict(zip(names, found, strict=True))
        groups.append(Group(part.name, part.definition, int(part.mask.sum()), views))
    return tuple(groups)

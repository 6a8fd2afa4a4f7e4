"""Several seeds of one model on the same cases: means, intervals over users, differences.

Seeds and users are kept apart. A case's value is its mean over the seeds; intervals are drawn
over users only, and what each seed reached stands beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlmrec.core.random import Streams
from vlmrec.evaluation.significance import (
    Estimate,
    PairedDifference,
    bootstrap_means,
    paired_bootstrap,
)

_RESAMPLES = 5000  # corrected for many rows, a p-value may need to be small


@dataclass(frozen=True, eq=False)
class OverSeeds:
    """What several seeds of one model reached.

    Attributes:
        estimates: Column -> mean over seeds and cases, with the interval over users.
        by_seed: Column -> mean over cases of each seed.
        cases: Column -> ``[n] float`` mean over seeds of each case.
    """

    estimates: Mapping[str, Estimate]
    by_seed: Mapping[str, tuple[float, ...]]
    cases: Mapping[str, np.ndarray]


def over_seeds(
    values: np.ndarray,
    columns: Sequence[str],
    *,
    users: np.ndarray | None = None,
    address: tuple[str | int, ...] = (),
) -> OverSeeds:
    """Returns means over seeds with bootstrap intervals over users.

    Args:
        values: ``[S, n, M] float`` of each seed, case and column.
        columns: Names of the M columns.
        users: ``[n] int`` whose case each is; None where every case is another user's.
        address: Distinguishes this draw of users from others.
    """
    per_case = values.mean(axis=0)
    estimates = bootstrap_means(per_case, streams=Streams(0), address=address, users=users)
    return OverSeeds(
        estimates=dict(zip(columns, estimates, strict=True)),
        by_seed={
            name: tuple(float(mean) for mean in values[:, :, i].mean(axis=1))
            for i, name in enumerate(columns)
        },
        cases={name: per_case[:, i] for i, name in enumerate(columns)},
    )


def paired_differences(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    *,
    users: np.ndarray | None = None,
) -> dict[str, PairedDifference]:
    """Returns, for each column of `second`, by how much it exceeds that of `first`.

    Compared case by case, which is far sharper than two intervals beside each other.

    Args:
        first: Column -> ``[n] float`` of what is compared with.
        second: Column -> ``[n] float`` of the same cases in the same order.
        users: ``[n] int`` whose case each is; None where every case is another user's.

    Raises:
        ConfigError: They have different numbers of cases.
    """
    return {
        name: paired_bootstrap(
            first[name], two, streams=Streams(0), users=users, n_resamples=_RESAMPLES
        )
        for name, two in second.items()
    }

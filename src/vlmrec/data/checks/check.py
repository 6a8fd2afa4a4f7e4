"""One line of the card: what was looked at, how it came out, what to do about it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vlmrec.core.errors import DataError
from vlmrec.data.checks.thresholds import WARN_SHARE
from vlmrec.data.dataset import Dataset
from vlmrec.data.sequences import IntArray
from vlmrec.data.splits import Split

Verdict = Literal["pass", "warn", "fail", "skipped"]
BoolArray = NDArray[np.bool_]

NO_TARGETS = "leave-one-out has no test targets"
NO_TIMES = "times are positions in a line"


@dataclass(frozen=True)
class DataCheck:
    """One line of the card.

    Attributes:
        name: What was looked at.
        verdict: "pass", "warn", "fail", or "skipped" where there was nothing to look at, or it
            was not asked for.
        found: The numbers, in words.
        advice: What they mean and what to do; empty where nothing has to be done.
        figures: The numbers; shares are fractions.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str
    figures: dict[str, float]


@dataclass(frozen=True, eq=False)
class Subject:
    """What the checks look at.

    Attributes:
        dataset: The dataset.
        split: Its leave-one-out split; None where no user has three events.
    """

    dataset: Dataset
    split: Split | None

    @classmethod
    def of(cls, dataset: Dataset) -> "Subject":
        """Returns the dataset with what the checks share."""
        try:
            return cls(dataset, dataset.leave_one_out())
        except DataError:
            return cls(dataset, None)

    @property
    def real_times(self) -> bool:
        """False where times are positions in a line."""
        return self.dataset.manifest.get("source", {}).get("kind") != "sequences"

    @cached_property
    def targets(self) -> IntArray:
        """``[n] int64`` test targets of leave-one-out; none without a split."""
        return np.zeros(0, dtype=np.int64) if self.split is None else self.split.test.targets

    def targets_among(self, items: BoolArray) -> int:
        """Returns how many test targets are among some items.

        Args:
            items: ``[I]``, row i is internal id i + 1.
        """
        return int(items[self.targets - 1].sum())


def judge(share: float, *, warn: float = WARN_SHARE, fail: float | None = None) -> Verdict:
    """Returns how a share is judged.

    Args:
        share: Of what is looked at, 0 to 1.
        warn: Above it the check warns.
        fail: Above it the check fails; None where it never does.
    """
    if fail is not None and share > fail:
        return "fail"
    return "warn" if share > warn else "pass"


def checked(
    name: str, verdict: Verdict, found: str, advice: str, figures: dict[str, float]
) -> DataCheck:
    """Returns the line of a check that was made; one that passed needs no advice."""
    return DataCheck(name, verdict, found, "" if verdict == "pass" else advice, figures)


def skipped(name: str, why: str) -> DataCheck:
    """Returns the line of a check that was not made."""
    return DataCheck(name, "skipped", why, "", {})


def share(count: int, total: int) -> float:
    """Returns a share; 0 of nothing is 0."""
    return count / total if total else 0.0

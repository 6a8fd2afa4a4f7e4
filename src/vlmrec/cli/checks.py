"""One line of the report of `vlmrec doctor`."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "optional", "problem"]


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        group: Heading under which it is shown.
        name: What was looked at.
        status: "ok", "optional" (missing, and needed for a part only) or "problem".
        found: What was found.
        fix: What to do where it is not "ok".
    """

    group: str
    name: str
    status: Status
    found: str
    fix: str = ""

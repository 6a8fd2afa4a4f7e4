"""Every error a user can cause: what was given, what was expected, what to do.

The command line prints such an error as one message and exits with 2. Anything else that
escapes is a defect of ours and exits with 1.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class VlmrecError(Exception):
    """Base of the errors that a user can cause and mend.

    Args:
        problem: One sentence with what was given and what was expected.
        fix: One sentence with what to do, or empty where the problem says it.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem} {fix}".strip())
        self.problem = problem
        self.fix = fix


class DataError(VlmrecError):
    """Raw logs, item tables, pictures or dataset folders that cannot be used as given."""


class ConfigError(VlmrecError):
    """An option, a recipe or a combination of options that makes no sense."""


class ArtifactError(VlmrecError):
    """A run folder, checkpoint or cache that is missing, damaged, foreign or unsafe."""


class NotFittedError(VlmrecError):
    """A model was asked for scores before it was trained or loaded."""


class MissingExtraError(VlmrecError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed.",
            f"Install it with: pip install 'vlmrec[{extra}]'",
        )


def nearest(given: str, known: Iterable[str]) -> str:
    """Returns the hint that ends a message about an unknown name.

    >>> nearest("sasrek", ["sasrec", "popularity"])
    "Did you mean 'sasrec'? Known: popularity, sasrec."
    >>> nearest("zzz", ["sasrec"])
    'Known: sasrec.'
    """
    names = sorted(known)
    close = get_close_matches(given, names, n=1, cutoff=0.6)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(names)}."

"""What was taken for what, kept, changed or dropped: said aloud and stored, never silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

NoteKind = Literal["took", "changed", "kept", "dropped", "warning"]


@dataclass(frozen=True)
class Note:
    """One thing a reader of the data should know.

    Attributes:
        kind: ``took`` (how the input was understood), ``changed``, ``kept`` (although it looks
            odd), ``dropped`` or ``warning`` (needs a look).
        count: How many rows, users, items or pictures it is about.
        sentence: Says it in full, with the number.
    """

    kind: NoteKind
    count: int
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Returns the note as it stands in a manifest."""
        return {"kind": self.kind, "count": self.count, "sentence": self.sentence}


def amount(count: int, singular: str, plural: str | None = None) -> str:
    """Returns a number with its noun.

    >>> amount(1, "row"), amount(1200, "row"), amount(2, "entry", "entries")
    ('1 row', '1,200 rows', '2 entries')
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def some(names: Sequence[object], most: int = 3) -> str:
    """Returns the first few names for an example.

    >>> some(["a", "b", "c", "d"])
    "'a', 'b', 'c', ..."
    """
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (", ..." if len(names) > most else "")

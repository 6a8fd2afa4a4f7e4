"""External ids (the user's strings) to internal ids (int64, 1..n, 0 = padding), and back."""

from collections.abc import Sequence
from typing import NewType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.errors import DataError, nearest

InternalIds = NewType("InternalIds", np.ndarray[tuple[int, ...], np.dtype[np.int64]])
"""Internal ids; never mixed up with positions in an array (position = id - 1)."""


class Vocabulary:
    """A frozen list of external ids; the one at position i has the internal id i + 1.

    Args:
        names: Unique, non-null strings.
        what: What the ids name ("item", "user"), for messages.

    Raises:
        DataError: An id occurs twice or is null.

    >>> v = Vocabulary(pl.Series(["b7", "007"]))
    >>> v.to_internal(["007", "unknown"]).tolist()
    [2, 0]
    >>> v.to_external(np.array([2, 1]))
    ['007', 'b7']
    """

    def __init__(self, names: pl.Series, what: str = "item") -> None:
        self.names = names.cast(pl.String).rename("name")
        self.what = what
        if self.names.null_count():
            raise DataError(f"{self.names.null_count()} {what} ids are null.", "Give each an id.")
        if self.names.n_unique() != len(self.names):
            twice = self.names.filter(self.names.is_duplicated())[0]
            raise DataError(
                f"The {what} id '{twice}' occurs more than once in the {what} table.",
                "Keep one row for each id.",
            )

    def __len__(self) -> int:
        return len(self.names)

    def to_internal(self, names: Sequence[str] | pl.Series) -> InternalIds:
        """Returns ``[n] int64`` internal ids; an unknown name becomes 0."""
        asked = pl.Series("name", names, dtype=pl.String)
        known = pl.DataFrame({"name": self.names}).with_row_index("id", offset=1)
        found = asked.to_frame().join(known, on="name", how="left", maintain_order="left")
        ids = found["id"].cast(pl.Int64).fill_null(PADDING_ID)
        return InternalIds(ids.to_numpy().astype(np.int64))

    def to_external(self, ids: NDArray[np.integer]) -> list[str]:
        """Returns the external ids of internal ids, all of which must be 1..n."""
        return self.names.gather(np.asarray(ids, dtype=np.int64) - 1).to_list()

    def require(self, names: Sequence[str]) -> InternalIds:
        """Returns internal ids of names that must all be known.

        Raises:
            DataError: A name is unknown; the nearest known ones are given.
        """
        ids = self.to_internal(names)
        unknown = [name for name, number in zip(names, ids, strict=True) if number == PADDING_ID]
        if unknown:
            sample = self.names.head(2000).to_list()
            hint = nearest(unknown[0], sample) if len(self) <= 20 else _closest(unknown[0], sample)
            raise DataError(
                f"Unknown {self.what} id '{unknown[0]}': "
                f"it is none of the {len(self):,} known {self.what}s.",
                hint,
            )
        return ids


def _closest(given: str, known: list[str]) -> str:
    hint = nearest(given, known).split("Known:")[0].strip()
    return hint or f"Known ids look like '{known[0]}'."

"""Lists that were given out, on their way to the database."""

import threading
from collections import deque
from itertools import islice

from vlmrec.serve.store.records import Shown
from vlmrec.serve.store.store import Store

_MOST = 10_000
_AT_A_TIME = 1000
"""Rows of one transaction; databases take a limited number of values at once."""


class ShownLists:
    """Lists wait here until they are written; where the database is gone, until it is back.

    Where too many wait, the oldest are given up: what was shown is worth less than answering.

    Args:
        store: Where they are written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[Shown] = deque(maxlen=_MOST)
        self._writing = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, shown: Shown) -> None:
        """Lets a list wait."""
        self._waiting.append(shown)

    def write(self) -> None:
        """Writes what waits.

        Raises:
            StoreError: The database does not take it; what is not written goes on waiting.
        """
        with self._writing:
            for _ in range(0, len(self._waiting), _AT_A_TIME):
                lists = list(islice(self._waiting.copy(), _AT_A_TIME))
                self._store.keep_shown(lists)
                self._forget(lists)

    def _forget(self, written: list[Shown]) -> None:
        # Others may have been given up or added meanwhile, so that places do not tell which.
        done = {one.recommendation_id for one in written}
        while self._waiting and self._waiting[0].recommendation_id in done:
            self._waiting.popleft()

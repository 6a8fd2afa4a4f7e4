"""A backend on another machine: while it is away, searches go without it; then it is taken back."""

import logging
import threading
import time
from typing import Protocol

from torch import Tensor

from vlmrec.core.errors import VlmrecError
from vlmrec.index.approximate import Backend

_PAUSE = 5.0
"""Seconds between two looks at a server that was away."""

_log = logging.getLogger(__name__)


class DistantBackend(Backend, Protocol):
    """A backend that raises a VlmrecError when it cannot be reached."""

    def check(self) -> None:
        """Connects anew and looks whether it can be searched.

        Raises:
            VlmrecError: It cannot.
        """
        ...


class WatchedBackend:
    """A backend that says None instead of raising; satisfies `vlmrec.index.approximate.Backend`.

    A search that finds it gone waits once, as long as the backend does; later ones do not wait.
    They have it looked for in the background, so that no request pays for that either.

    Args:
        backend: What may be away.
        pause: Seconds between two looks.
    """

    def __init__(self, backend: DistantBackend, pause: float = _PAUSE) -> None:
        self._backend = backend
        self._pause = pause
        self._lock = threading.Lock()
        self._away: type[VlmrecError] | None = None
        self._looking = False
        self._looked = 0.0

    @property
    def width(self) -> int:
        """Numbers W of a key."""
        return self._backend.width

    @property
    def spare(self) -> float:
        """How many items are to be asked for, as a multiple of those wanted."""
        return self._backend.spare

    @property
    def away(self) -> bool:
        """Whether searches go without it."""
        return self._away is not None

    def propose(self, queries: Tensor, n: int, allowed: Tensor | None) -> Tensor | None:
        """Returns proposals, None while the backend is away."""
        if self._away is None:
            try:
                return self._backend.propose(queries, n, allowed)
            except VlmrecError as error:
                self._gone(error)
                return None
        self._look_in_background()
        return None

    def look(self) -> None:
        """Finds out whether it can be searched; says so in the log where that has changed."""
        try:
            self._backend.check()
        except VlmrecError as error:
            self._gone(error)
            return
        with self._lock:
            back, self._away = self._away is not None, None
        if back:
            _log.warning("the vector database is back, and searched again")

    def _gone(self, error: VlmrecError) -> None:
        with self._lock:
            known, self._away = self._away, type(error)
            self._looked = time.monotonic()
        if known is not type(error):
            _log.warning("until it is back, every item is scored: %s", error)

    def _look_in_background(self) -> None:
        with self._lock:
            if self._looking or time.monotonic() - self._looked < self._pause:
                return
            self._looking = True
        threading.Thread(target=self._look_once, daemon=True).start()

    def _look_once(self) -> None:
        try:
            self.look()
        finally:
            self._looking = False

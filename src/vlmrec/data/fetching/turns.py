"""Whose turn it is: few requests a second and few connections at a time to any one host."""

import heapq
import itertools
import threading
import time
from dataclasses import dataclass, field

from vlmrec.data.fetching.web_address import WebAddress


@dataclass(frozen=True)
class Errand:
    """One picture on its way.

    Attributes:
        url: The address in the catalogue.
        start: The same, taken apart.
        place: Where to ask next: there, or where it was redirected to.
        redirects: How often it was redirected since it was last asked for at its start.
        failures: How often it met trouble.
        requests: How often anybody was asked for it.
    """

    url: str
    start: WebAddress
    place: WebAddress
    redirects: int = 0
    failures: int = 0
    requests: int = 0


@dataclass
class _Host:
    waiting: list[tuple[float, int, Errand]] = field(
        default_factory=lambda: list[tuple[float, int, Errand]]()
    )
    """A heap: not before, order, what."""
    open: int = 0
    """Connections at this moment."""
    free_at: float = 0.0
    """When the next request may start."""
    offered: float | None = None
    """The time of its entry in the heap of all hosts; other entries are out of date."""


class Turns:
    """Hands errands to several threads, no host's faster than it should be.

    Args:
        rate: Requests a second to one host.
        per_host: Connections to one host at a time.
    """

    def __init__(self, rate: float, per_host: int) -> None:
        self._gap = 1 / rate
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}
        self._next: list[tuple[float, int, _Host]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether no errand is handed out any more."""
        return self._stopped

    def add(self, errand: Errand, wait: float = 0.0) -> None:
        """Takes an errand in, to be handed out not before `wait` seconds have passed."""
        with self._changed:
            host = self._hosts.setdefault(errand.place.host, _Host())
            entry = (time.monotonic() + wait, next(self._order), errand)
            heapq.heappush(host.waiting, entry)
            self._offer(host)

    def take(self) -> Errand | None:
        """Returns the next errand, when its turn has come; None when there are to be no more."""
        with self._changed:
            while not self._stopped:
                wait = self._until_next()
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                elif (errand := self._hand_out(heapq.heappop(self._next)[2])) is not None:
                    return errand
            return None

    def give_back(self, errand: Errand) -> None:
        """Says that the connection for an errand is closed."""
        with self._changed:
            host = self._hosts[errand.place.host]
            host.open -= 1
            self._offer(host)

    def pause(self, host: str, seconds: float) -> None:
        """Leaves a host alone for some seconds."""
        with self._changed:
            known = self._hosts[host]
            known.free_at = max(known.free_at, time.monotonic() + seconds)

    def drain(self, host: str) -> list[Errand]:
        """Returns all errands that wait for a host; they are no longer handed out."""
        with self._changed:
            known = self._hosts[host]
            waiting = [errand for _, _, errand in sorted(known.waiting)]
            known.waiting.clear()
            return waiting

    def stop(self) -> None:
        """Hands out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _offer(self, host: _Host) -> None:
        if not host.waiting or host.open >= self._per_host:
            return
        due = max(host.free_at, host.waiting[0][0])
        if host.offered is None or due < host.offered:
            host.offered = due
            heapq.heappush(self._next, (due, next(self._order), host))
            self._changed.notify_all()

    def _until_next(self) -> float | None:
        """Returns the seconds until the first host is due; None where nothing waits."""
        while self._next and self._next[0][0] != self._next[0][2].offered:
            heapq.heappop(self._next)
        return self._next[0][0] - time.monotonic() if self._next else None

    def _hand_out(self, host: _Host) -> Errand | None:
        """Returns the host's next errand, or None where things changed since it was offered."""
        host.offered = None
        if not host.waiting or host.open >= self._per_host:
            return None
        now = time.monotonic()
        if max(host.free_at, host.waiting[0][0]) > now:
            self._offer(host)
            return None
        _, _, errand = heapq.heappop(host.waiting)
        host.open += 1
        host.free_at = now + self._gap
        self._offer(host)
        return errand

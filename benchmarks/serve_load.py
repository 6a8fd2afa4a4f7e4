"""Sends requests to a server over loopback, as fast as it answers or at a constant rate.

Written here rather than taken from wrk: that one is closed-loop, so that a server that stalls is
not asked while it does, and the stall is missing from the times (coordinated omission). At a
constant rate a request is due whether or not those before it were answered, and its time counts
from when it was due. Requests are ready as bytes and answers are only split, which costs a tenth
of a millisecond each.
"""

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Traffic = Callable[[int], bytes]
"""Gives the n-th request as it goes over the wire."""
_PATIENCE = 30.0
"""Seconds that the last answers are waited for."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(eq=False)
class Outcome:
    """What became of requests.

    Attributes:
        seconds: From the first request to the last answer.
        times: Seconds of each request that was answered, from when it was due.
        statuses: How often each status came; 0 are requests without an answer.
        latest: The most seconds that a request was sent after it was due.
    """

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    latest: float = 0.0

    @property
    def errors(self) -> int:
        """Requests that were not answered with 2xx."""
        return sum(n for status, n in self.statuses.items() if not 200 <= status < 300)

    def figures(self) -> dict[str, Any]:
        """Returns rate, percentiles in milliseconds, and errors."""
        p50, p90, p99 = 1000 * np.percentile(self.times or [0.0], [50, 90, 99])
        return {
            "requests": sum(self.statuses.values()),
            "per_s": len(self.times) / self.seconds if self.seconds else 0.0,
            "p50_ms": float(p50),
            "p90_ms": float(p90),
            "p99_ms": float(p99),
            "max_ms": 1000 * max(self.times, default=0.0),
            "errors": self.errors,
        }


def as_fast_as_answered(port: int, traffic: Traffic, connections: int, seconds: float) -> Outcome:
    """Returns what became of requests on so many connections, each with one under way."""
    return asyncio.run(_Load(port, traffic, connections).closed(seconds))


def at_rate(port: int, traffic: Traffic, connections: int, seconds: float, rate: float) -> Outcome:
    """Returns what became of `rate` requests a second, on up to so many connections."""
    return asyncio.run(_Load(port, traffic, connections).paced(seconds, rate))


class _Load:
    """One measurement: its connections, and the requests that are due."""

    def __init__(self, port: int, traffic: Traffic, connections: int) -> None:
        self._port, self._traffic, self._n = port, traffic, connections
        self._outcome = Outcome()
        self._all: list[_Connection] = []
        self._free: deque[_Connection] = deque()
        self._due: deque[tuple[int, float]] = deque()
        self._sent, self._end = 0, 0.0

    async def closed(self, seconds: float) -> Outcome:
        """Every connection sends its next request at its answer."""
        await self._connect()
        start = time.perf_counter()
        self._end = start + seconds
        for one in self._all:
            self._go_on(one)
        await asyncio.sleep(seconds)
        return await self._done(start)

    async def paced(self, seconds: float, rate: float) -> Outcome:
        """A request is due every 1/rate seconds."""
        await self._connect()
        start = time.perf_counter()
        self._free.extend(self._all)
        for number in range(int(seconds * rate)):
            due = start + number / rate
            while (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            self._due.append((number, due))
            if self._free:
                self._go_on(self._free.popleft())
            if number % 16 == 0:
                await asyncio.sleep(0)  # who is late reads answers as well
        return await self._done(start)

    def answered(self, connection: "_Connection", status: int, due: float) -> None:
        """Counts an answer, and goes on."""
        self._outcome.statuses[status] += 1
        if status:
            self._outcome.times.append(time.perf_counter() - due)
            self._go_on(connection)

    def _go_on(self, connection: "_Connection") -> None:
        now = time.perf_counter()
        if now < self._end:
            connection.send(self._traffic(self._sent), now)
            self._sent += 1
        elif self._due:
            number, due = self._due.popleft()
            self._outcome.latest = max(self._outcome.latest, now - due)
            connection.send(self._traffic(number), due)
        else:
            self._free.append(connection)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._n):
            made = await loop.create_connection(
                lambda: _Connection(self.answered), "127.0.0.1", self._port
            )
            self._all.append(made[1])

    async def _done(self, start: float) -> Outcome:
        """Waits for the last answers; those that do not come are errors."""
        end = time.perf_counter() + _PATIENCE
        while time.perf_counter() < end and any(one.waits for one in self._all):
            await asyncio.sleep(0.002)
        self._outcome.seconds = time.perf_counter() - start
        self._outcome.statuses[0] += len(self._due)
        for one in self._all:
            one.close()
        return self._outcome


class _Connection(asyncio.Protocol):
    """Sends one request after the other, and splits answers no further than it must."""

    def __init__(self, answered: "Callable[[_Connection, int, float], None]") -> None:
        self._answered = answered
        self._transport: asyncio.Transport | None = None
        self._got = b""
        self._due = 0.0
        self.waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes in the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Sends a request whose time counts from `due`."""
        self.waits, self._due, self._got = True, due, b""
        if self._transport is None or self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Tells of an answer once it is whole."""
        self._got += data
        head = self._got.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._got, 0, head + 2)
        if length is None or len(self._got) < head + 4 + int(length[1]):
            return
        self.waits = False
        self._answered(self, int(self._got[9:12]), self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells of an answer that will not come; the connection is not used again."""
        if self.waits:
            self.waits = False
            self._answered(self, 0, self._due)

    def close(self) -> None:
        """Hangs up."""
        self.waits = False
        if self._transport is not None:
            self._transport.close()

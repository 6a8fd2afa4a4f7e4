"""A service under everything a shop does, for as long as is wanted: errors, times, memory.

Of two hundred requests 130 ask for a list after a history, 40 for one of a person with stored
events, 29 bring an event and one asks for items like another. Beside them items are removed, where
the model can take them in also added, and other runs are swapped in.

Memory is flat when the middle of the samples of the last quarter is no higher than that of the
second quarter, but for 2 % or 24 MiB: the first quarter fills what is kept on purpose, and a
middle passes over the moments in which two runs are held. A leak of a kilobyte a request is found
at 100 requests a second within ten minutes.
"""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.serve_load import Outcome, at_rate
from benchmarks.serve_process import Served
from vlmrec.core.random import Streams

_CONNECTIONS = 64
_SHARE, _MIB = 0.02, 24.0
_PREPARED = 4_000
_SAMPLES = 400
"""How often memory is looked at."""
_BOUNDARY = "part-of-the-form"


@dataclass(frozen=True)
class Mix:
    """What is asked.

    Attributes:
        items: Ids of items that stand in histories.
        runs: Names of the runs that are swapped in, in turn.
        length: Items of a history.
        people: How many have events.
        adds: Whether the model can take in new items.
        every: Seconds between two changes; one of ten is a swap, which loads a run.
    """

    items: Sequence[str]
    runs: tuple[str, ...]
    length: int = 50
    people: int = 1_000
    adds: bool = False
    every: float = 30.0

    def requests(self) -> list[bytes]:
        """Returns requests as they go over the wire, to be sent over and over."""
        rng = Streams(0).numpy("soak")
        made: list[bytes] = []
        for number in range(_PREPARED):
            kind, user = number % 200, f"person-{rng.integers(self.people)}"
            some = [self.items[place] for place in rng.integers(len(self.items), size=self.length)]
            if kind < 130:
                made.append(post("/recommend", {"history": some}))
            elif kind < 170:
                made.append(post("/recommend", {"user_id": user, "k": 20}))
            elif kind < 199:
                event = {"user_id": user, "item_id": some[0]}
                made.append(post("/events", {"events": [event]}))
            else:
                made.append(post("/similar", {"item_id": some[0]}))
        order = rng.permutation(len(made))
        return [made[place] for place in order]


@dataclass(eq=False)
class Watch:
    """What was seen beside the requests.

    Attributes:
        mib: Resident memory at equal distances.
        changes: How many were made.
        failed: What was said where one was refused.
    """

    mib: list[float] = field(default_factory=list)
    changes: int = 0
    failed: list[str] = field(default_factory=list)


def soak(served: Served, mix: Mix, rate: float, seconds: float) -> dict[str, Any]:
    """Returns what became of so many requests a second for so many seconds."""
    ready, watch, ended = mix.requests(), Watch(), threading.Event()
    threads = [
        threading.Thread(target=_look, args=(served, watch, ended, seconds / _SAMPLES)),
        threading.Thread(target=_change, args=(served, mix, watch, ended)),
    ]
    for one in threads:
        one.start()
    try:
        outcome = at_rate(
            served.port, lambda number: ready[number % len(ready)], _CONNECTIONS, seconds, rate
        )
    finally:
        ended.set()
        for one in threads:
            one.join()
    return _told(outcome, watch, rate, seconds)


def memory(mib: Sequence[float]) -> dict[str, Any]:
    """Returns whether memory is flat, see above.

    Args:
        mib: Samples at equal distances.

    Raises:
        ValueError: There are too few.
    """
    if len(mib) < 16:
        raise ValueError(f"Memory was looked at {len(mib)} times; 16 are needed to judge it.")
    quarter = len(mib) // 4
    before, after = median(mib[quarter : 2 * quarter]), median(mib[-quarter:])
    allowed = max(_MIB, _SHARE * before)
    return {
        "second_quarter_mib": before,
        "last_quarter_mib": after,
        "grown_mib": after - before,
        "allowed_mib": allowed,
        "most_mib": max(mib),
        "mib": [round(one, 1) for one in mib[:: max(1, len(mib) // 40)]],
        "flat": after - before <= allowed,
    }


def post(path: str, body: dict[str, Any]) -> bytes:
    """Returns a request as it goes over the wire."""
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(text)}\r\n\r\n".encode() + text


def _told(outcome: Outcome, watch: Watch, rate: float, seconds: float) -> dict[str, Any]:
    found = memory(watch.mib)
    errors = outcome.errors + len(watch.failed)
    held = found["flat"] and not errors
    return {
        "seconds": seconds,
        "rate": rate,
        **outcome.figures(),
        "statuses": {str(status): n for status, n in sorted(outcome.statuses.items()) if n},
        "changes": watch.changes,
        "failed": watch.failed[:5],
        "memory": found,
        "held": held,
        "verdict": f"{errors} errors, memory grew by {found['grown_mib']:.1f} MiB "
        f"({found['allowed_mib']:.1f} allowed): {'held' if held else 'NOT HELD'}",
    }


def _look(served: Served, watch: Watch, ended: threading.Event, every: float) -> None:
    while not ended.wait(every):
        watch.mib.append(served.resident_mib)


def _change(served: Served, mix: Mix, watch: Watch, ended: threading.Event) -> None:
    number, due = 0, time.monotonic() + mix.every
    while not ended.wait(max(0.0, due - time.monotonic())):
        due += mix.every
        try:
            _one_change(served, mix, number)
        except (OSError, RuntimeError) as error:
            watch.failed.append(str(error))
        number += 1
        watch.changes = number


def _one_change(served: Served, mix: Mix, number: int) -> None:
    turn, removable = number // 10, len(mix.items) // 10
    if number % 10 == 5 and len(mix.runs) > 1:
        served.ask("POST", "/admin/run", json.dumps({"run": mix.runs[(turn + 1) % len(mix.runs)]}))
    elif mix.adds and number % 2:
        served.ask("DELETE", f"/items/new-{number - 1}")
    elif mix.adds:
        form = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="fields"\r\n\r\n'
        form += json.dumps({"title": f"new thing {number}"}) + f"\r\n--{_BOUNDARY}--\r\n"
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        served.ask("PUT", f"/items/new-{number}", form, kind)
    else:
        served.ask("DELETE", f"/items/{mix.items[-1 - number % max(1, removable)]}")

"""How many requests a caller may make: a bucket that refills evenly."""

import threading
import time
from collections import OrderedDict

_MOST_CALLERS = 10_000


class RateLimit:
    """At most so many requests a minute of each caller, in bursts of up to as many.

    Args:
        per_minute: 0 for any number.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str, now: float | None = None) -> float:
        """Counts a request; returns the seconds until it would be allowed, 0 if it is.

        Args:
            caller: Name of a key, or an address.
            now: Seconds of any steady clock; for tests.
        """
        if not self._per_minute:
            return 0.0
        now = time.monotonic() if now is None else now
        rate = self._per_minute / 60
        with self._lock:
            left, then = self._left.pop(caller, (float(self._per_minute), now))
            left = min(float(self._per_minute), left + (now - then) * rate)
            allowed = left >= 1
            self._left[caller] = (left - 1 if allowed else left, now)
            while len(self._left) > _MOST_CALLERS:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / rate

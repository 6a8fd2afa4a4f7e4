"""The time of day, in one place, for events that come without one."""

import time


def now() -> int:
    """Returns the time in seconds UTC."""
    return int(time.time())

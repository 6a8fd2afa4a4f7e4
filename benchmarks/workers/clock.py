"""Counts training time apart from validation; the same for both sides of the comparison.

Knows nothing but the standard library, because both environments use it.
"""

import time


class TrainingClock:
    """Runs while a model is trained and stands still while it is validated.

    Attributes:
        seconds: Cumulated training seconds at the end of each epoch.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._spent = 0.0
        self._since = 0.0

    def go(self) -> None:
        """Starts or continues."""
        self._since = time.perf_counter()

    def end_epoch(self) -> None:
        """Stops; what follows until `go` is validation."""
        self._spent += time.perf_counter() - self._since
        self.seconds.append(self._spent)

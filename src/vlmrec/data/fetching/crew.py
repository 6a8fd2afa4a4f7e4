"""The threads that ask servers: they only ask, and hand every answer to the one who keeps books."""

import queue
import ssl
import threading
import time

from vlmrec.data.fetching.exchange import Answer, Trouble, ask
from vlmrec.data.fetching.options import FetchOptions
from vlmrec.data.fetching.turns import Errand, Turns


class Crew:
    """Threads that take turns and ask.

    Args:
        turns: Where errands come from.
        options: Limits.
        size: Number of threads.
    """

    def __init__(self, turns: Turns, options: FetchOptions, size: int) -> None:
        self._turns = turns
        self._options = options
        self._tls = ssl.create_default_context()
        # Bounded, so that pictures do not pile up in memory before somebody keeps them.
        self._answers: queue.Queue[tuple[Errand, Answer | None]] = queue.Queue(2 * size)
        # Daemons, because nobody who presses Ctrl-C waits for a slow server.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def answer(self, seconds: float) -> tuple[Errand, Answer] | None:
        """Returns the next answer, or None where none comes within the time.

        Raises:
            RuntimeError: A thread ended by a defect; its traceback was printed.
        """
        try:
            errand, answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        if answer is None:
            raise RuntimeError(f"asking for {errand.place.url} ended by a defect")
        return errand, answer

    def last_answers(self, seconds: float) -> list[tuple[Errand, Answer]]:
        """Returns what still comes within the time after the turns were stopped."""
        end = time.monotonic() + seconds
        found: list[tuple[Errand, Answer]] = []
        while time.monotonic() < end:
            busy = any(thread.is_alive() for thread in self._threads)
            got = self.answer(0.05 if busy else 0)
            if got is not None:
                found.append(got)
            elif not busy:
                break
        return found

    def _work(self) -> None:
        while (errand := self._turns.take()) is not None:
            answer: Answer | None = None
            try:
                answer = ask(errand.place, self._options, self._tls)
                # At once: until the answer is judged, another thread could ask this host.
                if isinstance(answer, Trouble) and answer.overloaded and answer.wait:
                    self._turns.pause(errand.place.host, answer.wait)
            finally:
                self._turns.give_back(errand)
                self._hand_over(errand, answer)

    def _hand_over(self, errand: Errand, answer: Answer | None) -> None:
        while True:
            try:
                return self._answers.put((errand, answer), timeout=0.5)
            except queue.Full:
                if self._turns.stopped:
                    return None  # nobody takes answers any more

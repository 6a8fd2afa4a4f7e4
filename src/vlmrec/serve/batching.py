"""Requests that wait while others are answered are answered together."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_LONGEST_QUEUE = 2048


class OverloadedError(Exception):
    """More requests wait than can be answered in reasonable time."""


class Batcher(Generic[Asked, Answered]):
    """Threads that answer all that waits, up to a limit, in one call.

    Nothing waits for company: an idle server answers a single request at once, a busy one finds
    more of them each time it is done.

    Args:
        answer: Answers several at once, or gives the error of one in its place.
        at_most: How many are answered together.
        threads: How many calls are made at a time. With two, the lists of one are written while
            the other computes; with one, calls come one after the other.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Sequence[Answered | Exception]],
        at_most: int = 64,
        threads: int = 1,
    ) -> None:
        self._answer = answer
        self._at_most = at_most
        # Of a queue with a limit both sides would wait for one Python lock.
        self._waiting: SimpleQueue[tuple[Asked, Future[Answered]] | None] = SimpleQueue()
        self._taking = threading.Lock()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name="batcher", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, asked: Asked) -> "Future[Answered]":
        """Returns what will hold the answer.

        Raises:
            OverloadedError: Too many wait already, or nothing is answered any more.
        """
        future: Future[Answered] = Future()
        with self._taking:  # nothing may come behind the end: nobody would answer it
            if self._closed or self._waiting.qsize() >= _LONGEST_QUEUE:
                raise OverloadedError
            self._waiting.put((asked, future))
        return future

    def close(self) -> None:
        """Answers what waits, and ends."""
        with self._taking:
            ending = not self._closed
            self._closed = True
        if ending:
            for _ in self._threads:
                self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            together, last = [first], False
            while len(together) < self._at_most:
                try:
                    one = self._waiting.get_nowait()
                except Empty:
                    break
                if one is None:
                    last = True
                    break
                together.append(one)
            self._settle(together)
            if last:
                return

    def _settle(self, together: "list[tuple[Asked, Future[Answered]]]") -> None:
        going = [one for one in together if one[1].set_running_or_notify_cancel()]
        if not going:
            return
        try:
            answers = self._answer([asked for asked, _ in going])
        except BaseException as error:  # noqa: BLE001 - whoever asked is told, the thread goes on
            # A panic in Rust is no Exception; without the thread all later requests would hang.
            told = error if isinstance(error, Exception) else RuntimeError(repr(error))
            answers = [told] * len(going)
        for (_, future), answer in zip(going, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def apart(asked: Sequence[Asked], name: Callable[[Asked], str]) -> list[list[Asked]]:
    """Returns what was asked in order, in groups in which no name comes twice."""
    groups: list[list[Asked]] = [[]]
    names: set[str] = set()
    for one in asked:
        if name(one) in names:
            groups.append([])
            names.clear()
        groups[-1].append(one)
        names.add(name(one))
    return groups

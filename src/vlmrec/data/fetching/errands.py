"""One call's errands, from the first request to the last status: judges answers, keeps books.

Threads ask (`crew`); everything on the disk is done here, in one thread.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vlmrec.core.progress import Advance
from vlmrec.data.fetching.crew import Crew
from vlmrec.data.fetching.exchange import Answer, Body, Redirect, Trouble
from vlmrec.data.fetching.options import FetchOptions
from vlmrec.data.fetching.picture_files import PictureFolder, suffix_of
from vlmrec.data.fetching.plan import Plan
from vlmrec.data.fetching.status_table import ImageStatus, Status, write_statuses
from vlmrec.data.fetching.turns import Errand, Turns
from vlmrec.data.fetching.web_address import UnusableAddressError, WebAddress
from vlmrec.data.images import MAX_PIXELS, PictureProblem, decode_picture

LONGEST_WAIT = 300.0
"""A host that asks for a longer pause, in seconds, is left alone until the next call."""
TROUBLES_IN_A_ROW = 20
"""So is one that met this many requests in a row with trouble."""
SAVE_EVERY = 30.0
"""Seconds between two states of the status table."""
_POLL = 0.1
_GRACE = 2.0
_DECODED_SIDE = 64  # enough to find damage; large JPEGs decode several times faster
_PROBLEMS = {
    "not-a-picture": "no picture of a known format",
    "truncated": "a picture that is cut short",
    "damaged": "a damaged picture",
    "gigantic": f"a picture of more than {MAX_PIXELS:,} pixels",
}


class Errands:
    """Fetches what a plan wants.

    Attributes:
        fetched: Items whose picture came.
        bytes: The bytes of these pictures.
        requests: Requests that were answered, or not answered in time.

    Args:
        folder: Dataset folder.
        plan: What to ask for; `known` and `images` grow as pictures come.
        stems: File names without suffix, by item id.
        files: Where pictures go.
        options: Limits.
        advance: Told how many items are settled, and of how many.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        stems: Mapping[str, str],
        files: PictureFolder,
        options: FetchOptions,
        advance: Advance,
    ) -> None:
        self.fetched = self.bytes = self.requests = 0
        self._folder = folder
        self._plan = plan
        self._stems = stems
        self._files = files
        self._options = options
        self._advance = advance
        self._turns = Turns(options.rate, options.per_host)
        self._open = set(plan.wanted)
        self._settled = 0
        self._total = sum(map(len, plan.wanted.values()))
        self._troubles: Counter[str] = Counter()  # in a row, by host
        self._left_alone: dict[str, str] = {}  # why, by host

    def run(self, stopping: Callable[[], bool]) -> None:
        """Settles all addresses, or as many as there is time for.

        Args:
            stopping: Asked now and then whether to end early.

        Raises:
            DataError: The folder is read-only or the disk is full.
        """
        self._advance(0, self._total)
        for url in self._plan.wanted:
            try:
                place = WebAddress.parse(url)
            except UnusableAddressError as error:
                self._settle(url, 0, "refused", str(error))
            else:
                self._turns.add(Errand(url, place, place))
        crew = Crew(self._turns, self._options, min(self._options.workers, len(self._open)))
        try:
            self._keep_books(crew, stopping)
        finally:
            self._turns.stop()
        for errand, answer in crew.last_answers(_GRACE):
            self._judge(errand, answer)
        write_statuses(self._folder, self._plan.known)

    def _keep_books(self, crew: Crew, stopping: Callable[[], bool]) -> None:
        saved = time.monotonic()
        while self._open and not stopping():
            got = crew.answer(_POLL)
            if got is not None:
                self._judge(*got)
            if time.monotonic() - saved > SAVE_EVERY:
                write_statuses(self._folder, self._plan.known)
                saved = time.monotonic()

    def _judge(self, errand: Errand, answer: Answer) -> None:
        self.requests += 1
        errand = replace(errand, requests=errand.requests + 1)
        if isinstance(answer, Trouble):
            self._meet(errand, answer)
            return
        self._troubles[errand.place.host] = 0
        if isinstance(answer, Body):
            self._keep(errand, answer)
        elif not isinstance(answer, Redirect):
            self._settle(errand.url, errand.requests, answer.status, answer.reason)
        elif errand.redirects < self._options.redirects:
            self._queue(replace(errand, place=answer.place, redirects=errand.redirects + 1))
        else:
            reason = f"more than {self._options.redirects} redirects"
            self._settle(errand.url, errand.requests, "refused", reason)

    def _keep(self, errand: Errand, body: Body) -> None:
        picture = decode_picture(body.data, errand.url, side=_DECODED_SIDE)
        if isinstance(picture, PictureProblem):
            status: Status = "refused" if picture.kind == "gigantic" else "broken"
            what = "an HTML page" if _is_page(body.data) else _PROBLEMS[picture.kind]
            reason = f"{what}, announced as {body.content_type[:80]}"
            self._settle(errand.url, errand.requests, status, reason)
            return
        for item_id in self._plan.wanted[errand.url]:
            stem, suffix = self._stems[item_id], suffix_of(picture)
            self._plan.images[item_id] = self._files.store(stem, suffix, body.data)
            self.fetched += 1
            self.bytes += len(body.data)
        self._settle(errand.url, errand.requests, "fetched", "", len(body.data))

    def _meet(self, errand: Errand, trouble: Trouble) -> None:
        """Decides whether a picture is asked for again, and whether its host is."""
        host = errand.place.host
        self._troubles[host] += 1
        backoff = min(self._options.backoff * 2**errand.failures, LONGEST_WAIT)
        wait = max(backoff, trouble.wait or 0.0)
        if trouble.overloaded and wait <= LONGEST_WAIT:
            self._turns.pause(host, wait)
        if wait > LONGEST_WAIT:
            self._leave_alone(host, f"{trouble.reason}, asks to wait for {wait:,.0f} seconds")
        elif self._troubles[host] >= TROUBLES_IN_A_ROW:
            self._leave_alone(host, trouble.reason)
        if errand.failures >= self._options.retries:
            self._settle(errand.url, errand.requests, "failed", trouble.reason)
        else:
            again = replace(errand, place=errand.start, redirects=0, failures=errand.failures + 1)
            self._queue(again, wait)

    def _leave_alone(self, host: str, reason: str) -> None:
        self._left_alone[host] = f"host '{host}' is left alone for now: {reason}"
        for errand in self._turns.drain(host):
            self._queue(errand)

    def _queue(self, errand: Errand, wait: float = 0.0) -> None:
        reason = self._left_alone.get(errand.place.host)
        if reason is None:
            self._turns.add(errand, wait)
        else:
            self._settle(errand.url, errand.requests, "failed", reason)

    def _settle(
        self, url: str, requests: int, status: Status, reason: str, size: int | None = None
    ) -> None:
        items, known = self._plan.wanted[url], self._plan.known
        for item_id in items:
            before = known[item_id].tries if item_id in known else 0
            known[item_id] = ImageStatus(url, status, reason, size, before + requests)
        self._open.discard(url)
        self._settled += len(items)
        self._advance(self._settled, self._total)


def _is_page(data: bytes) -> bool:
    start = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html"))

"""What the service does, apart from HTTP: lists, events, items, and other runs.

What is served is one immutable `Live`; a request takes it once and keeps it to its end, so that
a swap or a change drops nothing. Changes are made one after the other, are in the database
before they are acknowledged, and are seen by the next request.
"""

import logging
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from vlmrec.core.errors import ArtifactError, DataError, MissingExtraError, VlmrecError
from vlmrec.serve.allocating import give_back_free_memory
from vlmrec.serve.asking import Answer, Ask, answer_all
from vlmrec.serve.batching import Batcher, apart
from vlmrec.serve.changing import with_changes
from vlmrec.serve.clock import now
from vlmrec.serve.live import Live
from vlmrec.serve.measuring import Measures
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.run_folders import run_folder
from vlmrec.serve.shown import ShownLists
from vlmrec.serve.store.records import Event, Shown, StoredItem
from vlmrec.serve.store.store import Store, StoreError
from vlmrec.serve.trying import with_trial
from vlmrec.serve.unable import unable_to_read

_log = logging.getLogger("vlmrec.serve")
_FLUSH_SECONDS, _TRIM_SECONDS = 0.2, 10.0


class Service:
    """A run, a database, and the threads that answer and follow.

    Args:
        live: What to serve first.
        store: The database.
        options: How.
        load: Gives what to serve of a run folder; for swaps.
    """

    def __init__(
        self, live: Live, store: Store, options: ServeOptions, load: Callable[[Path], Live]
    ) -> None:
        self.options = options
        self.measures = Measures()
        self.store = store
        self._load = load
        self._show(live, live.change)
        self._changing = threading.Lock()
        self._ending = threading.Event()
        self._pictures = tempfile.TemporaryDirectory(prefix="vlmrec-pictures-")
        self._shown = ShownLists(store)
        self._batcher = Batcher(self._answer, options.batch, threads=2)
        self._changes = Batcher(self._change, options.batch)
        self.follow()
        self._threads = [
            threading.Thread(target=self._every, args=(seconds, work), daemon=True)
            for seconds, work in (
                (options.follow_seconds, self.follow),
                (_FLUSH_SECONDS, self._shown.write),
                (_TRIM_SECONDS, give_back_free_memory),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def live(self) -> Live:
        """What is served at this moment."""
        return self._live

    def close(self) -> None:
        """Answers what waits, writes what is unwritten, and ends."""
        self._ending.set()
        self._batcher.close()
        self._changes.close()
        for thread in self._threads:
            thread.join()
        try:
            self._shown.write()
        except StoreError as error:
            _log.warning("lists were not written: %s", error)
        self.store.close()
        self._pictures.cleanup()

    def recommend(self, ask: Ask) -> "Future[Answer]":
        """Returns what will hold the list."""
        return self._batcher.submit(ask)

    def history(self, user: str) -> list[str]:
        """Returns the latest items of a user, oldest first.

        Raises:
            StoreError: The database does not answer.
        """
        return self.store.histories([user], self.options.history)[user]

    def people(self, n: int) -> dict[str, list[str]]:
        """Returns the histories of up to n people of the latest events."""
        return self.store.histories(self.store.latest_users(n), self.options.history)

    def add_events(self, events: Sequence[Event]) -> int:
        """Stores events; they count from the next request on."""
        stored = self.store.add_events(events)
        self.measures.events.inc(stored)
        return stored

    def note_shown(self, answer: Answer, user: str | None) -> None:
        """Remembers a list, to be written in the background."""
        items = tuple(one.item_id for one in answer.items)
        self._shown.add(Shown(answer.recommendation_id, user, items, answer.run, now()))

    def put_item(self, item: StoredItem) -> int:
        """Adds or changes an item; returns the number of the change.

        Changes that wait for each other are made together.

        Raises:
            DataError: The item is not as this catalogue's are.
            ConfigError: The model cannot take it in.
            UnableError: It cannot be read now.
            StoreError: It was not stored, and is not served.
            OverloadedError: Too many changes wait already.
        """
        return self._changes.submit(item).result()

    def remove_item(self, name: str) -> int:
        """Takes an item out of all lists; returns the number of the change.

        What it is stays known: in histories it goes on to count.

        Raises:
            DataError: There is no such item.
        """
        if name not in self._live.rows:
            raise DataError(f"There is no item '{name}'.")
        return self._changes.submit(name).result()

    def swap(self, name: str) -> str:
        """Serves another run on all servers of the database; returns its identity.

        Raises:
            ConfigError: Runs may not be swapped, or the name leads elsewhere.
            ArtifactError: There is no such run, or it is damaged; the old one goes on.
        """
        folder = run_folder(self.options.runs, name)
        with self._changing:
            live = self._up_to_date(self._load(folder))
            self._show(live, max(live.change, self._after(self.store.choose_run(name))))
        return live.identity

    def tried(self, item: StoredItem) -> tuple[Live, str]:
        """Returns what would be served with a product, and its id there; nothing is stored.

        Raises:
            DataError: A field is not one of the catalogue, or there is nothing to read.
            ConfigError: The model cannot take new items in.
            UnableError: It cannot be read now.
        """
        with self._changing:  # encoders and tables are for one at a time
            try:
                return with_trial(self._live, item)
            except (ArtifactError, MissingExtraError) as error:
                raise unable_to_read() from error

    def beside(self, name: str, held: Live | None) -> Live:
        """Returns another run with all changes of items; what is served stays.

        Args:
            name: Its folder's name.
            held: The same run as it was returned before.

        Raises:
            ConfigError: Runs may not be swapped, or the name leads elsewhere.
            ArtifactError: There is no such run, or it is damaged.
        """
        live = held or self._load(run_folder(self.options.runs, name))
        with self._changing:
            return self._up_to_date(live)

    def follow(self) -> None:
        """Takes over what other servers changed, and at the start what is stored."""
        with self._changing:
            if self.store.latest_change() == self._live.change:
                return
            changes = self.store.changes_since(self._live.change)
            live = self._live
            if changes.run is not None:
                live = self._other_run(changes.run) or live
            items = changes.items if live is self._live else self.store.changes_since(0).items
            self._show(self._applied(live, items), changes.latest)

    def _change(self, asked: "Sequence[StoredItem | str]") -> list[int | Exception]:
        """Makes changes in their order; a name alone takes the item out."""
        made: list[int | Exception] = []
        with self._changing:
            for group in apart(asked, lambda one: one if isinstance(one, str) else one.item_id):
                try:
                    made += self._put(self._as_stored(group))
                except StoreError as error:
                    made += [error] * len(group)
        return made

    def _as_stored(self, group: "Sequence[StoredItem | str]") -> list[StoredItem]:
        known = self.store.items([one for one in group if isinstance(one, str)])
        return [
            replace(known.get(one, StoredItem(one)), removed=True) if isinstance(one, str) else one
            for one in group
        ]

    def _put(self, items: list[StoredItem]) -> list[int | Exception]:
        """Returns the number of the change of each item, or why it is not made."""
        try:
            # Tried first: what cannot be served is not stored.
            live = with_changes(self._live, items, Path(self._pictures.name))
            change = self.store.put_items(items)
            self._show(live, self._after(change))
        except StoreError as error:
            return [error] * len(items)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            if len(items) > 1:  # it may be one of them alone
                half = len(items) // 2
                return self._put(items[:half]) + self._put(items[half:])
            return [_for_whoever_asked(error)]
        return [change] * len(items)

    def _up_to_date(self, live: Live) -> Live:
        """Returns a run with all changes of items that the database holds."""
        if live.change == self._live.change:
            return live
        changes = self.store.changes_since(live.change)
        return replace(self._applied(live, changes.items), change=changes.latest)

    def _other_run(self, name: str) -> Live | None:
        try:
            return self._load(run_folder(self.options.runs, name))
        except VlmrecError as error:
            _log.error("the run '%s' that was chosen is not served: %s", name, error)
            return None

    def _applied(self, live: Live, items: Sequence[StoredItem]) -> Live:
        """Returns what is served with all changes that can be made; others are logged."""
        folder = Path(self._pictures.name)
        try:
            return with_changes(live, items, folder)
        except VlmrecError:
            pass  # one by one, to find out which
        for item in items:
            try:
                live = with_changes(live, [item], folder)
            except VlmrecError as error:
                _log.error("the item '%s' is not served: %s", item.item_id, error)
        return live

    def _show(self, live: Live, change: int) -> None:
        live = replace(live, change=change).after(live)
        # Worked out here, not by the next request, for which all others would wait.
        _ = live.left, live.by_popularity
        self._live = live
        self.measures.items.set(int(live.present[1:].sum()))

    def _after(self, change: int) -> int:
        """Returns up to which change all are known once one's own was made.

        Where another server's lies between, the next look at the database finds both.
        """
        known = self._live.change
        return change if change == known + 1 else known

    def _answer(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        self.measures.together.observe(len(asks))
        answers = answer_all(self._live, asks)
        self.measures.fallbacks.inc(
            sum(1 for one in answers if isinstance(one, Answer) and one.fallback)
        )
        return answers

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while not self._ending.wait(seconds):
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is tried again, the thread goes on
                _log.warning("%s: %s", work.__name__.strip("_"), error)


def _for_whoever_asked(error: Exception) -> Exception:
    """Returns the error to tell: what is wrong on this machine is not told in full."""
    if not isinstance(error, ArtifactError | MissingExtraError):
        return error
    told = unable_to_read()
    told.__cause__ = error
    return told

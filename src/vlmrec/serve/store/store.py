"""The database of a service: every method is one transaction, whole or not at all.

What a method has returned from is on the disk. Several servers may share a database: changes of
items and of the run carry numbers, in the order in which they became visible.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, and_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from vlmrec.core.errors import VlmrecError
from vlmrec.serve.store.records import Changes, Event, Shown, StoredItem
from vlmrec.serve.store.schema import open_database
from vlmrec.serve.store.tables import COUNTER, EVENTS, ITEMS, RECOMMENDATIONS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Generator

_RUN = "run"
_NAMES_AT_A_TIME = 500
_EVENTS_A_USER = 100


class StoreError(VlmrecError):
    """The database did not take or give what it was asked; nothing of it was stored."""


class Store:
    """Events, items and lists in a database.

    Args:
        engine: On a database with the current tables, see `open_store`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Asks the database for nothing.

        Raises:
            StoreError: It does not answer.
        """
        with self._reading() as connection:
            connection.execute(text("SELECT 1"))

    def add_events(self, events: Sequence[Event]) -> int:
        """Stores events; returns how many were not there before.

        Raises:
            StoreError: None was stored.
        """
        if not events:
            return 0
        rows = [vars(one) for one in events]
        with self._writing() as connection:
            asked = self._insert(EVENTS).on_conflict_do_nothing(index_elements=[EVENTS.c.event_id])
            # Rows beside the statement, not in it: it is then put together once for all of them.
            return len(connection.execute(asked.returning(EVENTS.c.id), rows).all())

    def histories(self, users: Iterable[str], length: int) -> dict[str, list[str]]:
        """Returns the latest items of each user, oldest first; empty for unknown ones.

        Equal times stand in the order in which they were stored.

        Args:
            users: Their ids.
            length: How many events of each are read.
        """
        found: dict[str, list[str]] = {}
        with self._reading() as connection:
            for user in users:
                latest = (
                    select(EVENTS.c.item_id)
                    .where(EVENTS.c.user_id == user)
                    .order_by(EVENTS.c.timestamp.desc(), EVENTS.c.id.desc())
                    .limit(length)
                )
                found[user] = [row[0] for row in connection.execute(latest)][::-1]
        return found

    def latest_users(self, n: int) -> list[str]:
        """Returns up to n users of the latest events, the latest first.

        No more than `_EVENTS_A_USER` events for each are looked through, so that the answer costs
        the same however long the log is.
        """
        latest = select(EVENTS.c.user_id).order_by(EVENTS.c.id.desc()).limit(n * _EVENTS_A_USER)
        with self._reading() as connection:
            users = dict.fromkeys(row[0] for row in connection.execute(latest))
        return list(users)[:n]

    def put_items(self, items: Sequence[StoredItem]) -> int:
        """Stores items as they are given, in place of what was there; returns the change.

        Raises:
            StoreError: None was stored.
        """
        with self._writing() as connection:
            change = _next_change(connection)
            for one in items:
                row: dict[str, Any] = {
                    "fields": json.dumps(dict(one.fields)),
                    "picture": one.picture,
                    "removed": one.removed,
                    "change": change,
                }
                asked = self._insert(ITEMS).values(item_id=one.item_id, **row)
                asked = asked.on_conflict_do_update(index_elements=[ITEMS.c.item_id], set_=row)
                connection.execute(asked)
        return change

    def items(self, names: Iterable[str]) -> dict[str, StoredItem]:
        """Returns those of the named items that were ever given or removed."""
        wanted, found = list(names), {}
        with self._reading() as connection:
            for start in range(0, len(wanted), _NAMES_AT_A_TIME):
                part = wanted[start : start + _NAMES_AT_A_TIME]
                asked = select(ITEMS).where(ITEMS.c.item_id.in_(part))
                found |= {row.item_id: _item(row) for row in connection.execute(asked)}
        return found

    def choose_run(self, folder: str) -> int:
        """Says which run all servers are to serve; returns the change."""
        with self._writing() as connection:
            change = _next_change(connection)
            row = {"value": folder, "change": change}
            asked = self._insert(SETTINGS).values(name=_RUN, **row)
            asked = asked.on_conflict_do_update(index_elements=[SETTINGS.c.name], set_=row)
            connection.execute(asked)
        return change

    def latest_change(self) -> int:
        """Returns the number of the latest change: cheap, to be asked often."""
        with self._reading() as connection:
            return connection.execute(select(COUNTER.c.value)).scalar_one()

    def changes_since(self, known: int) -> Changes:
        """Returns what is new since the change number `known`; 0 asks for everything."""
        with self._reading() as connection:
            latest = connection.execute(select(COUNTER.c.value)).scalar_one()
            since = and_(ITEMS.c.change > known, ITEMS.c.change <= latest)
            rows = connection.execute(select(ITEMS).where(since).order_by(ITEMS.c.change))
            items = tuple(_item(row) for row in rows)
            newer = and_(SETTINGS.c.name == _RUN, SETTINGS.c.change > known)
            run = connection.execute(select(SETTINGS.c.value).where(newer)).scalar_one_or_none()
        return Changes(latest, items, run)

    def keep_shown(self, lists: Sequence[Shown]) -> None:
        """Stores what was recommended; what is there already is left alone.

        So it may be tried again where an answer of the database was lost.
        """
        if not lists:
            return
        rows = [{**vars(one), "items": json.dumps(one.items)} for one in lists]
        with self._writing() as connection:
            # Not as values of one statement, whose text would be made anew for every number.
            connection.execute(self._insert(RECOMMENDATIONS).on_conflict_do_nothing(), rows)

    def shown(self, recommendation_id: str) -> Shown | None:
        """Returns a list that was recommended, None where there was none of that name."""
        asked = select(RECOMMENDATIONS).where(
            RECOMMENDATIONS.c.recommendation_id == recommendation_id
        )
        with self._reading() as connection:
            row = connection.execute(asked).one_or_none()
        if row is None:
            return None
        facts: dict[str, Any] = row._asdict()
        return Shown(**{**facts, "items": tuple(json.loads(facts["items"]))})

    @contextmanager
    def _reading(self) -> "Generator[Connection]":
        with _explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _writing(self) -> "Generator[Connection]":
        with _explained(), self._engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def _insert(self, table: Any) -> Any:
        kind = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        return kind.insert(table)


def open_store(url: str) -> Store:
    """Returns the store in a database, with its tables brought up to date.

    The errors are those of `vlmrec.serve.store.schema.open_database`.
    """
    return Store(open_database(url))


def _next_change(connection: Connection) -> int:
    counted = update(COUNTER).values(value=COUNTER.c.value + 1).returning(COUNTER.c.value)
    return connection.execute(counted).scalar_one()


def _item(row: Any) -> StoredItem:
    facts: dict[str, Any] = row._asdict()
    return StoredItem(**{**facts, "fields": json.loads(facts["fields"])})


@contextmanager
def _explained() -> "Generator[None]":
    try:
        yield
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(
            f"The database did not do what it was asked: {cause}",
            "Nothing was stored; try again when it answers.",
        ) from error

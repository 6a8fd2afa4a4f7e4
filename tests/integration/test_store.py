"""The database of a service, on SQLite and on a real PostgreSQL server."""

import multiprocessing
import os
import signal
import threading
import uuid

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import SQLAlchemyError

from vlmrec.core.errors import ArtifactError, ConfigError, VlmrecError
from vlmrec.serve.store.records import Event, Shown, StoredItem
from vlmrec.serve.store.schema import open_database, redacted
from vlmrec.serve.store.store import StoreError, open_store
from vlmrec.serve.store.tables import METADATA

KINDS = ["sqlite", "postgresql"]


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    return request.getfixturevalue("server").fresh_database(f"db{uuid.uuid4().hex[:12]}")


@pytest.fixture
def store(url):
    one = open_store(url)
    yield one
    one.close()


def test_migrations_make_the_tables_that_the_code_uses(url):
    engine = open_database(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    open_database(url).dispose()  # again is no harm


def test_histories_are_in_the_order_of_time_then_of_arrival(store):
    events = [Event("ann", f"i{k}", time) for k, time in enumerate((30, 10, 20, 20, 40))]
    assert store.add_events(events) == 5
    store.add_events([Event("bob", "x", 5)])
    found = store.histories(["ann", "bob", "nobody"], 10)
    assert found == {"ann": ["i1", "i2", "i3", "i0", "i4"], "bob": ["x"], "nobody": []}
    assert store.histories(["ann"], 2) == {"ann": ["i0", "i4"]}


def test_an_event_sent_twice_is_stored_once(store):
    first = Event("ann", "a", 1, event_id="n1")
    assert store.add_events([first, Event("ann", "b", 2)]) == 2
    assert store.add_events([first, Event("ann", "c", 3, event_id="n2")]) == 1
    assert store.histories(["ann"], 9) == {"ann": ["a", "b", "c"]}


def test_text_of_any_kind_comes_back_as_it_was(store):
    strange = ["'; DROP TABLE events; --", "東京 😀", 'quote " and \\', "%s %(x)s :name", "a\nb"]
    store.add_events([Event(name, name, k) for k, name in enumerate(strange)])
    for name in strange:
        assert store.histories([name], 3) == {name: [name]}
    store.put_items([StoredItem(name, {"title": name}, name.encode()) for name in strange])
    found = store.items(strange)
    assert {name: one.fields["title"] for name, one in found.items()} == {
        name: name for name in strange
    }
    assert all(one.picture == name.encode() for name, one in found.items())


def test_items_are_put_changed_and_removed_with_numbers(store):
    first = store.put_items([StoredItem("a", {"title": "A"}), StoredItem("b", {"n": [1, None]})])
    second = store.put_items([StoredItem("a", removed=True)])
    assert (first, second) == (1, 2)
    assert store.latest_change() == 2
    every = store.changes_since(0)
    assert [(one.item_id, one.removed) for one in every.items] == [("b", False), ("a", True)]
    assert every.items[0].fields == {"n": [1, None]}
    later = store.changes_since(1)
    assert (later.latest, [one.item_id for one in later.items]) == (2, ["a"])
    assert store.changes_since(2).items == ()


def test_the_run_to_serve_is_a_change_too(store):
    store.put_items([StoredItem("a")])
    assert store.choose_run("runs/b") == 2
    assert store.changes_since(1).run == "runs/b"
    assert store.changes_since(2).run is None
    store.choose_run("runs/c")
    assert store.changes_since(0).run == "runs/c"


def test_lists_are_kept_under_their_names(store):
    one = Shown("r1", "ann", ("a", "b"), "run1", 7)
    store.keep_shown([one, Shown("r2", None, (), "run1", 8)])
    assert store.shown("r1") == one
    assert store.shown("r2").user_id is None
    assert store.shown("r3") is None


def test_nothing_of_a_refused_request_is_stored(store):
    with pytest.raises(StoreError, match="Nothing was stored"):
        store.add_events([Event("ann", "a", 1), Event("ann", None, 2)])
    assert store.histories(["ann"], 9) == {"ann": []}
    store.add_events([Event("ann", "a", 1)])
    assert store.histories(["ann"], 9) == {"ann": ["a"]}


def test_many_writers_lose_nothing_and_changes_have_no_gaps(url):
    """Two servers on one database, four threads each."""
    stores = [open_store(url), open_store(url)]
    seen: list[int] = []

    def work(store, name):
        for k in range(15):
            store.add_events([Event("ann", f"{name}-{k}", k)])
            seen.append(store.put_items([StoredItem(f"{name}-{k}")]))

    threads = [
        threading.Thread(target=work, args=(store, f"{s}{t}"))
        for s, store in enumerate(stores)
        for t in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(seen) == list(range(1, 121))
    assert len(stores[0].histories(["ann"], 1000)["ann"]) == 120
    assert len(stores[1].changes_since(0).items) == 120
    for one in stores:
        one.close()


def test_servers_that_start_together_make_the_tables_once(url):
    failed: list[Exception] = []

    def start():
        try:
            open_store(url).close()
        except (SQLAlchemyError, VlmrecError) as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed


def _write_until_killed(url, pipe):
    store = open_store(url)
    for k in range(10_000):
        store.add_events([Event("ann", f"i{k}", k, event_id=f"n{k}")])
        store.put_items([StoredItem(f"i{k}")])
        os.write(pipe, b".")


def test_what_was_acknowledged_outlives_a_kill(url):
    reading, writing = os.pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_write_until_killed, args=(url, writing)
    )
    process.start()
    acknowledged = sum(len(os.read(reading, 1)) for _ in range(60))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    os.set_blocking(reading, False)
    try:
        acknowledged += len(os.read(reading, 10_000))
    except BlockingIOError:
        pass
    store = open_store(url)
    kept = store.histories(["ann"], 10_000)["ann"]
    assert kept[:acknowledged] == [f"i{k}" for k in range(acknowledged)]
    assert len(kept) - acknowledged in (0, 1)  # the one on its way may have arrived
    assert len(store.changes_since(0).items) in (len(kept), len(kept) - 1)
    store.close()


def test_a_server_that_went_away_is_said_and_its_return_is_enough(server):
    store = open_store(server.fresh_database(f"db{uuid.uuid4().hex[:12]}"))
    store.add_events([Event("ann", "a", 1)])
    server.stop("immediate")
    with pytest.raises(StoreError, match="did not do what it was asked"):
        store.add_events([Event("ann", "b", 2)])
    with pytest.raises(StoreError):
        store.check()
    server.start()
    store.check()
    store.add_events([Event("ann", "c", 3)])
    assert store.histories(["ann"], 9) == {"ann": ["a", "c"]}
    store.close()


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ("shop.db", ConfigError, "was not given as a URL. Write sqlite:///FILE"),
        ("mysql://h/n", ConfigError, "is one of 'mysql'; supported are sqlite and postgresql"),
        ("sqlite:////no/such/folder/x.db", ArtifactError, "unable to open database file"),
        ("postgresql://me:secret@127.0.0.1:1/x", ArtifactError, "cannot be used: .*refused"),
    ],
)
def test_databases_that_cannot_be_used_are_said(given, error, told):
    with pytest.raises(error, match=told) as raised:
        open_database(given)
    assert "secret" not in str(raised.value)


def test_a_newer_database_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ArtifactError, match="newer version of vlmrec"):
        open_database(url)


def test_a_file_that_is_no_database_is_said(tmp_path):
    (tmp_path / "x.db").write_bytes(b"not a database at all, " * 50)
    with pytest.raises(ArtifactError, match="not a database"):
        open_database(f"sqlite:///{tmp_path / 'x.db'}")


def test_passwords_are_not_shown():
    assert "secret" not in redacted("postgresql://me:secret@host/name")

import threading
import time

from vlmrec.data.fetching.turns import Errand, Turns
from vlmrec.data.fetching.web_address import WebAddress


def errand(host: str, number: int = 0) -> Errand:
    place = WebAddress.parse(f"http://{host}.example/{number}")
    return Errand(place.url, place, place)


def taken(turns: Turns) -> str:
    found = turns.take()
    assert found is not None
    turns.give_back(found)
    return found.url.removeprefix("http://").replace(".example/", "")


def test_one_host_is_asked_at_its_rate_another_meanwhile():
    turns = Turns(rate=10.0, per_host=9)
    for host, number in (("a", 0), ("a", 1), ("a", 2), ("b", 0)):
        turns.add(errand(host, number))
    started = time.monotonic()
    first = [taken(turns), taken(turns)]
    assert time.monotonic() - started < 0.09
    assert first == ["a0", "b0"]
    assert [taken(turns), taken(turns)] == ["a1", "a2"]
    assert time.monotonic() - started >= 0.19


def test_no_more_connections_to_a_host_than_allowed():
    turns = Turns(rate=1e6, per_host=1)
    turns.add(errand("a", 0))
    turns.add(errand("a", 1))
    open_one = turns.take()
    assert open_one is not None
    later: list[Errand | None] = []
    thread = threading.Thread(target=lambda: later.append(turns.take()))
    thread.start()
    thread.join(0.1)
    assert later == []
    turns.give_back(open_one)
    thread.join(5)
    assert later == [errand("a", 1)]


def test_an_errand_waits_and_others_of_its_host_do_not():
    turns = Turns(rate=1e6, per_host=1)
    started = time.monotonic()
    turns.add(errand("a", 0), wait=0.15)
    turns.add(errand("a", 1))
    assert taken(turns) == "a1"
    assert time.monotonic() - started < 0.14
    assert taken(turns) == "a0"
    assert time.monotonic() - started >= 0.15


def test_a_paused_host_waits_and_a_drained_one_is_done():
    turns = Turns(rate=1e6, per_host=1)
    for number in range(3):
        turns.add(errand("a", number))
    turns.add(errand("b"))
    started = time.monotonic()
    turns.pause("a.example", 0.15)
    assert taken(turns) == "b0"
    assert time.monotonic() - started < 0.14
    assert taken(turns) == "a0"
    assert time.monotonic() - started >= 0.15
    assert turns.drain("a.example") == [errand("a", 1), errand("a", 2)]
    turns.add(errand("b", 7))
    assert taken(turns) == "b7"


def test_stopping_ends_those_who_wait():
    turns = Turns(rate=1.0, per_host=1)
    turns.add(errand("a"), wait=60.0)
    threads = [threading.Thread(target=turns.take) for _ in range(3)]
    for thread in threads:
        thread.start()
    turns.stop()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert turns.stopped
    assert turns.take() is None

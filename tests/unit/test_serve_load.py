"""The load generator counts what users would wait for, and the soak's verdict can be bad."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from benchmarks.serve_load import Outcome, as_fast_as_answered, at_rate
from benchmarks.serve_soak import Mix, memory, post

REQUEST = post("/x", {"history": ["a"]})


class Answering(asyncio.Protocol):
    """Answers each request after `wait(number)` seconds with `status(number)`; 0 hangs up."""

    def __init__(self, counter, wait, status):
        self.counter, self.wait, self.status = counter, wait, status

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        number = self.counter[0]
        self.counter[0] += 1
        asyncio.get_running_loop().call_later(self.wait(number), self.answer, number)

    def answer(self, number):
        status = self.status(number)
        if not status:
            self.transport.close()
            return
        head = f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n".encode()
        self.transport.write(head)  # in two parts: an answer need not come whole
        asyncio.get_running_loop().call_later(0.001, self.transport.write, b"12345")


@contextmanager
def server(wait=lambda _: 0.0, status=lambda _: 200) -> Iterator[int]:
    loop, counter = asyncio.new_event_loop(), [0]
    making = loop.create_server(lambda: Answering(counter, wait, status), "127.0.0.1", 0)
    made = loop.run_until_complete(making)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        made.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0.02))
        loop.close()


def test_a_constant_rate_is_kept_and_every_request_sent_once():
    sent = []
    with server() as port:
        found = at_rate(port, lambda n: sent.append(n) or REQUEST, 8, 0.5, 200)
    assert sent == list(range(100))
    assert found.errors == 0
    assert len(found.times) == found.statuses[200] == 100
    assert found.seconds == pytest.approx(0.5, abs=0.4)


def test_a_stall_counts_for_all_that_were_due_in_it():
    """A generator that waits for answers would see one slow request and forty-nine fast ones."""
    with server(wait=lambda number: 0.4 if number == 5 else 0.0) as port:
        found = at_rate(port, lambda _: REQUEST, 1, 0.5, 100)
    assert len(found.times) == 50
    assert sum(one > 0.1 for one in found.times) > 20
    assert found.latest > 0.2


def test_as_fast_as_answered_has_one_request_a_connection_under_way():
    with server(wait=lambda _: 0.05) as port:
        found = as_fast_as_answered(port, lambda _: REQUEST, 4, 0.5)
    assert 8 <= len(found.times) <= 44
    assert found.figures()["p50_ms"] >= 50
    assert found.figures()["per_s"] == pytest.approx(len(found.times) / found.seconds)


def test_refusals_and_broken_connections_are_errors():
    with server(status=lambda number: {3: 503, 7: 0}.get(number, 200)) as port:
        found = at_rate(port, lambda _: REQUEST, 4, 0.2, 100)
    assert dict(found.statuses) == {200: 18, 503: 1, 0: 1}
    assert found.errors == 2
    assert len(found.times) == 19  # what was not answered has no time


def test_without_answers_there_are_no_figures():
    assert Outcome().figures() == {
        "requests": 0, "per_s": 0.0, "p50_ms": 0.0, "p90_ms": 0.0, "p99_ms": 0.0,
        "max_ms": 0.0, "errors": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mib", "flat"),
    [
        ([500.0] * 40, True),
        ([300.0] * 10 + [500.0] * 30, True),  # the first quarter fills what is kept on purpose
        ([500.0] * 25 + [1500.0] * 3 + [500.0] * 12, True),  # two runs are held for a moment
        ([500.0 + 2 * k for k in range(40)], False),
        ([500.0] * 20 + [530.0] * 20, False),
        ([2000.0] * 20 + [2030.0] * 20, True),  # 1.5 %
    ],
)
def test_memory_is_judged_by_the_middle_of_its_quarters(mib, flat):
    found = memory(mib)
    assert found["flat"] is flat
    assert found["most_mib"] == max(mib)


def test_too_few_looks_at_memory_are_no_verdict():
    with pytest.raises(ValueError, match="looked at 15 times; 16 are needed"):
        memory([1.0] * 15)


def test_the_mix_holds_what_a_shop_does():
    ready = Mix([f"i{k}" for k in range(50)], ("one",), length=5, people=10).requests()
    routes = [one.split(b" ")[1].decode() for one in ready]
    shares = {route: routes.count(route) / len(ready) for route in set(routes)}
    assert shares == {"/recommend": 0.85, "/events": 0.145, "/similar": 0.005}

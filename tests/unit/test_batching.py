"""Requests that wait are answered together."""

import threading
import time

import pytest

from vlmrec.serve.batching import Batcher, OverloadedError, apart


def test_what_waits_is_answered_together_and_each_gets_its_own():
    sizes, gate = [], threading.Event()

    def answer(asked):
        gate.wait(5)
        sizes.append(len(asked))
        return [ValueError(one) if one == 3 else one * 10 for one in asked]

    batcher = Batcher(answer, at_most=8)
    futures = [batcher.submit(0)]
    time.sleep(0.05)  # the first is on its way
    futures += [batcher.submit(k) for k in range(1, 11)]
    futures[5].cancel()
    gate.set()
    assert [futures[k].result(5) for k in (0, 1, 2, 4, 6, 10)] == [0, 10, 20, 40, 60, 100]
    with pytest.raises(ValueError, match="3"):
        futures[3].result(5)
    assert sizes[0] == 1
    assert max(sizes) > 4
    batcher.close()


def test_a_batch_that_fails_tells_all_and_the_next_is_answered():
    def answer(asked):
        if 0 in asked:
            raise RuntimeError("broken")
        return asked

    batcher = Batcher(answer)
    with pytest.raises(RuntimeError, match="broken"):
        batcher.submit(0).result(5)
    assert batcher.submit(7).result(5) == 7
    batcher.close()


def test_a_panic_ends_no_thread_and_after_the_end_nothing_is_taken():
    def answer(asked):
        if 0 in asked:
            raise BaseException("panicked")
        return asked

    batcher = Batcher(answer)
    with pytest.raises(RuntimeError, match="panicked"):
        batcher.submit(0).result(5)
    assert batcher.submit(7).result(5) == 7
    batcher.close()
    batcher.close()
    with pytest.raises(OverloadedError):
        batcher.submit(8)


def test_too_many_waiting_are_refused(monkeypatch):
    monkeypatch.setattr("vlmrec.serve.batching._LONGEST_QUEUE", 4)
    gate = threading.Event()
    batcher = Batcher(lambda asked: (gate.wait(5), asked)[1], at_most=1)
    refused = 0
    for k in range(20):
        try:
            batcher.submit(k)
        except OverloadedError:
            refused += 1
    assert refused in (15, 16)  # one may be on its way already
    gate.set()
    batcher.close()


def test_two_threads_answer_at_a_time_and_both_end():
    both = threading.Barrier(2, timeout=20)

    def answer(asked):
        both.wait()  # broken, unless another call is under way
        return [2 * one for one in asked]

    batcher = Batcher(answer, at_most=1, threads=2)
    waiting = [batcher.submit(n) for n in range(6)]
    assert [one.result(timeout=20) for one in waiting] == [0, 2, 4, 6, 8, 10]
    batcher.close()
    batcher.close()
    with pytest.raises(OverloadedError):
        batcher.submit(1)


def test_what_has_one_name_is_done_one_after_the_other():
    assert apart(["a", "b", "a", "c", "c", "a"], str) == [["a", "b"], ["a", "c"], ["c", "a"]]

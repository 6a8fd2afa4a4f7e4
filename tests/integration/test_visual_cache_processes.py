"""Visual features on disk while other processes write, and after they were killed."""

import hashlib
import logging
import os
import random
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from vlmrec.vlm.visual_cache import VisualCache
from vlmrec.vlm.visual_features import VisualFeatures

SPAWN = get_context("spawn")
N_ROWS, WIDTH = 40, 50
RECORD = N_ROWS * WIDTH * 2  # bytes
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


def key(name: int) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def pictures(names, writer=0) -> dict[bytes, VisualFeatures]:
    shape = (N_ROWS, writer)
    return {
        key(name): VisualFeatures(torch.full((N_ROWS, WIDTH), float(name + 100 * writer)), shape)
        for name in names
    }


def check(found, names) -> None:
    """Asserts that each found value is what some writer put under that key."""
    by_key = {key(name): name for name in names}
    for one, features in found.items():
        rows, writer = features.shape
        assert features.values.shape == (rows, WIDTH)
        assert features.values.unique().tolist() == [by_key[one] + 100 * writer]


def write(folder: str, writer: int, n: int, ready) -> None:
    """Puts pictures 0..n-1 in an order of its own, a few at a time, twice over."""
    cache = VisualCache(Path(folder), "{}")
    names = [*range(n), *range(n)]
    random.Random(writer).shuffle(names)
    for start in range(0, len(names), 3):
        if start <= 3:  # all make the files at once, and nobody is done before all have begun
            ready.wait(120)
        cache.put(pictures(names[start : start + 3], writer))


def put_until_killed(folder: str) -> None:
    cache = VisualCache(Path(folder), "{}")
    for start in range(0, 1_000_000, 4):
        cache.put(pictures(range(start % 1000, start % 1000 + 4)))


def stop_before_commit(folder: str, told) -> None:
    """Puts pictures 100..109 and stands still with the values written and nothing committed."""

    def halt(_: int) -> None:
        told.set()
        time.sleep(600)

    os.fsync = halt
    VisualCache(Path(folder), "{}").put(pictures(range(100, 110), writer=9))


def put_on_small_disk(folder: str, answers) -> None:
    import resource

    logging.basicConfig()
    limit = 30 * RECORD
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    cache = VisualCache(Path(folder), "{}")
    cache.put(pictures(range(20)))
    cache.put(pictures(range(20, 40)))
    found = cache.get([key(name) for name in range(40)])
    check(found, range(40))
    answers.put(len(found))


@pytest.mark.slow
def test_processes_that_write_at_once_store_every_picture_once(tmp_path):
    n, ready = 60, SPAWN.Barrier(3)
    writers = [SPAWN.Process(target=write, args=(str(tmp_path), i, n, ready)) for i in range(3)]
    for writer in writers:
        writer.start()
    cache, names = VisualCache(tmp_path, "{}"), range(n)
    while any(writer.is_alive() for writer in writers):
        check(cache.get([key(name) for name in names]), names)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    found = cache.get([key(name) for name in names])
    check(found, names)
    assert len(found) == n
    assert cache.values_file.stat().st_size <= n * (RECORD + 64)
    assert len({features.shape for features in found.values()}) > 1  # they did write at once


def test_killed_between_values_and_index(tmp_path):
    VisualCache(tmp_path, "{}").put(pictures(range(5)))
    told = SPAWN.Event()
    child = SPAWN.Process(target=stop_before_commit, args=(str(tmp_path), told))
    child.start()
    assert told.wait(60)
    cache = VisualCache(tmp_path, "{}")
    known = 5 * RECORD
    assert cache.values_file.stat().st_size > known + 9 * RECORD
    assert len(cache.get([key(name) for name in range(5)])) == 5  # reading does not wait for it
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert cache.get([key(name) for name in range(100, 110)]) == {}
    began = time.monotonic()
    cache.put(pictures(range(103, 106)))
    assert time.monotonic() - began < 20  # the lock died with its holder
    found = cache.get([key(name) for name in (*range(5), *range(100, 110))])
    assert len(found) == 8
    check(found, range(110))


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    cache, names = VisualCache(tmp_path, "{}"), range(1004)
    keys = [key(name) for name in names]
    n_before = 0
    for attempt in range(4):
        child = SPAWN.Process(target=put_until_killed, args=(str(tmp_path),))
        child.start()
        while len(cache.shapes(keys)) == n_before:
            assert child.is_alive()
        time.sleep(random.Random(attempt).uniform(0, 0.05))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        found = VisualCache(tmp_path, "{}").get(keys)
        check(found, names)
        assert len(found) % 4 == 0  # all of a put or nothing
        assert len(found) > n_before
        n_before = len(found)
    cache.put(pictures(names))
    found = cache.get(keys)
    check(found, names)
    assert len(found) == len(names)


def test_full_disk_loses_nothing_in_this_process_or_the_next(tmp_path):
    answers = SPAWN.Queue()
    child = SPAWN.Process(target=put_on_small_disk, args=(str(tmp_path), answers))
    child.start()
    assert answers.get(timeout=60) == 40
    child.join()
    cache, names = VisualCache(tmp_path, "{}"), range(40)
    found = cache.get([key(name) for name in names])
    assert len(found) == 20
    check(found, names)
    cache.put(pictures(names))
    found = cache.get([key(name) for name in names])
    assert len(found) == 40
    check(found, names)

import logging
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from vlmrec.core.errors import ArtifactError
from vlmrec.items import cache as cache_module
from vlmrec.items.cache import VectorCache, default_cache_folder


def vectors(n, width=3, start=0):
    return np.arange(start, start + n * width, dtype=np.float32).reshape(n, width)


def keys(n, prefix="k"):
    return [f"{prefix}{i}".encode() for i in range(n)]


def test_stored_vectors_come_back_in_the_order_asked_for(tmp_path):
    VectorCache(tmp_path).put("enc", keys(3), vectors(3))
    found, known = VectorCache(tmp_path).get("enc", [b"k2", b"new", b"k0", b"k2"], 3)
    assert known.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(found, vectors(3)[[2, 0, 0, 2]] * known[:, None])


def test_encoders_do_not_see_each_others_vectors(tmp_path):
    cache = VectorCache(tmp_path)
    cache.put("one", keys(1), vectors(1))
    assert not cache.get("two", keys(1), 3)[1].any()


def test_more_keys_than_one_query_takes(tmp_path):
    cache = VectorCache(tmp_path)
    cache.put("enc", keys(1201), vectors(1201))
    found, known = cache.get("enc", keys(1201), 3)
    assert known.all()
    np.testing.assert_array_equal(found, vectors(1201))


def test_first_writer_of_a_key_wins_and_nothing_breaks(tmp_path):
    cache = VectorCache(tmp_path)
    cache.put("enc", keys(1), vectors(1))
    cache.put("enc", keys(2), vectors(2, start=50))
    np.testing.assert_array_equal(
        cache.get("enc", keys(2), 3)[0], [vectors(1)[0], vectors(2, start=50)[1]]
    )


@pytest.mark.parametrize("damage", ["garbage", "flipped bit"])
def test_damaged_file_is_refused_with_what_to_do(tmp_path, damage):
    cache = VectorCache(tmp_path)
    cache.put("enc", keys(5), vectors(5))
    path = cache.file_of("enc")
    if damage == "garbage":
        path.write_bytes(b"not a database" * 100)
    else:
        with sqlite3.connect(path) as connection:
            blob = np.float32([9, 9, 9]).tobytes()
            connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", (blob, b"k1"))
        connection.close()
    with pytest.raises(ArtifactError, match=r"is damaged: .*Delete this file"):
        cache.get("enc", keys(5), 3)


def test_file_of_a_killed_first_writer_counts_as_empty(tmp_path):
    cache = VectorCache(tmp_path)
    cache.file_of("enc").touch()
    assert not cache.get("enc", keys(1), 3)[1].any()
    cache.put("enc", keys(1), vectors(1))
    assert cache.get("enc", keys(1), 3)[1].all()


def test_folder_that_cannot_be_written_warns_once_and_goes_on(tmp_path, caplog):
    (tmp_path / "file").touch()
    cache = VectorCache(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        cache.put("enc", keys(1), vectors(1))
        cache.put("enc", keys(1), vectors(1))
    assert len(caplog.records) == 1
    assert "VLMREC_CACHE" in caplog.text
    assert not cache.get("enc", keys(1), 3)[1].any()


def test_full_disk_warns_and_keeps_what_was_stored(tmp_path, caplog, monkeypatch):
    cache = VectorCache(tmp_path)
    cache.put("enc", keys(1), vectors(1))

    def full(path, identity):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(cache_module, "_writer", full)
    with caplog.at_level(logging.WARNING):
        cache.put("enc", keys(2), vectors(2))
    assert "disk is full" in caplog.text
    assert cache.get("enc", keys(2), 3)[1].tolist() == [True, False]


def test_read_only_folder_is_still_read(tmp_path, monkeypatch):
    cache = VectorCache(tmp_path)
    cache.put("enc", keys(2), vectors(2))
    monkeypatch.setattr(cache_module.os, "access", lambda *_: False)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert cache.get("enc", keys(2), 3)[1].all()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def fill(folder, prefix):
    cache = VectorCache(Path(folder))
    for i in range(40):
        cache.put("enc", [f"{prefix}{i}".encode()], vectors(1, start=i))


def test_two_processes_write_at_once(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(fill, [str(tmp_path)] * 2, "ab"))
    wanted = keys(40, "a") + keys(40, "b")
    found, known = VectorCache(tmp_path).get("enc", wanted, 3)
    assert known.all()
    np.testing.assert_array_equal(found[:40, 0], np.arange(40))


def test_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMREC_CACHE", str(tmp_path))
    assert VectorCache().folder == tmp_path
    monkeypatch.delenv("VLMREC_CACHE")
    assert default_cache_folder().name == "vlmrec"

import errno
import hashlib
import logging
import mmap
import os
import pickle
import sqlite3

import pytest
import torch

from vlmrec.core import mapped_file
from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.vlm.visual_cache import VisualCache
from vlmrec.vlm.visual_features import VisualFeatures

IDENTITY = '{"weights_sha256": "ab", "resolution": 224}'
DAMAGED = r"'.*\.sqlite' and '.*\.bin'\) is damaged: .*Delete both files"


def key(name) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def pictures(names, n=3, width=5):
    """Returns features that follow from the name, with a shape that does too."""
    made = {}
    for name in names:
        generator = torch.Generator().manual_seed(name)
        values = torch.randn(n, width, generator=generator).half().float()
        made[key(name)] = VisualFeatures(values, (name, 2))
    return made


def check(found, wanted):
    assert found.keys() == wanted.keys()
    for one, features in wanted.items():
        assert found[one].values.float().equal(features.values)
        assert found[one].shape == features.shape


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_was_put_comes_back_and_nothing_else(tmp_path, dtype):
    items = pictures(range(4))
    VisualCache(tmp_path, IDENTITY, dtype=dtype).put(items)
    cache = VisualCache(tmp_path, IDENTITY, dtype=dtype)
    found = cache.get([key(2), key("new"), key(0), key(2)])
    check(found, {one: items[one] for one in (key(2), key(0))})
    assert {features.values.dtype for features in found.values()} == {getattr(torch, dtype)}
    assert key(3) in cache
    assert key("new") not in cache
    assert cache.get([]) == {}


def test_identity_and_number_type_keep_caches_apart(tmp_path):
    VisualCache(tmp_path, IDENTITY).put(pictures([1]))
    assert VisualCache(tmp_path, IDENTITY, dtype="float32").get([key(1)]) == {}
    assert VisualCache(tmp_path, IDENTITY + " ").get([key(1)]) == {}


def test_values_are_views_of_the_file_that_cannot_change_it(tmp_path):
    cache = VisualCache(tmp_path, IDENTITY)
    cache.put(pictures([1, 2]))
    first, again = cache.get([key(1)])[key(1)].values, cache.get([key(1)])[key(1)].values
    assert first.data_ptr() == again.data_ptr()
    assert first.data_ptr() % 64 == 0
    first.zero_()
    check(VisualCache(tmp_path, IDENTITY).get([key(1)]), pictures([1]))


def test_shapes_need_no_values(tmp_path):
    cache = VisualCache(tmp_path, IDENTITY)
    cache.put({key(1): VisualFeatures(torch.ones(2, 2), ()), **pictures([7])})
    cache.values_file.unlink()
    assert cache.shapes([key(7), key(1), key("new")]) == {key(7): (7, 2), key(1): ()}


def test_more_keys_than_one_query_takes(tmp_path):
    items = pictures(range(1201), n=1, width=1)
    cache = VisualCache(tmp_path, IDENTITY)
    cache.put(items)
    check(cache.get(list(items)), items)


def test_what_was_put_first_stays(tmp_path):
    cache = VisualCache(tmp_path, IDENTITY)
    cache.put(pictures([1]))
    size = cache.values_file.stat().st_size
    cache.put({key(1): VisualFeatures(torch.zeros(1, 5), ())})
    assert cache.values_file.stat().st_size == size
    cache.put({key(1): VisualFeatures(torch.zeros(1, 5), ()), **pictures([2])})
    check(cache.get([key(1), key(2)]), pictures([1, 2]))


def test_views_outlive_growth_and_growth_is_seen(tmp_path):
    cache, other = VisualCache(tmp_path, IDENTITY), VisualCache(tmp_path, IDENTITY)
    cache.put(pictures([0]))
    before = other.get([key(0)])
    for name in range(1, 40):
        cache.put(pictures([name], n=50))
        check(other.get([key(name)]), pictures([name], n=50))
    check(before, pictures([0]))


def test_files_larger_than_one_map(tmp_path, monkeypatch):
    segment = mmap.ALLOCATIONGRANULARITY
    monkeypatch.setattr(mapped_file, "_SEGMENT", segment)
    row = segment // 3 // 2  # three records fill a segment, but for the alignment
    items = pictures(range(10), n=1, width=row - 5) | pictures([10], n=7, width=row)
    cache = VisualCache(tmp_path, IDENTITY)
    cache.put(items)
    assert cache.values_file.stat().st_size > 5 * segment
    check(cache.get(list(items)), items)
    cache.put(pictures([11], n=1, width=row))
    check(
        cache.get([key(11), key(10)]), {**pictures([11], n=1, width=row), key(10): items[key(10)]}
    )


def test_any_float_tensor_is_taken(tmp_path):
    cache = VisualCache(tmp_path, IDENTITY)
    values = torch.arange(6.0).view(2, 3).t().requires_grad_()
    cache.put({b"a": VisualFeatures(values, ()), b"b": VisualFeatures(values.bfloat16(), ())})
    assert all(f.values.equal(values.half()) for f in cache.get([b"a", b"b"]).values())
    with pytest.raises(ValueError, match=r"expected values \[n, W\], got \[3\]"):
        cache.put({b"c": VisualFeatures(torch.ones(3), ())})


def test_numbers_beyond_float16_are_refused_and_float32_takes_them(tmp_path):
    values = torch.tensor([[1.0, -70_000.0]])
    item = {key(1): VisualFeatures(values, ())}
    with pytest.raises(ConfigError, match=r"reach 70000; float16 holds .* 65504.*in float32"):
        VisualCache(tmp_path, IDENTITY).put(pictures([2]) | item)
    assert VisualCache(tmp_path, IDENTITY).get([key(1), key(2)]) == {}
    exact = VisualCache(tmp_path, IDENTITY, dtype="float32")
    exact.put(item)
    assert exact.get([key(1)])[key(1)].values.equal(values)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(tmp_path, number):
    item = {key(1): VisualFeatures(torch.tensor([[1.0, number]]), ())}
    with pytest.raises(ConfigError, match=r"hold NaN or infinity.*vision tower in float32"):
        VisualCache(tmp_path, IDENTITY, dtype="float32").put(item)


def flip(cache):
    content = bytearray(cache.values_file.read_bytes())
    content[1] ^= 4
    cache.values_file.write_bytes(content)


def edit(statement):
    def damage(cache):
        connection = sqlite3.connect(cache.index_file)
        with connection:
            connection.execute(statement)
        connection.close()

    return damage


DAMAGES = {
    "flipped bit": flip,
    "values cut": lambda cache: os.truncate(cache.values_file, 20),
    "values gone": lambda cache: cache.values_file.unlink(),
    "no index": lambda cache: cache.index_file.write_bytes(b"not a database" * 400),
    "another shape": edit("UPDATE pictures SET shape = '[9, 9]'"),
    "rows for columns": edit("UPDATE pictures SET n = width, width = n"),
    "fewer rows": edit("UPDATE pictures SET n = 1"),
    "no shape": edit("UPDATE pictures SET shape = 'what'"),
    "no end": edit("DELETE FROM cache"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_with_what_to_do(tmp_path, damage):
    VisualCache(tmp_path, IDENTITY).put(pictures([1]))
    cache = VisualCache(tmp_path, IDENTITY)
    DAMAGES[damage](cache)
    with pytest.raises(ArtifactError, match=DAMAGED):
        cache.get([key(1)])


def test_values_cut_short_are_not_appended_to(tmp_path):
    cache = VisualCache(tmp_path, IDENTITY)
    cache.put(pictures([1]))
    os.truncate(cache.values_file, 20)
    with pytest.raises(ArtifactError, match=DAMAGED):
        cache.put(pictures([2]))


def test_what_a_killed_writer_left_is_written_over(tmp_path):
    cache = VisualCache(tmp_path, IDENTITY)
    cache.index_file.touch()  # killed before its first commit
    cache.values_file.write_bytes(b"half" * 100)
    assert cache.get([key(1)]) == {}
    cache.put(pictures([1]))
    size = cache.values_file.stat().st_size
    with cache.values_file.open("ab") as file:
        file.write(b"half" * 1000)
    cache.put(pictures([2]))
    check(cache.get([key(1), key(2)]), pictures([1, 2]))
    with cache.values_file.open("rb") as file:
        file.seek(-(-size // 64) * 64)
        assert file.read(30) == pictures([2])[key(2)].values.half().numpy().tobytes()


@pytest.mark.parametrize("deleted", ["index", "both"])
def test_files_deleted_under_a_running_process(tmp_path, deleted):
    cache, other = VisualCache(tmp_path, IDENTITY), VisualCache(tmp_path, IDENTITY)
    cache.put(pictures([1, 2]))
    before = cache.get([key(1), key(2)])
    cache.index_file.unlink()
    if deleted == "both":
        cache.values_file.unlink()
    other.put(pictures([3, 2, 1]))
    check(before, pictures([1, 2]))
    check(cache.get([key(1), key(2), key(3)]), pictures([1, 2, 3]))


def unusable_folder(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    return tmp_path / "file" / "cache"


def full_disk(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    VisualCache(tmp_path, IDENTITY).put(pictures([0]))
    monkeypatch.setattr(os, "fsync", full)
    return tmp_path


def read_only_folder(tmp_path, monkeypatch):
    VisualCache(tmp_path, IDENTITY).put(pictures([0]))

    def refused(*_, **__):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("vlmrec.vlm.visual_cache.writing", refused)
    monkeypatch.setattr(os, "access", lambda *_: False)
    return tmp_path


@pytest.mark.parametrize("trouble", [unusable_folder, full_disk, read_only_folder])
def test_trouble_with_the_disk_is_told_once_and_nothing_is_computed_twice(
    tmp_path, monkeypatch, caplog, trouble
):
    folder = trouble(tmp_path, monkeypatch)
    cache = VisualCache(folder, IDENTITY)
    given = {key(1): VisualFeatures(pictures([1])[key(1)].values.half(), (1, 2))}
    with caplog.at_level(logging.WARNING):
        cache.put(given)
        given[key(1)].values.zero_()  # the caller's own, to do with as it likes
        cache.put(pictures([2]))
        found = cache.get([key(i) for i in range(4)])
    assert len(caplog.records) == 1
    assert "VLMREC_CACHE" in caplog.text
    stored = [] if trouble is unusable_folder else [0]
    check(found, pictures([*stored, 1, 2]))
    assert found[key(1)].values.dtype == torch.float16
    assert cache.shapes([key(2)]) == {key(2): (2, 2)}
    check(VisualCache(folder, IDENTITY).get([key(i) for i in range(4)]), pictures(stored))


def test_an_index_that_cannot_be_opened_is_told_once(tmp_path, monkeypatch, caplog):
    def refused(_):
        raise sqlite3.OperationalError("unable to open database file")

    cache = VisualCache(tmp_path, IDENTITY)
    cache.put(pictures([1]))
    monkeypatch.setattr("vlmrec.vlm.visual_cache.reading", refused)
    with caplog.at_level(logging.WARNING):
        assert cache.get([key(1)]) == cache.get([key(1)]) == {}
    assert len(caplog.records) == 1
    cache.put(pictures([1]))
    check(cache.get([key(1)]), pictures([1]))


def test_another_process_gets_the_cache_without_its_bytes(tmp_path):
    cache = VisualCache(tmp_path, IDENTITY)
    cache.put(pictures([1], n=1000))
    cache.get([key(1)])
    sent = pickle.dumps(cache)
    assert len(sent) < 4000
    check(pickle.loads(sent).get([key(1)]), pictures([1], n=1000))

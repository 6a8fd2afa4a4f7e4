"""Parts of the service that need no run: keys, rates, pictures, diverse lists."""

import hashlib
import io
import json
import logging
import struct
import time
import zlib

import pytest
import torch
from PIL import Image

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.serve.diversity import diverse
from vlmrec.serve.guard import role_for
from vlmrec.serve.keys import Keys, new_key
from vlmrec.serve.logs import JsonLines
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.pictures import FORMATS, check_picture, kept_picture
from vlmrec.serve.rate import RateLimit
from vlmrec.serve.running import require_safe
from vlmrec.serve.shown import ShownLists
from vlmrec.serve.store.records import Shown
from vlmrec.serve.store.store import StoreError


def write_keys(folder, entries):
    path = folder / "keys.json"
    path.write_text(json.dumps(entries))
    return path


def test_a_key_is_known_by_its_hash_alone(tmp_path):
    key, digest = new_key()
    assert digest == hashlib.sha256(key.encode()).hexdigest()
    keys = Keys.read(write_keys(tmp_path, {"shop": {"role": "write", "sha256": digest}}))
    caller = keys.caller(key)
    assert (caller.name, caller.role) == ("shop", "write")
    assert caller.may("read")
    assert not caller.may("admin")
    for wrong in (None, "", key[:-1], key + "x", digest, "\ud800"):
        assert keys.caller(wrong) is None


def test_without_keys_everybody_may_everything():
    assert Keys({}).caller(None).role == "admin"


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({}, "holds no keys"),
        ({"a": {"role": "root", "sha256": "0" * 64}}, "The key 'a'.*needs a role, one of read"),
        ({"a": {"role": "read", "sha256": "secret"}}, "64 hexadecimal digits"),
        ({"a": "secret"}, "64 hexadecimal digits"),
    ],
)
def test_wrong_files_of_keys_are_said(tmp_path, entries, told):
    with pytest.raises(ConfigError, match=told):
        Keys.read(write_keys(tmp_path, entries))


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("POST", "/recommend", "read"),
        ("GET", "/items/i1", "read"),
        ("PUT", "/items/i1", "write"),
        ("DELETE", "/items/i1", "write"),
        ("PATCH", "/items/i1", "write"),
        ("POST", "/events", "write"),
        ("POST", "/admin/run", "admin"),
        ("GET", "/metrics", "admin"),
    ],
)
def test_roles(method, path, role):
    assert role_for(method, path) == role


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "shop.example", "::"])
def test_other_machines_are_not_served_without_keys(host):
    with pytest.raises(ConfigError, match=f"listen on '{host}' without keys"):
        require_safe(ServeOptions(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.5"])
def test_this_machine_is(host):
    assert require_safe(ServeOptions(host=host)) is None


def test_rates_refill_evenly_and_callers_do_not_share():
    rate = RateLimit(60)
    assert [rate.wait("a", now=0.0) for _ in range(60)] == [0.0] * 60
    assert rate.wait("a", now=0.0) == pytest.approx(1.0)
    assert rate.wait("b", now=0.0) == 0.0
    assert rate.wait("a", now=0.5) == pytest.approx(0.5)
    assert rate.wait("a", now=1.01) == 0.0
    assert rate.wait("a", now=1.01) > 0.9
    assert RateLimit(0).wait("a") == 0.0


def png(width, height, rows=b""):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def picture_bytes(kind="JPEG", size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_pictures_are_taken_and_kept_under_their_bytes(kind, tmp_path):
    data = picture_bytes(kind)
    check_picture(data, 10_000)
    path = kept_picture(data, tmp_path)
    assert path == kept_picture(data, tmp_path)
    assert path.read_bytes() == data
    with Image.open(path) as picture:
        assert picture.format == kind
    assert path.suffix == FORMATS[kind]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "no picture that can be read. Send JPEG, PNG, WEBP, GIF"),
        (b"<svg onload='alert(1)'/>", "no picture that can be read"),
        (b"root:x:0:0", "no picture that can be read"),
        (picture_bytes("BMP"), "no picture that can be read"),
        (picture_bytes()[:200], "damaged or cut off"),
        (picture_bytes("PNG", (200, 200)), "has 40,000 pixels; at most 10,000 are taken"),
        (png(100_000, 100_000, zlib.compress(bytes(1000))), "has .* pixels; at most 10,000"),
    ],
)
def test_pictures_that_are_refused(data, told):
    start = time.perf_counter()
    with pytest.raises(DataError, match=told):
        check_picture(data, 10_000)
    assert time.perf_counter() - start < 1  # nothing was unpacked


def test_a_diverse_list_keeps_twins_apart():
    vectors = torch.nn.functional.normalize(
        torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.7, 0.7]]), dim=1
    )
    items, scores = torch.tensor([1, 2, 4, 3, 0]), torch.tensor([4.0, 3.9, 2.0, 1.5, -torch.inf])
    assert items[diverse(items, scores, vectors, 3, 0.0)].tolist() == [1, 2, 4]
    assert items[diverse(items, scores, vectors, 3, 0.9)].tolist() == [1, 3, 4]
    assert items[diverse(items, scores, vectors, 9, 0.9)].tolist() == [1, 3, 4, 2]
    assert diverse(items[4:], scores[4:], vectors, 3, 0.7).tolist() == [0]


def test_logs_are_json_whatever_they_hold():
    formatter = JsonLines()
    for message, key, value in (
        ('plain "text"\nand more', "message", 'plain "text"\nand more'),
        ('{"route": "/x", "status": 200}', "route", "/x"),
        ("[1, 2]", "message", [1, 2]),
    ):
        record = logging.LogRecord("a", logging.INFO, "p", 1, message, (), None)
        line = formatter.format(record)
        assert "\n" not in line
        assert json.loads(line)[key] == value


class Gone:
    """A database that is gone until it is back."""

    def __init__(self):
        self.back, self.kept = False, []

    def keep_shown(self, lists):
        if not self.back:
            raise StoreError("gone")
        self.kept += lists


def test_lists_wait_for_a_database_that_is_gone(monkeypatch):
    monkeypatch.setattr("vlmrec.serve.shown._AT_A_TIME", 3)
    store = Gone()
    waiting = ShownLists(store)
    every = [Shown(f"r{k}", None, (), "run", k) for k in range(8)]
    for one in every:
        waiting.add(one)
    for _ in range(2):
        with pytest.raises(StoreError):
            waiting.write()
        assert len(waiting) == 8
    store.back = True
    waiting.write()
    waiting.write()
    assert store.kept == every
    assert len(waiting) == 0


def test_of_too_many_waiting_lists_the_oldest_are_given_up(monkeypatch):
    monkeypatch.setattr("vlmrec.serve.shown._MOST", 5)
    store = Gone()
    waiting = ShownLists(store)
    for k in range(8):
        waiting.add(Shown(f"r{k}", None, (), "run", k))
    store.back = True
    waiting.write()
    assert [one.recommendation_id for one in store.kept] == ["r3", "r4", "r5", "r6", "r7"]

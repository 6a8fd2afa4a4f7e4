"""One question to a server that is slow, broken, lying or pointing elsewhere."""

import socket
import ssl
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from tests.picture_server import Page, picture_bytes, serving

from vlmrec.data.fetching import public_addresses
from vlmrec.data.fetching.exchange import (
    Body,
    NoPicture,
    Redirect,
    Trouble,
    ask,
    seconds_to_wait,
)
from vlmrec.data.fetching.options import FetchOptions
from vlmrec.data.fetching.web_address import UnusableAddressError, WebAddress

PICTURE = picture_bytes()
TLS = ssl.create_default_context()


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def answer(url, tls=TLS, **limits):
    options = FetchOptions(**{"allow_private": True, "timeout": 5.0, **limits})
    return ask(WebAddress.parse(url), options, tls)


def test_a_picture_comes_whole_and_we_say_who_asks(server):
    url = server.give("/a b/ü.jpg?size=1 2&x=%20", Page(PICTURE, headers={"Content-Type": "x/y"}))
    server.pages["/a%20b/%C3%BC.jpg?size=1%202&x=%20"] = server.pages.pop(
        "/a b/ü.jpg?size=1 2&x=%20"
    )
    assert answer(url) == Body(PICTURE, "x/y")
    assert server.agents[-1].startswith("vlmrec/0.")
    assert server.hosts[-1] == urlsplit(server.url).netloc


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Page(PICTURE, length=None), Body(PICTURE, "nothing")),
        (Page(status=404), NoPicture("missing", "HTTP 404 Not Found")),
        (Page(status=410), NoPicture("missing", "HTTP 410 Gone")),
        (Page(status=403), NoPicture("refused", "HTTP 403 Forbidden")),
        (Page(status=500), Trouble("HTTP 500 Internal Server Error")),
        (Page(status=302), Trouble("HTTP 302 Found")),  # to nowhere
        (Page(status=204), Trouble("HTTP 204 No Content")),
        (Page(status=408), Trouble("HTTP 408 Request Timeout")),
        (
            Page(status=429, headers={"Retry-After": "7"}),
            Trouble("HTTP 429 Too Many Requests", 7.0, overloaded=True),
        ),
        (Page(status=503), Trouble("HTTP 503 Service Unavailable", None, overloaded=True)),
        (Page(b"x" * 99, length=1999), Trouble("the connection ended 1,900 bytes too early")),
        (Page(b"x" * 3000, length=None), NoPicture("refused", "sends more than 2,000 bytes")),
        (Page(length=10**9),
         NoPicture("refused", "announces 1,000,000,000 bytes; at most 2,000 are taken")),
        (Page(b"x" * 2000), Body(b"x" * 2000, "nothing")),
        (Page(status=302, headers={"Location": "file:///etc/passwd"}),
         NoPicture("refused", "only http and https are fetched, not 'file'")),
        (Page(status=302, headers={"Location": "http://[::1"}),
         NoPicture("refused", "the redirect cannot be understood")),
    ],
)  # fmt: skip
def test_what_answers_mean(server, page, expected):
    assert answer(server.give("/it", page), max_bytes=2000) == expected


@pytest.mark.parametrize(
    "page",
    [
        Page(b"5\r\nabc", headers={"Transfer-Encoding": "chunked"}, length=None),
        Page(headers={"X": "y" * 70_000}),
        Page(headers={f"X-{n}": "y" for n in range(200)}),
    ],
    ids=["cut chunk", "long header", "many headers"],
)
def test_broken_answers_are_troubles(server, page):
    found = answer(server.give("/broken", page))
    assert isinstance(found, Trouble)
    assert found.reason.startswith("the connection failed: ")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_not_followed(server, code):
    page = Page(status=code, headers={"Location": "../c.png"})
    before = len(server.asked)
    found = answer(server.give("/a/b.jpg", page))
    assert isinstance(found, Redirect)
    assert found.place.url == f"{server.url}/c.png"
    assert len(server.asked) == before + 1


@pytest.mark.parametrize("pause", [0.05, 0.002], ids=["in the headers", "in the body"])
def test_a_byte_now_and_then_does_not_keep_us(server, pause):
    started = time.monotonic()
    found = answer(server.give("/slow", Page(b"x" * 4000, pause=pause)), timeout=0.4)
    assert found == Trouble("no complete answer within 0.4 seconds")
    assert time.monotonic() - started < 2.5


def test_nobody_there():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        found = answer(f"http://127.0.0.1:{port}/")
    assert found == Trouble("the connection failed: Connection refused")


def test_a_name_nobody_knows(monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = answer("http://nowhere.example/")
    assert found == Trouble("host 'nowhere.example' is not found: Name or service not known")


def test_a_private_address_is_not_asked(server):
    url, before = server.give("/private", Page(PICTURE)), len(server.asked)
    found = answer(url, allow_private=False)
    assert isinstance(found, NoPicture)
    assert "a loopback address; only public ones are asked" in found.reason
    assert len(server.asked) == before


@pytest.fixture
def lookups(monkeypatch):
    """Names and what they are looked up to, one answer after the other; 127.0.0.1 is public."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def look_up(host, port, *rest, **options):
        if host not in answers:
            return real(host, port, *rest, **options)
        texts = answers[host].pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    def judge(address):
        return None if address == "127.0.0.1" else "loopback"

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(public_addresses, "why_not_public", judge)
    return answers


def test_the_connection_goes_to_the_address_that_was_checked(server, lookups):
    port = urlsplit(server.url).port
    server.give("/pinned", Page(PICTURE))
    lookups["shop.example"] = [["127.0.0.1"], ["127.0.0.2"]]
    with serving("127.0.0.2", port) as trap:
        found = answer(f"http://SHOP.example:{port}/pinned", allow_private=False)
    assert found == Body(PICTURE, "nothing")
    assert server.hosts[-1] == f"shop.example:{port}"
    assert trap.asked == []
    assert lookups["shop.example"] == [["127.0.0.2"]]  # it was looked up once


def test_a_dead_address_leaves_the_next_its_turn(server, lookups):
    port = urlsplit(server.url).port
    server.give("/second", Page(PICTURE))
    lookups["shop.example"] = [["127.0.0.9", "127.0.0.1"]]
    assert answer(f"http://shop.example:{port}/second") == Body(PICTURE, "nothing")


class PlainTalk(ssl.SSLContext):
    """Stands in for TLS: notes whose certificate would be checked, and encrypts nothing."""

    def wrap_socket(self, sock, **options):
        self.wanted = options["server_hostname"]
        return sock


def test_the_certificate_must_be_the_hosts_not_the_addresss(server, lookups):
    port = urlsplit(server.url).port
    server.give("/safe", Page(PICTURE))
    lookups["shop.example"] = [["127.0.0.1"]]
    tls = PlainTalk(ssl.PROTOCOL_TLS_CLIENT)
    found = answer(f"https://shop.example:{port}/safe", tls, allow_private=False)
    assert found == Body(PICTURE, "nothing")
    assert tls.wanted == "shop.example"


def test_https_is_not_spoken_with_a_server_that_cannot(server):
    found = answer(server.url.replace("http:", "https:") + "/it")
    assert isinstance(found, Trouble)
    assert "the connection failed: " in found.reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("12", 12.0),
        (" 0 ", 0.0),
        ("Wed, 01 Jan 2025 00:00:30 GMT", 30.0),
        ("Wed, 01 Jan 2025 00:00:30 -0000", 30.0),
        ("Tue, 31 Dec 2024 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after(header, seconds):
    assert seconds_to_wait(header, datetime(2025, 1, 1, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://a.example/x.jpg", "only http and https are fetched, not 'ftp'"),
        ("data:image/png;base64,xx", "not 'data'"),
        ("//a.example/x.jpg", "not an address without either"),
        ("covers/x.jpg", "not an address without either"),
        ("http:///x.jpg", "names no host"),
        ("http://a.example:http/x", "cannot be understood"),
        ("http://a..example/x", "cannot be understood"),
        ("http://[::1/x", "cannot be understood"),
    ],
)
def test_texts_that_are_no_addresses(url, reason):
    with pytest.raises(UnusableAddressError, match=reason):
        WebAddress.parse(url)


def test_parts_of_an_address():
    place = WebAddress.parse(" https://User:word@Büch.example/a?b=ü#c ")
    assert (place.host, place.port, place.path, place.secure) == (
        "xn--bch-hoa.example", 443, "/a?b=%C3%BC", True,
    )  # fmt: skip
    assert WebAddress.parse("http://[::1]:81").path == "/"

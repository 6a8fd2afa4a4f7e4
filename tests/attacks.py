"""Attacks on the service and mistakes of its clients, each with the answer it gets.

`tests/integration/test_service_attacks.py` sends them, docs/reference/service-answers.md shows
them.
"""

import io
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

PIXELS, BODY, PICTURE = 1_000_000, 8_000, 60_000
"""Limits of the service that is attacked."""
RATE = 3
"""Requests a minute that its guarded twin takes."""


@dataclass(frozen=True)
class Attack:
    """A request and what comes back.

    Attributes:
        name: What is tried.
        sent: Arguments of `httpx.Client.request`; a `raw` one is what goes over the wire instead.
        status: Of the answer.
        says: Part of its text.
        role: Whose key is sent with it; "" for none.
        times: How often it is sent; the last answer counts.
        limited: Goes to a service that limits rates and time.
    """

    name: str
    sent: dict[str, Any]
    status: int
    says: str
    role: str = "admin"
    times: int = 1
    limited: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def picture(kind: str = "PNG", size: tuple[int, int] = (48, 48), frames: int = 1) -> bytes:
    """Returns a picture file."""
    buffer = io.BytesIO()
    every = [Image.new("RGB", size, (200, k % 255, 30)) for k in range(frames)]
    more = {"save_all": True, "append_images": every[1:]} if frames > 1 else {}
    every[0].save(buffer, kind, **more)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, more: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = _chunk(b"IDAT", zlib.compress(bytes(3 * width + 1) * min(height, 50)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + more + rows + _chunk(b"IEND", b"")


def _recommend(body: Any, **more: Any) -> dict[str, Any]:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    headers = {"content-type": "application/json", **more}
    return {"method": "POST", "url": "/recommend", "content": text, "headers": headers}


def _post(url: str, body: Any) -> dict[str, Any]:
    return _recommend(body) | {"url": url}


def _events(**event: Any) -> dict[str, Any]:
    return _post("/events", {"events": [{"user_id": "eve", "item_id": "i03", **event}]})


def _get(url: str) -> dict[str, Any]:
    return {"method": "GET", "url": url}


def _put(fields: str = '{"title": "cup"}', upload: bytes | None = None, name: str = "a.png") -> Any:
    files = None if upload is None else {"picture": (name, upload)}
    return {"method": "PUT", "url": "/items/new", "data": {"fields": fields}, "files": files}


def _wire(start: str, *headers: str, body: str = "") -> dict[str, Any]:
    return {"raw": "\r\n".join([start, "Host: localhost", *headers, "", body]).encode("latin-1")}


_MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
_NO_PICTURE = "no picture that can be read"
_NOT_FOUND = "Not Found"
_SURROGATE = '{"history": ["\\ud800"]}'
_RTL = "i03\u202etxt.exe"

BODIES = [
    Attack("half of a JSON text", _recommend('{"k": '), 400, "The body is no JSON"),
    Attack("8,000 brackets in the body", _recommend("[" * 7_990), 400, "The body is no JSON"),
    Attack("bytes that are no UTF-8", _recommend(b'{"user_id": "\xff\xfe"}'), 400, "is no JSON"),
    Attack("a number of 5,000 digits", _recommend('{"k": ' + "9" * 5000 + "}"), 400, "is no JSON"),
    Attack("a body packed with gzip",
           _recommend(b"\x1f\x8b\x08\x00", **{"content-encoding": "gzip"}), 400, "is no JSON"),
    Attack("a list instead of an object", _recommend([1]), 422, "valid dictionary"),
    Attack("JSON called plain text", _recommend({"k": 1}, **{"content-type": "text/plain"}), 422,
           "valid dictionary"),
    Attack("an unknown field", _recommend({"usr_id": "u1"}), 422, "usr_id: Extra inputs"),
    Attack("a key twice: the last one counts", _recommend('{"k": 900, "k": 2}'), 200, '"rank":2'),
    Attack("a wrong type", _recommend({"history": "i03"}), 422, "history: Input should be"),
    Attack("k = 0", _recommend({"k": 0}), 422, "k: Input should be greater than"),
    Attack("k = -1", _recommend({"k": -1}), 422, "k: Input should be greater than"),
    Attack("k = 1,000,000,000", _recommend({"k": 10**9}), 422, "less than or equal to 500"),
    Attack("NaN", _recommend('{"diversity": NaN}'), 422, "diversity: Input should be"),
    Attack("Infinity", _recommend('{"k": Infinity}'), 422, "k: Input should be"),
    Attack("257 lists at once", _post("/recommend/batch", {"requests": [{}] * 257}), 422,
           "at most 256"),
    Attack("promoted items and a promoted filter",
           _recommend({"promote": {"items": ["i03"], "filter": "year > 1"}}), 422,
           "both items and"),
    Attack("a body over the limit, its length told", _recommend({"history": ["i03"] * 2000}), 413,
           "The body is too large"),
    Attack("a body over the limit in chunks", _recommend({}) | {"content": [b"[" * 5_000] * 2}, 413,
           "The body is too large"),
    Attack("a negative length", _wire("POST /recommend HTTP/1.1", "Content-Length: -5"), 400, ""),
    Attack("a length and chunks in one request (smuggling)",
           _wire("POST /recommend HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked",
                 body="0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"), 400, ""),
    Attack("a body that does not come",
           _wire("POST /recommend HTTP/1.1", "Content-Length: 50", body="{"), 408,
           "The body did not come within", limited=True),
]  # fmt: skip
NAMES = [
    Attack("the character 0 in a name", _recommend({"user_id": "a\x00b"}), 422, "the character 0"),
    Attack("half of a character in a name", _recommend(_SURROGATE), 422, "history.0: "),
    Attack("a name of 257 characters", _recommend({"user_id": "x" * 257}), 422, "at most 256"),
    Attack("a name that turns the text around", _events(item_id=_RTL), 201, '"unknown_items"'),
    Attack("another accent on a known name", _get("/items/i03%CC%81"), 404, "There is no item"),
    Attack("SQL in a user's name", _recommend({"user_id": "'; DROP TABLE events; --"}), 200,
           '"fallback":"popularity"'),
    Attack("SQL in an item's name", _get("/items/x' OR '1'='1"), 404, "There is no item"),
    Attack("SQL in a filter", _recommend({"filter": "year = 1; DROP TABLE items"}), 422,
           "cannot be read at character"),
    Attack("a filter over the item table's own columns", _recommend({"filter": "__class__ = 1"}),
           422, "'__class__', which items do not have"),
    Attack("a filter of 1,000 brackets", _recommend({"filter": "(" * 1000}), 422, "40 levels"),
    Attack("a filter of 600 times 'not'", _recommend({"filter": "not " * 499 + "x"}), 422,
           "40 levels"),
    Attack("a filter of 150 comparisons", _recommend({"filter": " or ".join(["year<1"] * 150)}),
           200, '"items"'),
    Attack("a path as an item", _get("/items/..%2F..%2Fetc%2Fpasswd"), 404, "There is no item"),
    Attack("a path to a picture", _get("/items/%2e%2e%5c%2e%2e%5ckeys/picture"), 404,
           "has no picture"),
    Attack("a path that leads up", _wire("GET /items/../../keys.json HTTP/1.1"), 404,
           "There is no item"),
    Attack("a path out of the page's files", _wire("GET /page/../app.py HTTP/1.1"), 404,
           _NOT_FOUND),
    Attack("a path out of the page, written otherwise", _get("/page/%2e%2e/keys.py"), 404,
           _NOT_FOUND),
    Attack("a pattern as a search", _get("/items?words=%25%27%20OR%201=1"), 200, '"total":0'),
    Attack("a shelf of a million", _get("/items?limit=1000000"), 422, "less than or equal to 200"),
    Attack("a line break and a header in a name", _get("/items/a%0d%0aSet-Cookie:%20x=1"), 404,
           _NOT_FOUND),
    Attack("a line break in a header", _wire("GET /health HTTP/1.1", "X-API-Key: a\nb"), 400, ""),
    Attack("another host and a slash too many: nobody is led there",
           _recommend({}, host="evil.example") | {"url": "/recommend/"}, 404, _NOT_FOUND),
    Attack("an unknown route", _get("/wp-admin.php"), 404, _NOT_FOUND),
    Attack("a wrong method", {"method": "DELETE", "url": "/recommend"}, 405, "Method Not Allowed"),
    Attack("an unknown method", {"method": "TRACE", "url": "/recommend"}, 405,
           "Method Not Allowed"),
]  # fmt: skip
EVENTS = [
    Attack("a time before 1970", _events(timestamp=-1), 422, "timestamp: Input should be"),
    Attack("a time in 36,000 years", _events(timestamp=1 << 41), 422, "timestamp: Input should be"),
    Attack("a number used again for another event: the first one holds",
           _events(event_id="order-1", item_id="i04"), 201, '"already_there":1', times=2),
    Attack("an event of no kind", _events(event=""), 422, "event: String should have at least 1"),
    Attack("no events", _post("/events", {"events": []}), 422, "at least 1 item"),
    Attack("an item that nobody knows", _post("/similar", {"item_id": "nope"}), 422,
           "There is no item 'nope'"),
]  # fmt: skip
UPLOADS = [
    Attack("a small PNG of 10 thousand million pixels", _put(upload=_png(100_000, 100_000)), 422,
           "at most 1,000,000"),
    Attack("a GIF of too many pixels", _put(upload=picture("GIF", (1001, 1000))), 422,
           "has 1,001,000 pixels"),
    Attack("a WEBP of too many pixels", _put(upload=picture("WEBP", (1001, 1000))), 422,
           "has 1,001,000 pixels"),
    Attack("a GIF of 300 pictures: the first one counts",
           _put(upload=picture("GIF", (16, 16), 300)), 200, '"change"'),
    Attack("a PNG whose words unpack to 50 MB",
           _put(upload=_png(9, 9, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000))))),
           422, "damaged or cut off"),
    Attack("a picture cut off", _put(upload=picture(size=(90, 90))[:80]), 422,
           "damaged or cut off"),
    Attack("a picture and an archive in one: a picture",
           _put(upload=picture() + b"PK\x03\x04<script>alert(1)</script>"), 200, '"change"'),
    Attack("SVG with a script", _put(upload=b"<svg onload='alert(1)'/>"), 422, _NO_PICTURE),
    Attack("XML that unfolds", _put(upload=b'<!DOCTYPE x [<!ENTITY a "&b;&b;">]>'), 422,
           _NO_PICTURE),
    Attack("an archive", _put(upload=b"PK\x03\x04" + bytes(60)), 422, _NO_PICTURE),
    Attack("no bytes", _put(upload=b""), 422, _NO_PICTURE),
    Attack("a path as a picture's name: it is not used",
           _put(upload=picture(), name="../../../etc/cron.d/x.png"), 200, '"change"'),
    Attack("an address instead of a picture",
           {"method": "PUT", "url": "/items/new", "data": {"picture": "http://169.254.169.254/"}},
           422, "picture: "),
    Attack("an address in the fields: nothing is fetched",
           _put('{"title": "x", "image": "http://169.254.169.254/"}'), 422, "'image' is no field"),
    Attack("a picture over the limit", _put(upload=bytes(PICTURE + 1)), 413,
           "The picture is too large"),
    Attack("an upload cut off",
           {"method": "PUT", "url": "/items/new", "headers": _MULTIPART,
            "content": b'--x\r\nContent-Disposition: form-data; name="fields"\r\n\r\n{}\r\n--x'},
           400, "The upload is cut off"),
    Attack("an upload without a boundary",
           {"method": "PUT", "url": "/items/new", "content": b"--x--",
            "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
    Attack("5,000 brackets in the fields", _put("[" * 5000), 422, "'fields' is no JSON object"),
    Attack("NaN in the fields", _put('{"title": "x", "year": NaN}'), 422,
           "expected a whole number"),
]  # fmt: skip
RIGHTS = [
    Attack("no key", _recommend({}), 401, "A key is needed", role=""),
    Attack("a key that is guessed", _get("/items/i03"), 401, "A key is needed", role="guessed"),
    Attack("a name and a password", _get("/items/i03"), 401, "A key is needed", role="",
           headers={"authorization": "Basic cm9vdDpyb290"}),
    Attack("asking what is served without a key", _get("/run"), 401, "A key", role=""),
    Attack("an event with a key that may read", _events(), 403, "the role 'write'", role="read"),
    Attack("removing an item with a key that may read",
           {"method": "DELETE", "url": "/items/i03"}, 403, "the role 'write'", role="read"),
    Attack("a swap with a key that may write", _post("/admin/run", {"run": "ids"}), 403,
           "the role 'admin'", role="write"),
    Attack("the same, written otherwise", _post("/%61dmin/run", {"run": "ids"}), 403,
           "the role 'admin'", role="write"),
    Attack("the same, with two strokes", _wire("POST //admin/run HTTP/1.1", "Content-Length: 0"),
           404, _NOT_FOUND, role="write"),
    Attack("asking who there is with a key that may read", _get("/users"), 403,
           "the role 'write'", role="read"),
    Attack("asking whom an item reaches with a key that may read",
           _post("/reach", {"item_id": "i03"}), 403, "the role 'write'", role="read"),
    Attack("comparing runs with a key that may write",
           _post("/compare", {"run": "ids"}), 403, "the role 'admin'", role="write"),
    Attack("a run elsewhere, to compare with", _post("/compare", {"run": "../data"}), 422,
           "is no name of a run"),
    Attack("a name of elsewhere that was made to lead here, without keys",
           {"method": "GET", "url": "/run", "headers": {"host": "shop.example:8000"}}, 403,
           "answers to 'localhost'", limited=True),
    Attack("a run elsewhere", _post("/admin/run", {"run": "../data"}), 422, "is no name of a run"),
    Attack("a run by a whole path", _post("/admin/run", {"run": "/etc"}), 422,
           "is no name of a run"),
    Attack("a link that leads out of the runs", _post("/admin/run", {"run": "link"}), 422,
           "is no name of a run"),
    Attack("a run that there is not", _post("/admin/run", {"run": "nothing"}), 422,
           "The run cannot be served"),
    Attack("more requests than are allowed", _get("/health"), 429, "Too many requests",
           times=RATE + 1, limited=True),
]  # fmt: skip
GROUPS = {
    "Bodies": BODIES,
    "Names, filters and paths": NAMES,
    "Events": EVENTS,
    "Items and pictures": UPLOADS,
    "Keys and rights": RIGHTS,
}
EVERY = [one for group in GROUPS.values() for one in group]

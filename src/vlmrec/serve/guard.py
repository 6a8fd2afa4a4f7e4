"""What every request passes: who asks, how often, how much it brings; then it is measured."""

import asyncio
import json
import logging
import time
import uuid
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vlmrec.serve.hosts import is_local, name_in
from vlmrec.serve.keys import Caller, Keys, Role
from vlmrec.serve.logs import Facts
from vlmrec.serve.rate import RateLimit
from vlmrec.serve.service import Service

_log = logging.getLogger("vlmrec.serve.requests")
DOCS_SCRIPTS = "/docs-scripts"
_OPEN = frozenset({"/health", "/ready", "/", "/docs", "/openapi.json"})
"""Paths that need no key: whoever watches the process asks these, the pages ask for one, and the
document says the same of every service."""
_OPEN_FILES = ("/page/", f"{DOCS_SCRIPTS}/")
_ASKS_ABOUT_PEOPLE = ("/events", "/users", "/reach", "/try")
_FIELDS = 1 << 20
"""Room for the fields beside a picture."""
_BEHIND = 1024
"""Bytes that may come behind the end of an upload."""
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = (
    "default-src 'none'; script-src 'self'{0}; style-src 'self'{0}; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Pages take everything from this service and nothing from anywhere else."""


class _UnfinishedError(Exception):
    """A body goes on beyond what is taken, or does not come."""


class Guard:
    """Middleware around all routes.

    Args:
        app: What it guards.
        service: Its options and measures.
        keys: Who may do what.
    """

    def __init__(self, app: ASGIApp, service: Service, keys: Keys) -> None:
        self._app = app
        self._service = service
        self._keys = keys
        self._rate = RateLimit(service.options.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        number = uuid.uuid4().hex

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [*_HEADERS, (b"x-request-id", number.encode())]
                extra += _policy_for(scope["path"])
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        try:
            refused = self._refusal(scope)
            if refused is None:
                await self._limited(scope, receive, sent)
            else:
                await _refuse(sent, *refused)
        finally:
            self._note(scope, status, time.perf_counter() - start, number)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Returns status and reason where a request is not let through."""
        headers = Headers(scope=scope)
        if not self._keys and not is_local(name_in(headers.get("host", ""))):
            # A page whose name was made to lead here would act for whoever looks at it.
            return 403, "Without keys the service answers to 'localhost' and '127.0.0.1' alone."
        caller = self._keys.caller(_key_in(headers))
        client = scope.get("client")
        who = caller.name if caller is not None and caller.name else client[0] if client else ""
        wait = self._rate.wait(who)  # whoever guesses keys is slowed down as well
        if wait:
            return 429, f"Too many requests: try again in {wait:.0f} s."
        if scope["path"] not in _OPEN and not scope["path"].startswith(_OPEN_FILES):
            if caller is None:
                return 401, "A key is needed: send it as 'Authorization: Bearer KEY'."
            role = role_for(scope["method"], scope["path"])
            if not caller.may(role):
                return 403, f"This key may not do that: it needs the role '{role}'."
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return 400, "The length of the body is no number."
        if int(length) > self._most(scope):
            return 413, f"The body is too large: at most {self._most(scope):,} bytes are taken."
        scope["caller"] = caller or Caller("", "read")
        return None

    def _most(self, scope: Scope) -> int:
        options = self._service.options
        path, method = scope["path"], scope["method"]
        if (path.startswith("/items/") and method == "PUT") or path == "/try":
            return options.picture_bytes + _FIELDS
        return options.body_bytes

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the bytes and the seconds of a body, whatever it says of its length."""
        most, taken, whole = self._most(scope), 0, False
        seconds = self._service.options.body_seconds
        latest, begun = time.monotonic() + seconds, False
        ending, tail = _ending(scope), b""
        refusal: tuple[int, str] | None = None

        async def received() -> Message:
            nonlocal taken, whole, refusal, tail
            try:
                # Behind the body only the end of the connection is waited for.
                left = None if whole else latest - time.monotonic()
                async with asyncio.timeout(left):
                    message = await receive()
            except TimeoutError:
                refusal = 408, f"The body did not come within {seconds:g} s."
                raise _UnfinishedError from None
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > most:
                refusal = 413, f"The body is too large: at most {most:,} bytes are taken."
                raise _UnfinishedError
            if ending and message["type"] == "http.request":
                tail = (tail + message.get("body", b""))[-len(ending) - _BEHIND :]
                if whole and ending not in tail:
                    refusal = 400, "The upload is cut off: its closing boundary is missing."
                    raise _UnfinishedError
            return message

        async def sent(message: Message) -> None:
            # Whoever reads the body may make an error of its own of one that breaks off.
            nonlocal begun
            if refusal is None:
                await send(message)
            elif not begun:
                begun = True
                await _refuse(send, *refusal)

        try:
            await self._app(scope, received, sent)
        except _UnfinishedError:
            await sent({})

    def _note(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        route = getattr(scope.get("route"), "path", "none")
        measures, method = self._service.measures, _known_method(scope["method"])
        measures.requests.labels(method, route, str(status)).inc()
        measures.seconds.labels(method, route).observe(seconds)
        if _log.isEnabledFor(logging.INFO):
            facts: dict[str, Any] = {
                "request": number,
                "method": method,
                "route": route,
                "status": status,
                "milliseconds": round(1000 * seconds, 2),
            }
            _log.info(Facts(facts))


def role_for(method: str, path: str) -> Role:
    """Returns the role that a request needs."""
    if path.startswith("/admin/") or path in ("/metrics", "/compare"):
        return "admin"
    if path.startswith(_ASKS_ABOUT_PEOPLE) or (
        path.startswith("/items/") and method not in ("GET", "HEAD")
    ):
        return "write"
    return "read"


def _policy_for(path: str) -> list[tuple[bytes, bytes]]:
    if path == "/docs":  # FastAPI writes its script and its styles into the page
        policy = _POLICY.format(" 'unsafe-inline'")
    elif path == "/" or path.startswith(_OPEN_FILES):
        policy = _POLICY.format("")
    else:
        return []
    return [(b"content-security-policy", policy.encode())]


def _key_in(headers: Headers) -> str | None:
    given = headers.get("authorization", "")
    scheme, _, key = given.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _ending(scope: Scope) -> bytes:
    """Returns what an upload of several parts has to end with; empty for other bodies.

    Without it a picture that is missing could not be told from one that was not sent.
    """
    given = Headers(scope=scope).get("content-type", "")
    if not given.lower().startswith("multipart/"):
        return b""
    kind, options = parse_options_header(given)
    boundary = options.get(b"boundary", b"") if kind == b"multipart/form-data" else b""
    return b"--" + boundary + b"--" if boundary else b""


def _known_method(method: str) -> str:
    known = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
    return method if method in known else "OTHER"


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"problem": reason, "fix": ""}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

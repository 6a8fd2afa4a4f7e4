"""One question to a server and what its answer means for a picture."""

import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPException, HTTPResponse, responses
from importlib.metadata import version
from typing import Literal

from vlmrec.data.fetching.options import FetchOptions
from vlmrec.data.fetching.pinned_connection import PinnedConnection
from vlmrec.data.fetching.public_addresses import NotPublicError, public_addresses
from vlmrec.data.fetching.web_address import UnusableAddressError, WebAddress

_CHUNK = 65_536
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_PASSING = (408, 425, 429)
_OVERLOADED = (429, 503)


@dataclass(frozen=True)
class Body:
    """Bytes that should be a picture, whole as far as the server said how many there are."""

    data: bytes
    content_type: str


@dataclass(frozen=True)
class Redirect:
    """The picture is said to be elsewhere."""

    place: WebAddress


@dataclass(frozen=True)
class NoPicture:
    """Asking again soon would not help."""

    status: Literal["missing", "refused"]
    reason: str


@dataclass(frozen=True)
class Trouble:
    """Asking again may help.

    Attributes:
        reason: What happened.
        wait: Seconds that the server asks to wait, where it does.
        overloaded: Whether it is the whole host that should be left alone.
    """

    reason: str
    wait: float | None = None
    overloaded: bool = False


Answer = Body | Redirect | NoPicture | Trouble


def ask(place: WebAddress, options: FetchOptions, tls: ssl.SSLContext) -> Answer:
    """Returns what a server answers; follows no redirect, never raises for what others do.

    The host is looked up and must be public; the connection goes to what was found then.

    Args:
        place: What to ask for.
        options: Limits of time and size, and whether private addresses may be asked.
        tls: How https is spoken.
    """
    deadline = time.monotonic() + options.timeout
    try:
        found = public_addresses(place.host, place.port, allow_private=options.allow_private)
    except NotPublicError as error:
        return NoPicture("refused", str(error))
    except (OSError, UnicodeError) as error:
        return Trouble(f"host '{place.host}' is not found: {_words(error)}")
    connection = PinnedConnection(place, found, deadline, tls)
    try:
        connection.request("GET", place.path, headers=_headers())
        return _read(connection.getresponse(), place, options.max_bytes)
    except ssl.SSLCertVerificationError as error:
        return NoPicture("refused", f"the certificate is not valid: {error.verify_message}")
    except TimeoutError:
        return Trouble(f"no complete answer within {options.timeout:g} seconds")
    except (OSError, HTTPException) as error:
        return Trouble(f"the connection failed: {_words(error)}")
    finally:
        connection.close()


@cache
def _headers() -> dict[str, str]:
    agent = f"vlmrec/{version('vlmrec')} (fetch-images)"
    return {"User-Agent": agent, "Accept": "image/*", "Connection": "close"}


def _read(response: HTTPResponse, place: WebAddress, max_bytes: int) -> Answer:
    with response:
        status = response.status
        told = f"HTTP {status} {responses.get(status, '')}".strip()
        location = response.getheader("Location")
        if status == 200:
            return _body(response, max_bytes)
        if status in _REDIRECTS and location:
            return _redirect(place, location)
        if status in _GONE:
            return NoPicture("missing", told)
        if 400 <= status < 500 and status not in _PASSING:
            return NoPicture("refused", told)
        wait = seconds_to_wait(response.getheader("Retry-After"), datetime.now(UTC))
        return Trouble(told, wait, status in _OVERLOADED)


def _redirect(place: WebAddress, location: str) -> Answer:
    try:
        return Redirect(place.redirected(location))
    except UnusableAddressError as error:
        return NoPicture("refused", str(error))


def _body(response: HTTPResponse, max_bytes: int) -> Answer:
    if response.length is not None and response.length > max_bytes:
        return NoPicture(
            "refused", f"announces {response.length:,} bytes; at most {max_bytes:,} are taken"
        )
    data = bytearray()
    while chunk := response.read1(_CHUNK):
        data += chunk
        if len(data) > max_bytes:
            return NoPicture("refused", f"sends more than {max_bytes:,} bytes")
    if response.length:
        return Trouble(f"the connection ended {response.length:,} bytes too early")
    return Body(bytes(data), response.getheader("Content-Type", "nothing"))


def seconds_to_wait(header: str | None, now: datetime) -> float | None:
    """Returns what a Retry-After header asks for, in seconds; None where it says nothing.

    Args:
        header: Seconds, or a date as HTTP writes it.
        now: The present, with its zone.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)


def _words(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(reason).split())

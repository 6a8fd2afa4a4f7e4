"""A Milvus server at an address: reached with bounded patience, its errors in our words."""

import logging
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from vlmrec.core.errors import ConfigError, MissingExtraError, VlmrecError

URL_VARIABLE, TOKEN_VARIABLE = "VLMREC_MILVUS_URL", "VLMREC_MILVUS_TOKEN"
_CONNECT_SECONDS = 5.0


class IndexServerError(VlmrecError):
    """The vector database does not answer, or refuses what it is asked."""


def require_address(url: str) -> str:
    """Returns the address of a server.

    A password in it would be stored with the run, and a path would open a file.

    Raises:
        ConfigError: It is none, or it holds a name and password.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if "@" in parts.netloc:
        raise ConfigError(
            "The address of the vector database holds a name or password, which would be stored "
            "with the run.",
            f"Give the address without them, and NAME:PASSWORD in {TOKEN_VARIABLE}.",
        )
    rest = parts.query or parts.fragment
    known = parts.scheme in ("http", "https") and re.fullmatch(r"(/\w*)?", parts.path)
    if not host or not known or rest:
        raise ConfigError(
            f"'{url}' is no address of a vector database.",
            "Write http://HOST:PORT or https://HOST:PORT, with /NAME for one of its databases.",
        )
    return url


def named_address() -> str | None:
    """Returns the address that the environment names, None where it names none.

    Raises:
        ConfigError: It is no address.
    """
    url = os.environ.get(URL_VARIABLE, "")
    return require_address(url) if url else None


_OWN_CONNECTION = {"grpc.use_local_subchannel_pool": 1}
"""Otherwise gRPC gives a new client the connection of an old one, which the server may be about
to cut off because it lay idle."""


def token() -> str:
    """Returns the token that the environment holds; it is stored nowhere."""
    return os.environ.get(TOKEN_VARIABLE, "")


def require_client() -> Any:
    """Returns the module of Milvus's client.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pymilvus
    except ImportError as error:
        raise MissingExtraError("pymilvus", "milvus", "A vector database as index") from error
    # It writes every error with its traceback to stderr; they are raised as well, and said once.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus


def connected(url: str, secret: str) -> Any:
    """Returns a client with a connection of its own.

    Args:
        url: See `require_address`.
        secret: Token, or name and password with a colon between; empty for none.

    Raises:
        MissingExtraError: The client is not installed.
        IndexServerError: No server answers there, or it does not let us in.
    """
    pymilvus = require_client()
    with explained(url):
        return pymilvus.MilvusClient(
            uri=url,
            token=secret,
            timeout=_CONNECT_SECONDS,
            dedicated=True,
            grpc_options=_OWN_CONNECTION,
        )


@contextmanager
def explained(url: str) -> Generator[None]:
    """Turns what the client raises into an error that says what to do.

    Raises:
        IndexServerError: The client raised.
    """
    require_client()
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
        raise IndexServerError(
            f"The vector database at '{url}' does not answer as it should: {_reason(error)}.",
            f"Start it, or correct the address. A token goes into {TOKEN_VARIABLE}; to serve with "
            f"one, name the address in {URL_VARIABLE} too. Without a server: --kind hnsw.",
        ) from error


def _reason(error: Exception) -> str:
    """Returns the first line of what went wrong, in the words of whoever found out first.

    The client says of a wrong password what it says of a server that is not there.
    """
    said, one, passed = "", error, set[int]()
    while one is not None and id(one) not in passed:  # the client names errors as their own cause
        passed.add(id(one))
        details = getattr(one, "details", None)
        found = (details() if callable(details) else None) or getattr(one, "message", "")
        said, one = str(found or said), one.__cause__
    # Not a word of what only gRPC understands.
    said = said.split(", debug=")[0].strip() or str(error).strip() or type(error).__name__
    return said.splitlines()[0][:300].rstrip(".")

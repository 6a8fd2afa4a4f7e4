"""A connection to addresses that were checked before, with one deadline for all it does.

Clients that take a host name look it up themselves, and may get another address than the one
that was checked; most also go through a proxy that the environment names. And their time limits
hold for each piece that arrives, so that a server that sends a byte now and then holds them for
ever. The standard library's client lets both be said in a few lines.
"""

import io
import socket
import ssl
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from typing import TYPE_CHECKING, cast

from vlmrec.data.fetching.web_address import WebAddress

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class PinnedConnection(HTTPConnection):
    """Talks to one of the given addresses, in the name of the host.

    Args:
        place: Host and port; the certificate must be the host's.
        addresses: Where to connect to, in numbers; tried in this order.
        deadline: When to give up, on the clock of `time.monotonic`.
        tls: How https is spoken.
    """

    def __init__(
        self, place: WebAddress, addresses: Sequence[str], deadline: float, tls: ssl.SSLContext
    ) -> None:
        super().__init__(place.host, place.port)
        self.default_port = 443 if place.secure else 80  # left out of the Host header
        self._addresses = addresses
        self._deadline = deadline
        self._tls = tls if place.secure else None

    def connect(self) -> None:
        """Connects.

        Raises:
            OSError: No address answers in time, or the certificate is not the host's.
        """
        sock = self._reach()
        if self._tls is not None:
            sock.settimeout(_seconds_until(self._deadline))
            sock = self._tls.wrap_socket(sock, server_hostname=self.host)
        self.sock = cast("socket.socket", _TimedSocket(sock, self._deadline))

    def _reach(self) -> socket.socket:
        trouble = OSError("no address")
        for number, address in enumerate(self._addresses):
            # A dead address must leave time for the others.
            share = _seconds_until(self._deadline) / (len(self._addresses) - number)
            try:
                return socket.create_connection((address, self.port), share)
            except OSError as error:
                trouble = error
        raise trouble


class _TimedSocket:
    """What `http.client` needs of a socket, each call limited by one deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_seconds_until(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # http.client only ever reads bytes
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def close(self) -> None:
        self._sock.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until it is closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        self._sock.settimeout(_seconds_until(self._deadline))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _seconds_until(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds

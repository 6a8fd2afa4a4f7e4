"""An http or https address, taken apart and spelled as it goes over the wire."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

_PORTS = {"http": 80, "https": 443}
# Signs that may stand in a path or query as they are; "%" because most are quoted already.
_PLAIN = "/%:=&?~+!$,;'@()*[]"


class UnusableAddressError(Exception):
    """The text is no address that pictures are fetched from."""


@dataclass(frozen=True)
class WebAddress:
    """Where a picture is asked for.

    Attributes:
        url: The address as it was given.
        host: Name or number of the host, in ASCII and lower case.
        port: Its port.
        path: Path and query, quoted.
        secure: Whether the scheme is https.
    """

    url: str
    host: str
    port: int
    path: str
    secure: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """Returns the parts of an address; a name and password in it are left out.

        Raises:
            UnusableAddressError: The scheme is another, or there is no valid host or port.
        """
        try:
            parts = urlsplit(url.strip())
            host = _in_ascii(parts.hostname or "")
            port = parts.port
        except ValueError:
            raise UnusableAddressError("the address cannot be understood") from None
        if parts.scheme not in _PORTS:
            given = f"'{parts.scheme}'" if parts.scheme else "an address without either"
            raise UnusableAddressError(f"only http and https are fetched, not {given}")
        if not host:
            raise UnusableAddressError("the address names no host")
        path = quote(parts.path or "/", safe=_PLAIN)
        if parts.query:
            path += "?" + quote(parts.query, safe=_PLAIN)
        return cls(
            url=url.strip(),
            host=host,
            port=_PORTS[parts.scheme] if port is None else port,
            path=path,
            secure=parts.scheme == "https",
        )

    def redirected(self, location: str) -> Self:
        """Returns where a redirect from here leads to.

        Args:
            location: What the server answered; may be relative.

        Raises:
            UnusableAddressError: As in `parse`.
        """
        try:
            target = urljoin(self.url, location)
        except ValueError:
            raise UnusableAddressError("the redirect cannot be understood") from None
        return type(self).parse(target)


@lru_cache(maxsize=1024)  # slow, and catalogues name few hosts
def _in_ascii(host: str) -> str:
    return host.encode("idna").decode("ascii")

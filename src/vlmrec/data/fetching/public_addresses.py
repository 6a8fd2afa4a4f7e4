"""Which addresses of the internet are public, and which of them a host has.

An address in somebody's table must never make this machine ask itself, its neighbours, or the
service that hands out a cloud machine's keys.
"""

import ipaddress
import socket

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Networks that Python, or an older one, takes for global.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_BITS = 2**32 - 1


class NotPublicError(Exception):
    """A host has no public address."""


def why_not_public(address: str) -> str | None:
    """Returns the kind of an address that is not public, None for a public one.

    IPv4 addresses that are written into IPv6 ones (mapped, 6to4, NAT64) count as what they are.

    >>> why_not_public("93.184.215.14"), why_not_public("::ffff:10.0.0.1")
    (None, 'private')

    Args:
        address: In numbers, version 4 or 6.

    Raises:
        ValueError: It is no such address.
    """
    kinds = (_kind(one) for one in _with_embedded(ipaddress.ip_address(address)))
    return next((kind for kind in kinds if kind is not None), None)


def public_addresses(host: str, port: int, *, allow_private: bool = False) -> list[str]:
    """Returns the addresses that a host may be asked at, in numbers, most preferred first.

    Args:
        host: Name or number.
        port: Port.
        allow_private: Return all it has.

    Raises:
        NotPublicError: None of its addresses is public.
        OSError: The name is not known, or cannot be looked up now.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if allow_private:
        return addresses
    public = [address for address in addresses if why_not_public(address) is None]
    if not public:
        where = f"{addresses[0]}, a {why_not_public(addresses[0])} address"
        raise NotPublicError(f"host '{host}' is at {where}; only public ones are asked")
    return public


def _with_embedded(address: _Address) -> list[_Address]:
    """Returns all addresses that packets to this one may end at."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & _IPV4_BITS)]
    return [address] if address.sixtofour is None else [address, address.sixtofour]


def _kind(address: _Address) -> str | None:
    kinds = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "reserved": address.is_reserved,
        "private": address.is_private,
        "special": not address.is_global or any(address in network for network in _SPECIAL),
    }
    return next((kind for kind, holds in kinds.items() if holds), None)

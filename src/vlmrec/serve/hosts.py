"""Which names are this machine's own."""

import ipaddress


def is_local(host: str) -> bool:
    """Returns whether only this machine is reached under a name or an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def name_in(header: str) -> str:
    """Returns the name in a Host header, without its port."""
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdecimal() else header

import socket

import pytest

from vlmrec.data.fetching import public_addresses as module
from vlmrec.data.fetching.public_addresses import (
    NotPublicError,
    public_addresses,
    why_not_public,
)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:2800:21f:cb07::1",
     "::ffff:8.8.8.8", "64:ff9b::808:808"],
)  # fmt: skip
def test_public(address):
    assert why_not_public(address) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("127.0.0.1", "loopback"),
        ("127.255.3.4", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::7f00:1", "reserved"),
        ("fec0::1", "special"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("0.1.2.3", "private"),
        ("198.18.0.1", "private"),
        ("203.0.113.5", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("2001:db8::1", "private"),
        ("100.64.0.1", "special"),
        ("192.0.0.200", "special"),
        ("3fff::1", "special"),
        ("64:ff9b:1::1", "special"),
        ("64:ff9b::7f00:1", "loopback"),  # NAT64 of 127.0.0.1
        ("2002:7f00:1::", "loopback"),  # 6to4 of 127.0.0.1
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "private"),  # Teredo
    ],
)
def test_not_public(address, kind):
    # Python versions differ in what they call private and what reserved.
    found = why_not_public(address)
    assert found == kind or {found, kind} <= {"private", "reserved", "special"}


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "::1", "localhost"])
def test_a_host_is_judged_by_what_it_is_looked_up_to(host):
    with pytest.raises(NotPublicError, match=f"host '{host}' is at .*, a loopback address"):
        public_addresses(host, 80)
    assert public_addresses(host, 80, allow_private=True)


def test_of_several_addresses_only_the_public_ones_are_used(monkeypatch):
    def found(host, port, **options):
        texts = ("10.0.0.1", "8.8.8.8", "8.8.8.8", "127.0.0.1")
        return [(socket.AF_INET, 1, 6, "", (text, port)) for text in texts]

    monkeypatch.setattr(module.socket, "getaddrinfo", found)
    assert public_addresses("mixed.example", 443) == ["8.8.8.8"]
    everything = public_addresses("mixed.example", 443, allow_private=True)
    assert everything == ["10.0.0.1", "8.8.8.8", "127.0.0.1"]

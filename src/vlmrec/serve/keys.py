"""API keys and what each may do.

A file of keys is a JSON object, name -> role and SHA-256 of the key:

    {"shop-frontend": {"role": "read", "sha256": "9f86d0..."}}

Keys themselves are stored nowhere. Roles: "read" asks for lists, "write" also sends events and
items, "admin" also swaps runs and reads metrics.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vlmrec.core.errors import ConfigError
from vlmrec.core.files import read_json_object

Role = Literal["read", "write", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        name: Of the key; "" where there are no keys.
        role: What the key may do.
    """

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Returns whether the caller's role includes another."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Keys:
    """The keys of a service.

    Args:
        digests: Name -> role and SHA-256; empty lets everybody do everything.
    """

    def __init__(self, digests: Mapping[str, tuple[Role, str]]) -> None:
        self._digests = dict(digests)

    def __len__(self) -> int:
        return len(self._digests)

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Returns the keys in a file.

        Raises:
            DataError: It is no JSON object.
            ConfigError: An entry is not as it should be, or there is none.
        """
        found: dict[str, tuple[Role, str]] = {}
        for name, entry in read_json_object(path).items():
            role = entry.get("role") if isinstance(entry, dict) else None
            digest = entry.get("sha256") if isinstance(entry, dict) else None
            if role not in ROLES or not re.fullmatch(r"[0-9a-f]{64}", str(digest)):
                raise ConfigError(
                    f"The key '{name}' in '{path}' needs a role, one of {', '.join(ROLES)}, and "
                    "the SHA-256 of the key in 64 hexadecimal digits.",
                    "Make one with: vlmrec serve --new-key NAME:ROLE",
                )
            found[name] = (role, str(digest))
        if not found:
            raise ConfigError(f"'{path}' holds no keys.", "Make one with --new-key NAME:ROLE.")
        return cls(found)

    def caller(self, key: str | None) -> Caller | None:
        """Returns whose key it is, None where it is nobody's.

        Every key is compared, each in the same time wherever they differ.
        """
        if not self._digests:
            return Caller("", "admin")
        given = hashlib.sha256((key or "").encode(errors="replace")).hexdigest()
        found: Caller | None = None
        for name, (role, digest) in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = Caller(name, role)
        return found


def new_key() -> tuple[str, str]:
    """Returns a key that nobody can guess, and its SHA-256."""
    key = "vr_" + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()

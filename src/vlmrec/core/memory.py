"""How much memory there is, and how people write amounts of it."""

import os
import re
from pathlib import Path

from vlmrec.core.errors import ConfigError

_UNITS = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)},
    **{letter: 1000**power for power, letter in enumerate("KMGT", 1)},
}


def parse_bytes(text: str) -> int:
    """Returns the number of bytes that a text such as "24GB" or "16 GiB" means.

    >>> parse_bytes("24GB"), parse_bytes("1.5 GiB")
    (24000000000, 1610612736)

    Raises:
        ConfigError: It is no amount of memory.
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if not found or found[2].upper() not in _UNITS or float(found[1]) == 0:
        raise ConfigError(
            f"'{text}' is no amount of memory.",
            "Write a number and a unit, such as 24GB, 24GiB or 8000MB.",
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


def format_bytes(count: float) -> str:
    """Returns an amount for people, in thousands: GB, or MB below one of them.

    >>> format_bytes(24.04e9), format_bytes(3.2e6), format_bytes(2e3)
    ('24.0 GB', '3 MB', '0 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def machine_memory() -> int | None:
    """Returns the bytes this process may use: the machine's, or its container's limit.

    None where the system does not tell.
    """
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(total, int(text)) if text.isdigit() else total

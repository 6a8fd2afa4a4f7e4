"""Resident memory of this process, now and at its peak (needs nothing but the standard library)."""

import contextlib
import platform
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_mib() -> float:
    """Returns the memory that is resident now, in MiB; where /proc is missing, the peak."""
    return _from_status("VmRSS:") or _peak_of_rusage()


def peak_mib() -> float:
    """Returns the most that was resident since the start or the last `reset_peak`, in MiB.

    Linux hands `ru_maxrss` down from the process that started this one, so /proc is asked first.
    """
    return _from_status("VmHWM:") or _peak_of_rusage()


def reset_peak() -> None:
    """Forgets the peak so far, where the system lets a process do so."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _from_status(key: str) -> float:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)


def _peak_of_rusage() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if platform.system() == "Darwin" else peak / 1024

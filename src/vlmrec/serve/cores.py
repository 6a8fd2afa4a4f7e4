"""How many cores each of the threads that make lists computes with."""

import os
from collections.abc import MutableMapping


def share_cores(environment: MutableMapping[str, str], cores: int | None = None) -> None:
    """Lets each of two threads compute with half of the cores; to be called before torch is loaded.

    Two threads that each take all cores wait for one another. Who has set OMP_NUM_THREADS keeps
    what was set.

    Args:
        environment: Of the process, which the libraries that compute read when they are loaded.
        cores: How many there are; default: those that this process may use.
    """
    if cores is None:
        usable = getattr(os, "sched_getaffinity", None)  # Linux alone has it
        cores = len(usable(0)) if usable is not None else os.cpu_count() or 1
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // 2)))

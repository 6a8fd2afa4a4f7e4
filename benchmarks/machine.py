"""What a measurement ran on, and how fast that machine multiplies matrices."""

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def describe_machine(threads: int | None = None) -> dict[str, Any]:
    """Returns the processor, cores, memory, load and versions, without the machine's name.

    Args:
        threads: How many threads were measured, where that is not torch's setting here.
    """
    import torch

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "load_average": round(os.getloadavg()[0], 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads() if threads is None else threads,
    }


def gemm_rate(m: int, k: int, n: int, batch: int = 1, seconds: float = 0.2) -> float:
    """Returns the multiply-adds a second of float32 ``[batch, m, k] @ [batch, k, n]``.

    The best of many repeats counts, because whatever else runs on the machine can only slow a
    product down.

    Args:
        m: Rows of the left matrix.
        k: Inner width.
        n: Columns of the right matrix.
        batch: Number of independent products done in one call.
        seconds: How long to repeat it.
    """
    import torch

    left, right = torch.randn(batch, m, k), torch.randn(batch, k, n)
    if batch == 1:
        left, right = left[0], right[0]
    result = left @ right
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        torch.matmul(left, right, out=result)
        best = min(best, time.perf_counter() - start)
    return batch * m * k * n / best


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float | None:
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    return round(pages / 2**30, 1)

"""How fast a device is, measured for about a second."""

import time
from collections.abc import Callable

import torch

from vlmrec.vlm.tracing import Speed

_TOKENS = 2048
_SECONDS = 0.4  # for each of the two measurements
_NUMBERS = 1 << 24


def measure_speed(device: torch.device, dtype: torch.dtype, width: int, inner: int) -> Speed:
    """Returns what `device` does in a second; nothing stays in its memory.

    Args:
        device: Must be there.
        dtype: Type of the numbers.
        width: Columns of the matrices that a model multiplies.
        inner: Columns of the products (its feed-forward width).
    """
    states = torch.ones(_TOKENS, width, device=device, dtype=dtype)
    weight = torch.ones(inner, width, device=device, dtype=dtype)
    numbers = torch.ones(_NUMBERS, device=device, dtype=dtype)
    products = _per_second(lambda: torch.nn.functional.linear(states, weight), device)
    # Not in place: a new result is what most operations of a model write.
    sums = _per_second(lambda: torch.add(numbers, numbers), device)
    return Speed(
        operations=products * 2.0 * _TOKENS * width * inner,
        bytes=sums * 3.0 * _NUMBERS * numbers.element_size(),
    )


def _per_second(work: Callable[[], object], device: torch.device) -> float:
    """Returns how often `work` is done in a second; the first times do not count."""
    for _ in range(2):
        work()
    _wait(device)
    start, times = time.perf_counter(), 0
    while time.perf_counter() - start < _SECONDS:
        work()
        times += 1
        _wait(device)
    return times / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

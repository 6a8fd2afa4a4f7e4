"""Which device a run uses, and why: one line that can be logged."""

from dataclasses import dataclass
from typing import Literal

import torch

from vlmrec.core.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class DeviceChoice:
    """A device and the sentence that explains it."""

    device: torch.device
    reason: str


def choose_device(wanted: DeviceName = "auto") -> DeviceChoice:
    """Returns the device to use.

    Args:
        wanted: A device by name, or "auto" for CUDA, then MPS, then CPU.

    Raises:
        ConfigError: A device was asked for by name and is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        name = next(name for name, there in present.items() if there)
        return DeviceChoice(torch.device(name), f"{name}: the fastest device found")
    if not present[wanted]:
        raise ConfigError(
            f"Device '{wanted}' was asked for and is not available here.",
            "Use --device auto or cpu.",
        )
    return DeviceChoice(torch.device(wanted), f"{wanted}: as asked")

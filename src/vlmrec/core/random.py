"""One seed, many named streams: no code of ours touches a global random state.

A stream is addressed by names and counters (`streams.numpy("windows", epoch)`), never by how
much was drawn before. Work that resumes in the middle, or that is shared between processes,
therefore draws the same numbers as work that ran undisturbed on one.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Streams:
    """A family of independent random streams that all follow from one seed.

    Args:
        seed: Any integer; two runs with the same seed draw the same numbers.
    """

    seed: int

    def child_seed(self, *address: str | int) -> int:
        """Returns the 63-bit seed of the stream at `address`."""
        text = "\x1f".join([str(self.seed), *(str(part) for part in address)])
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1

    def numpy(self, *address: str | int) -> np.random.Generator:
        """Returns a fresh numpy generator for the stream at `address`."""
        return np.random.Generator(np.random.SFC64(self.child_seed(*address)))

    def torch(self, *address: str | int, device: str = "cpu") -> "torch.Generator":
        """Returns a fresh torch generator on `device` for the stream at `address`."""
        import torch

        generator = torch.Generator(device=device)
        generator.manual_seed(self.child_seed(*address))
        return generator

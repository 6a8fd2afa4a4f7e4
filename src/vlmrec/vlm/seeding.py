"""The one place where torch's global generator is set: what other libraries draw from it."""

import contextlib
from collections.abc import Generator

import torch

from vlmrec.core.random import Streams


@contextlib.contextmanager
def seeded(seed: int, purpose: str) -> Generator[None]:
    """Makes what is drawn inside the block follow from a seed, then puts the generator back.

    transformers and peft take start values of weights from the global generator and from
    nowhere else.

    Args:
        seed: Of the run.
        purpose: Tells blocks with the same seed apart.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Streams(seed).child_seed(purpose))
        yield

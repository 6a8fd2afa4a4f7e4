"""Free memory that goes back to the system."""

import ctypes
import sys


def give_back_free_memory() -> None:
    """Gives back what the C library keeps of memory that was freed; nothing where it is not glibc.

    What a run that was swapped out leaves free lies between blocks that are still needed, and
    stays with the process: with each of the first swaps of a large catalogue there is more of it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)

"""Free memory that goes back to the system."""

import subprocess
import sys

import pytest

HOLES = """
import os, sys
from vlmrec.serve.allocating import give_back_free_memory

def mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

blocks = [bytes(60_000) for _ in range(4_000)]  # too small for places of their own
kept = blocks[::40] + blocks[-1:]
full = mib()
del blocks
freed = mib()
give_back_free_memory()
print(full, freed, mib())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is not glibc")
def test_what_lies_between_blocks_that_are_needed_is_given_back():
    told = subprocess.run(
        [sys.executable, "-c", HOLES], capture_output=True, text=True, check=True
    ).stdout
    full, freed, now = (float(one) for one in told.split())
    assert full - freed < 50  # it stays with the process by itself: there is something to do
    assert freed - now > 100

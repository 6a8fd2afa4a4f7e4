"""Threads that make lists share the cores."""

import json
import os
import subprocess
import sys

import pytest

from vlmrec.serve.cores import share_cores


@pytest.mark.parametrize(
    ("given", "cores", "found"),
    [({}, 8, "4"), ({}, 1, "1"), ({"OMP_NUM_THREADS": "3"}, 8, "3")],
)
def test_each_has_half_unless_the_user_said_otherwise(given, cores, found):
    environment = dict(given)
    share_cores(environment, cores)
    assert environment == {"OMP_NUM_THREADS": found}


def test_the_command_says_so_before_torch_is_loaded():
    """Where torch was loaded first, it would compute with all cores."""
    code = (
        "import json, os, sys\n"
        "from vlmrec.serve import cores\n"
        "cores.share_cores = lambda environment: print(json.dumps('torch' in sys.modules))\n"
        "from vlmrec.cli.main import main\n"
        "sys.argv = ['vlmrec', 'serve', 'nowhere']\n"
        "main()\n"
    )
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=kept)
    assert json.loads(done.stdout.splitlines()[0]) is False

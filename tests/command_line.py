"""The real command line in a real process, as a user starts it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

COMMAND = [sys.executable, "-m", "vlmrec.cli.main"]


def environment() -> dict[str, str]:
    """Returns the environment for a child: one thread, no colours."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}


def start(*arguments: object, prefix: list[str] = COMMAND) -> subprocess.Popen[str]:
    """Returns the running process."""
    return subprocess.Popen(
        [*prefix, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def call(
    *arguments: object,
    prefix: list[str] = COMMAND,
    cwd: Path | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Returns the finished process, whatever its exit code."""
    return subprocess.run(
        [*prefix, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=300,
        cwd=cwd,
        preexec_fn=before,
    )


def files_in(folder: Path) -> dict[str, bytes]:
    """Returns every file below a folder, hidden ones included, and its bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

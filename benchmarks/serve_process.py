"""`vlmrec serve` in a process of its own, and what it takes: memory, and time by thread."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

_READY_SECONDS = 300.0


class Served:
    """A service that is up.

    Args:
        process: Of the service.
        port: Where it listens.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.port = port

    @property
    def resident_mib(self) -> float:
        """Memory that is resident now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def seconds_by_thread(self) -> dict[str, float]:
        """Returns the processor seconds so far of each thread, by what it does."""
        found: dict[str, float] = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            busy = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            what = "event loop" if int(task.name) == self.process.pid else name
            found[what] = found.get(what, 0.0) + busy
        return found

    def ask(self, method: str, path: str, body: str = "", kind: str = "application/json") -> bytes:
        """Returns the body of an answer.

        Raises:
            RuntimeError: It was refused.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, {"content-type": kind} if body else {})
            answer = connection.getresponse()
            read = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {read[:300]!r}")
        return read


@contextmanager
def serving(
    run: Path, work: Path, settings: Mapping[str, object] | None = None
) -> "Generator[Served]":
    """Serves a run while the block lasts, with a new database.

    Args:
        run: Its folder; runs beside it may be swapped in.
        work: Where database and log go.
        settings: Further options of `ServeOptions`.

    Raises:
        RuntimeError: It does not start.
    """
    port, database, log = _free_port(), work / "served.db", work / "served.log"
    for old in work.glob("served.db*"):
        old.unlink()
    command = [sys.executable, "-m", "vlmrec.cli.main", "serve", str(run), "--runs"]
    command += [str(run.parent), "--port", str(port), "--database", f"sqlite:///{database}"]
    for name, value in (settings or {}).items():
        command += ["--set", f"{name}={value}"]
    with log.open("wb") as lines:
        process = subprocess.Popen(command, stdout=lines, stderr=lines)
        try:
            served = Served(process, port)
            _wait(served, log)
            yield served
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait(served: Served, log: Path) -> None:
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end and served.process.poll() is None:
        try:
            served.ask("GET", "/ready")
        except OSError:
            time.sleep(0.1)
        else:
            return
    told = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"The service did not start:\n{told}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]

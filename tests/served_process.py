"""`vlmrec serve` as a process of its own, as it runs in earnest: started, killed, started again."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from tests.command_line import COMMAND, environment


def free_port() -> int:
    """Returns a port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class ServedProcess:
    """A service that listens; ready once this returns.

    Args:
        run: The run it serves.
        log: Where what it says is kept.
        options: Of the command.
        before: Called in the process before it becomes the service.
    """

    def __init__(
        self, run: Path, log: Path, *options: object, before: Callable[[], None] | None = None
    ) -> None:
        port = free_port()
        command = [*COMMAND, "serve", run, "--port", port, *options]
        with log.open("ab") as told:
            self.process = subprocess.Popen(
                [str(one) for one in command],
                stdout=told,
                stderr=told,
                env=environment(),
                preexec_fn=before,
            )
        self.address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert self.process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{self.address}/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("it did not start")

    def kill(self) -> None:
        """Ends it as a crash does: nothing is tidied up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

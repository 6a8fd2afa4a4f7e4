"""A server that speaks Milvus's protocol over a socket, in a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

GIVEN = "VLMREC_TEST_MILVUS"
"""Names the address of a server to test with instead, such as a full Milvus."""


def why_no_server() -> str | None:
    """Returns why no server can be started here, None where one can."""
    missing = [name for name in ("pymilvus", "milvus_lite") if find_spec(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


class MilvusServer:
    """Milvus Lite with a folder of its own, on a free port of this machine."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="vlmrec-milvus-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        code = "from milvus_lite.cmdline import main; raise SystemExit(main())"
        options = ("--data-dir", self._folder / "data", "--host", "127.0.0.1", "--port", self._port)
        command = [sys.executable, "-c", code, "server", *map(str, options)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            if self._answers():
                return
            time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def _answers(self) -> bool:
        """It listens before it answers, and cuts off whom it has kept waiting for long."""
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", self._port)) != 0:
                return False
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException

        try:
            MilvusClient(uri=self.url, timeout=5, dedicated=True).close()
        except MilvusException:
            return False
        return True

    def kill(self) -> None:
        """Ends it as a crash does."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """It goes on listening and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, which: signal.Signals) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self._process.pid, which)

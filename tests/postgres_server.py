"""A real PostgreSQL server for tests, started from the binaries that are installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def postgres_binaries() -> Path | None:
    """Returns the folder with initdb and pg_ctl, None where there is no server installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in folders if (one / "initdb").is_file()), None)


class PostgresServer:
    """A server in a folder of its own, on a free port of this machine."""

    def __init__(self) -> None:
        binaries = postgres_binaries()
        assert binaries is not None
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="vlmrec-postgres-"))
        self._data = self._folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        # The server refuses to run as root.
        self._as = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if os.getuid() != 0:
            self._as = []
        else:
            os.chown(self._folder, 65534, 65534)
        self._call("initdb", "-D", self._data, "-U", "vlmrec", "--auth=trust", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://vlmrec@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        # It trusts the disk: tests kill clients and servers, not machines.
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._folder}"
        log = self._folder / "log"
        self._call("pg_ctl", "-D", self._data, "-o", options, "-l", log, "-w", "start")

    def stop(self, how: str = "fast") -> None:
        """Stops it; "immediate" is what a crash does."""
        self._call("pg_ctl", "-D", self._data, "-m", how, "-w", "stop")
        time.sleep(0.1)

    def fresh_database(self, name: str) -> str:
        """Returns the URL of a new, empty database."""
        self._call("createdb", "-h", "127.0.0.1", "-p", self._port, "-U", "vlmrec", name)
        return self.url.removesuffix("postgres") + name

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, program: str, *arguments: object) -> None:
        command = [*self._as, str(self._binaries / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60)
        assert done.returncode == 0, done.stderr + done.stdout

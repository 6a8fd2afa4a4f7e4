"""A server on this machine whose every address answers as a test says."""

import io
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

HTML = b"<!DOCTYPE html><title>Sign in</title>"


def picture_bytes(colour: str = "red", form: str = "JPEG") -> bytes:
    """Returns a small picture file."""
    return _file_of(Image.new("RGB", (24, 24), colour), form)


def huge_picture_bytes() -> bytes:
    """Returns a small file of a picture with 64 million pixels."""
    return _file_of(Image.new("1", (8_000, 8_000)), "PNG")


def _file_of(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


@dataclass(frozen=True)
class Page:
    """One answer.

    Attributes:
        body: What is sent.
        status: HTTP status.
        headers: Further headers.
        length: What Content-Length says; None sends none.
        pause: Seconds between any two bytes, headers included.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = -1
    pause: float = 0.0


@dataclass
class PictureServer:
    """A running server.

    Attributes:
        url: Its address, without a slash at the end.
        pages: By path: the answers, one after the other, the last one for ever.
        asked: Path of every request, in order.
        times: When each came, on the clock of `time.monotonic`.
        agents: The User-Agent of every request.
        hosts: The Host header of every request.
        most: How many requests there were at the same time.
    """

    url: str = ""
    pages: dict[str, list[Page]] = field(default_factory=lambda: defaultdict(list))
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    open: int = 0
    most: int = 0
    before_answer: Callable[[str], None] | None = None

    def give(self, path: str, *pages: Page) -> str:
        """Says how a path is answered, and returns its whole address."""
        self.pages[path] = list(pages)
        return self.url + path


def _handler(server: PictureServer, lock: threading.Lock) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                server.asked.append(self.path)
                server.times.append(time.monotonic())
                server.agents.append(self.headers["User-Agent"])
                server.hosts.append(self.headers["Host"])
                server.open += 1
                self.counted = 1
                server.most = max(server.most, server.open)
                pages = server.pages[self.path]
                page = pages.pop(0) if len(pages) > 1 else (pages or [Page(status=404)])[0]
            try:
                if server.before_answer is not None:
                    server.before_answer(self.path)
                self._send(page)
            except OSError:
                pass  # the other side had enough
            finally:
                self._leave()

        def _leave(self) -> None:
            with lock:
                server.open -= self.counted
                self.counted = 0

        def _send(self, page: Page) -> None:
            length = len(page.body) if page.length == -1 else page.length
            head = [f"HTTP/1.1 {page.status} whatever"]
            head += [f"{name}: {value}" for name, value in page.headers.items()]
            head += [] if length is None else [f"Content-Length: {length}"]
            data = "\r\n".join([*head, "", ""]).encode("latin-1") + page.body
            step = 1 if page.pause else max(len(data), 1)
            for start in range(0, len(data), step):
                time.sleep(page.pause)
                if start + step >= len(data):
                    self._leave()  # before the asker can know, and ask for the next
                self.wfile.write(data[start : start + step])

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    return Handler


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Generator[PictureServer]:
    """Yields a running server at a loopback address."""
    server = PictureServer()
    with ThreadingHTTPServer((host, port), _handler(server, threading.Lock())) as http:
        http.daemon_threads = True
        http.block_on_close = False
        server.url = f"http://{host}:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()

"""A page as a reader's browser shows it: Debian's Chromium, driven through its own pipe.

No package is needed: Chromium reads commands of the DevTools protocol from file descriptor 3 and
answers on 4, one JSON object after another, each ended by a zero byte.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_MET = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}


@dataclass
class Browser:
    """A running Chromium with one page.

    Attributes:
        complaints: Everything that reached the console: messages, errors, refused requests.
        requests: Every address that was asked for, pictures inside the page left out.
    """

    _write: int
    _read: int
    _session: str = ""
    _number: int = 0
    _rest: bytes = b""
    _seen: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Shows a file in a window of this size (CSS pixels)."""
        phone = width < 600
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._seen.clear()
        self._send("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._take()

    def ask(self, expression: str) -> Any:
        """Returns what a JavaScript expression is, as JSON."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """Writes the whole page as a PNG, with the pictures that wait for a reader to come near."""
        self._send(
            "Runtime.evaluate",
            awaitPromise=True,
            expression="Promise.all([...document.images].map("
            "one => { one.loading = 'eager'; return one.decode(); })).then(() => 0)",
        )
        size = self._send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self._send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))

    def start(self) -> None:
        """Opens the page that everything happens in."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._take()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _take(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium has ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        method, told = message.get("method", ""), message.get("params", {})
        self._seen.add(method)
        if method in _MET:
            self.complaints.append(json.dumps(told)[:400])
        if method == "Network.requestWillBeSent":
            url = told["request"]["url"]
            self.requests += [] if url.startswith("data:") else [url]
        return message


def _pipe() -> tuple[int, int]:
    """Returns a pipe whose ends are not 3 or 4, which Chromium gets."""
    ends = os.pipe()
    far = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return far[0], far[1]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Runs a browser that keeps everything in the folder `profile`."""
    assert PROGRAM is not None
    theirs_in, ours_out = _pipe()
    ours_in, theirs_out = _pipe()
    # The shell puts the ends of the pipes where Chromium expects them.
    command = (
        f'exec "$0" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run '
        f'--disable-background-networking --remote-debugging-pipe --user-data-dir="$1" '
        f"3<&{theirs_in} 4>&{theirs_out}"
    )
    running = subprocess.Popen(
        ["bash", "-c", command, PROGRAM, str(profile)],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        browser = Browser(ours_out, ours_in)
        browser.start()
        yield browser
    finally:
        os.close(ours_out)  # Chromium ends when its pipe does
        os.close(ours_in)
        try:
            running.wait(timeout=20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()

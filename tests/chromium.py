"""A page as a reader's browser shows it: Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Page, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Window:
    """A window of a browser.

    Attributes:
        page: What it shows.
        complaints: Everything that reached the console, and every script's error.
        requests: Every address that was asked for, those that are data left out.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator:
    """Runs Chromium; yields what opens windows, of a width in CSS pixels."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])

        def window(width: int, *, height: int = 900, dark: bool = False) -> Window:
            phone = width < 600
            page = running.new_page(
                viewport={"width": width, "height": height},
                device_scale_factor=2 if phone else 1,
                is_mobile=phone,
                has_touch=phone,
                color_scheme="dark" if dark else "light",
            )
            one = Window(page)
            page.set_default_timeout(20_000)
            page.on("console", lambda told: one.complaints.append(told.text))
            page.on("pageerror", lambda error: one.complaints.append(str(error)))
            page.on("request", lambda asked: _note(one, asked.url))
            return one

        yield window
        running.close()


def _note(window: Window, url: str) -> None:
    if not url.startswith(("data:", "blob:")):
        window.requests.append(url)

"""A real Chromium, driven, that looks at the page of a service."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 120_000.0
"""Milliseconds for whatever a busy machine may do; nothing here is timed."""


@dataclass
class Browser:
    """Opens pages, and keeps what they complain of.

    Attributes:
        complaints: errors that scripts or the content security policy left in the console.
    """

    chromium: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    @contextmanager
    def page(
        self, asked: str = "", width: int = 1440, height: int = 900, still: bool = True, **more: Any
    ) -> Iterator[Any]:
        """A page whose answer is there; ``still``: of a person who wants less motion."""
        motion = "reduce" if still else "no-preference"
        with self.chromium.new_context(
            viewport={"width": width, "height": height}, reduced_motion=motion, locale="en-GB",
            permissions=["clipboard-read", "clipboard-write"], **more,
        ) as context:  # fmt: skip
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.on("pageerror", lambda error: self.complaints.append(str(error)))
            page.on("console", self._hear)
            page.goto(f"{self.address}/{asked}")
            answered(page)
            yield page

    def _hear(self, said: Any) -> None:
        """A film that ends where the archive ends is no fault."""
        if said.type == "error" and "/v1/continuations/" not in said.location.get("url", ""):
            self.complaints.append(said.text)


def until(page: Any, true: str, given: Any = None) -> None:
    """Waits until a function of JavaScript is true; the page's policy lets no text become a script in itself."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(true, given):
        assert time.monotonic() < end, true
        page.wait_for_timeout(30)


def answered(page: Any) -> None:
    """Waits until the answer to what was asked is shown."""
    page.wait_for_selector("#screen[aria-busy=false]")


def shown(page: Any, place: str = "#query") -> None:
    """Waits until a film shows a frame."""
    page.wait_for_selector(f"{place} .gone", state="hidden")


@contextmanager
def browser(address: str) -> Iterator[Browser]:
    """A browser for the pages of one service; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no browser is installed: chromium, or google-chrome")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install .[test]")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield Browser(started, address)
        finally:
            started.close()

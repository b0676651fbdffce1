"""A headless Chromium, and pages that it has opened with everything noted that should not happen."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, Playwright, Request, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK = (1200, 900)
PHONE = (390, 844)

Scheme = Literal["light", "dark"]


@dataclass(slots=True, kw_only=True)
class Opened:
    """A report as a reader sees it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """What the console said at all, errors, dialogs, and requests beyond the file itself."""


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """The driver of the browser."""
    with sync_playwright() as started:
        yield started


@pytest.fixture
def opened(playwright: Playwright, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a file in a fresh profile and waits until its charts are drawn."""
    with ExitStack() as stack:
        count = 0

        def open_(file: Path, *, size: tuple[int, int] = DESK, scheme: Scheme = "light") -> Opened:
            nonlocal count
            count += 1
            context = playwright.chromium.launch_persistent_context(
                tmp_path / f"profile{count}",
                executable_path=CHROMIUM,
                args=list(ARGUMENTS),
                viewport={"width": size[0], "height": size[1]},
                color_scheme=scheme,
                offline=True,
            )
            stack.callback(context.close)
            found = Opened(page=context.pages[0])
            _note(found, file.as_uri())
            found.page.goto(file.as_uri())
            found.page.wait_for_selector("html[data-drawn]", timeout=60_000)
            return found

        yield open_


def _note(found: Opened, address: str) -> None:
    """Write down whatever should not happen."""

    def requested(request: Request) -> None:
        if request.url != address and not request.url.startswith("data:"):
            found.complaints.append(f"request: {request.url}")

    found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    found.page.on("request", requested)

    def asked(dialog: object) -> None:
        found.complaints.append(f"dialog: {dialog}")
        dialog.dismiss()  # type: ignore[attr-defined]

    found.page.on("dialog", asked)

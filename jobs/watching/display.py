"""Shows how a job gets on: two live lines on a terminal, a plain line every few seconds elsewhere; always on stderr."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from jobs.terminal_text import dollars, duration, printable
from pipeline.job import JobState

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from pipeline.ledger.type_figures import TypeFigures
    from pipeline.status import Status

PLAIN_SECONDS = 5.0
"""Between two plain lines, unless state, phase or message change; it doubles with each one while they stay."""

LONGEST_PLAIN_SECONDS = 60.0
"""Where it ends."""

BAR = 24
"""Columns of the bar."""


class Display:
    """A context in which it can be called with each status.

    Args:
        stream: stderr, as a rule.
        live: two lines that are drawn again and again; else plain lines.
        now: seconds on any steady clock.
    """

    def __init__(self, stream: TextIO, *, live: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._wants_live, self._now = stream, live, now
        self._live: Live | None = None
        self._said: tuple[str, ...] = ()
        self._remarked: set[str] = set()
        self._said_at, self._wait = float("-inf"), PLAIN_SECONDS

    def __enter__(self) -> Self:
        if self._wants_live:
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream, force_terminal=True, highlight=False)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, status: "Status") -> None:
        """Show this status, and each of its remarks once; cheap enough for many a second."""
        for remark in status.remarks:
            if remark not in self._remarked:
                self._remarked.add(remark)
                self.note(f"note: {remark}")
        if self._live is not None:
            self._live.update(live_text(status, width=self._live.console.width), refresh=True)
            return
        said = (status.state.value, status.phase, status.message)
        if said != self._said:
            self._wait = PLAIN_SECONDS
        elif self._now() - self._said_at < self._wait:
            return
        else:
            self._wait = min(2 * self._wait, LONGEST_PLAIN_SECONDS)
        self._said, self._said_at = said, self._now()
        print(plain_line(status), file=self._stream, flush=True)

    def warn(self, messages: Sequence[str]) -> None:
        """Say what is worth a thought, above the live lines where there are any."""
        for message in messages:
            self.note(f"warning: {message}")

    def note(self, text: str) -> None:
        """Say something that stays, above the live lines where there are any; from any thread."""
        if self._live is not None:
            self._live.console.print(printable(text), markup=False, soft_wrap=True)
        else:
            print(printable(text), file=self._stream, flush=True)

    def say_once(self, text: str) -> None:
        """Say something before there is any status; the same text only once."""
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(printable(text)), refresh=True)
        elif self._said != (text,):
            self._said = (text,)
            print(printable(text), file=self._stream, flush=True)


def done(status: "Status") -> int:
    """Images about which nothing is left to do."""
    return status.rendered + status.reused + status.failed


def plain_line(status: "Status") -> str:
    """All of a status on one line, for logs."""
    parts = [
        f"{status.state.value} {printable(status.phase, most=60)}: {done(status)}/{status.total} images",
        f"{status.images_per_second:.2f} images/s",
        *_optional(status),
        f"spent {dollars(status.usd)}",
        workers(status),
        f"{status.failed} failed",
    ]
    return ", ".join(parts) + (f"; {printable(status.message)}" if status.message else "")


def live_text(status: "Status", *, width: int) -> "Text":
    """A status as two lines, three when it has a message; no line is longer than `width`."""
    from rich.text import Text

    share = done(status) / status.total if status.total else 0.0
    filled = min(BAR, int(share * BAR))
    first = [
        f"{'━' * filled}{'╌' * (BAR - filled)} {done(status):,} / {status.total:,} images {share:.0%}",
        *([f"{status.images_per_second:.2f} images/s"] if status.images_per_second else []),
        *_optional(status),
    ]
    failed = f"{status.failed} failed"
    state = "recovering, " if status.state is JobState.RECOVERING else ""
    second = [state + printable(status.phase, most=40), workers(status), failed, f"spent {dollars(status.usd)}"]
    lines = ["  ".join(first), "  ".join(part for part in second if part), prices(status), printable(status.message)]
    text = Text("\n".join(line[: max(width, 20)] for line in lines if line), no_wrap=True, overflow="crop")
    text.highlight_regex("━+", style="green")
    if status.failed:
        text.highlight_words([failed], style="bold red")
    return text


def prices(status: "Status") -> str:
    """`g6e.xlarge spot $0.0031 an image, planned $0.0029`, of each type; empty where nothing was planned."""
    if not any(one.planned_usd_per_image for one in status.types):
        return ""
    return "  ".join(price(one) for one in status.types if one.rendered)


def price(figures: "TypeFigures") -> str:
    """What an image costs on a type of node, and what it was planned to."""
    each, planned, error = figures.usd_per_image, figures.planned_usd_per_image, figures.error
    said = (
        f"{printable(figures.node_type, most=30)} {figures.market}: {'-' if each is None else dollars(each)} an image"
    )
    off = "" if error is None else f" ({error:+.0%})"
    return said if planned is None else f"{said}, planned {dollars(planned)}{off}"


def workers(status: "Status") -> str:
    """`4 workers, 1 starting, 2 lost`."""
    parts = [f"{status.workers_ready} worker{'' if status.workers_ready == 1 else 's'}"]
    if status.workers_starting:
        parts.append(f"{status.workers_starting} starting")
    if status.workers_lost:
        parts.append(f"{status.workers_lost} lost")
    return ", ".join(parts)


def _optional(status: "Status") -> list[str]:
    """The time that is left, where it is known."""
    return [] if status.eta_seconds is None or status.state.terminal else [f"ETA {duration(status.eta_seconds)}"]

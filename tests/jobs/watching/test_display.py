"""What a person sees: progress, summaries, figures; never a control character of somebody else's."""

import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.stores.memory import MemoryStore
from jobs.terminal_text import dollars, duration, printable, size
from jobs.watching.counter import Counter
from jobs.watching.display import PLAIN_SECONDS, Display, live_text, plain_line
from jobs.watching.status import JobView, read_view, view
from jobs.watching.summary import WIDTH, list_text, next_commands, view_text
from pipeline.job import JobState
from pipeline.status import Status
from tests.jobs.made_job import NOW, make_job, status_of


class Ticking:
    """A steady clock that moves when told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.seconds


def running(**changed: object) -> Status:
    """A job in the middle of its work."""
    job, _ = make_job(MemoryStore())
    status = status_of(job, total=1000, rendered=250, state=JobState.RUNNING, failed=3)
    return replace(status, **changed)  # type: ignore[arg-type]


def seen_of(state: JobState) -> JobView:
    """A job in this state."""
    job, _ = make_job(MemoryStore())
    return view(job, status_of(job, total=3, rendered=3, state=state), now=NOW)


def test_plain_line_says_everything_once() -> None:
    """Images, speed, time left, money, workers and failures on one line of a log."""
    line = plain_line(running())
    said = ("RUNNING rendering: 253/1000 images", "2.50 images/s", "ETA 1 min 30 s", "$0.0123", "2 workers", "3 failed")
    assert all(part in line for part in said)
    assert "\n" not in line


def test_what_workers_decided_is_said_once_and_stands_in_the_summary() -> None:
    """A compile that is skipped is no secret of the log; nor can a remark of another machine act on the terminal."""
    stream = io.StringIO()
    status = running(remarks=("not compiled: it would save 4.5 s and take 67.0 s", "a\x1b[2Jb"))
    with Display(stream, live=False, now=Ticking()) as display:
        display(status)
        display(status)
    assert stream.getvalue().count("note: not compiled: it would save 4.5 s") == 1
    assert "\x1b" not in stream.getvalue()
    job, _ = make_job(MemoryStore())
    text = view_text(view(job, status, now=NOW), "out")
    assert "note" in text
    assert "not compiled: it would save 4.5 s" in text
    assert "\x1b" not in text


def test_plain_lines_come_every_few_seconds_or_when_something_changes() -> None:
    """A log of a night's render stays readable."""
    stream, clock = io.StringIO(), Ticking()
    with Display(stream, live=False, now=clock) as display:
        for _ in range(10):
            display(running())
        clock.seconds += PLAIN_SECONDS
        display(running(rendered=260))
        display(running(phase="loading model shapes"))
        display(running(phase="loading model shapes", message="no GPU"))
    assert len(stream.getvalue().splitlines()) == 4


def test_plain_lines_become_rare_while_nothing_changes_but_the_count() -> None:
    """An hour leaves some sixty lines, and the first minute can still be followed."""
    stream, clock = io.StringIO(), Ticking()
    with Display(stream, live=False, now=clock) as display:
        for second in range(0, 3600, 5):
            clock.seconds = second
            display(running(rendered=second))
    assert 55 < len(stream.getvalue().splitlines()) < 65
    assert stream.getvalue().splitlines()[1].startswith(plain_line(running(rendered=5)))


@given(st.integers(20, 120), st.text(max_size=200), st.text(max_size=200))
def test_live_lines_are_never_longer_than_the_terminal(width: int, phase: str, message: str) -> None:
    """Whatever a driver says, at most three lines are drawn, none of them wrapped, no escape among them."""
    text = live_text(running(phase=phase, message=message), width=width).plain
    assert len(text.split("\n")) <= 3
    assert all(len(line) <= width for line in text.split("\n"))
    assert not any(ord(letter) < 32 for letter in text if letter != "\n")


def test_markup_in_a_message_is_shown_as_it_stands() -> None:
    """Square brackets are words, not colours."""
    assert "[red]no[/red]" in live_text(running(message="[red]no[/red]"), width=80).plain


def test_live_display_draws_on_its_stream() -> None:
    """Two lines appear and are taken away again; nothing goes elsewhere."""
    stream = io.StringIO()
    with Display(stream, live=True) as display:
        display(running())
    assert "253 / 1,000 images" in stream.getvalue()


def test_live_display_names_what_is_done_before_there_is_a_status() -> None:
    """A large manifest takes its time; and warnings stand above the lines that change."""
    stream = io.StringIO()
    with Display(stream, live=True) as display:
        display.say_once("reading [a].jsonl")
        display.warn(["no seed [b] anywhere"])
        display(running())
    assert "reading [a].jsonl" in stream.getvalue()
    assert stream.getvalue().index("warning: no seed [b] anywhere") < stream.getvalue().index("253 / 1,000")


def test_live_lines_say_that_workers_are_missing() -> None:
    """RECOVERING is seen without reading the message; a pace that is not known yet is not shown as none."""
    shown = live_text(running(state=JobState.RECOVERING, images_per_second=0.0), width=80).plain
    assert "recovering, rendering" in shown
    assert "images/s" not in shown


@pytest.mark.parametrize("state", list(JobState))
def test_summary_fits_eighty_columns_and_says_what_comes_next(state: JobState) -> None:
    """Every state has its next commands."""
    text = view_text(seen_of(state), "/store")
    assert all(len(line) <= WIDTH for line in text.splitlines())
    assert state.value in text
    assert "next:\n  spotrender" in text or "submit" in text


def test_next_commands_can_be_pasted_into_a_shell() -> None:
    """A store with a blank in its name is quoted."""
    assert next_commands("demo-1", "/a b", JobState.SUCCEEDED) == [
        "spotrender download demo-1 --store '/a b' --to images",
        "spotrender verify demo-1 --store '/a b'",
    ]


def test_list_marks_a_silent_driver() -> None:
    """A job that only seems to run is seen at once."""
    store = MemoryStore()
    make_job(store, state=JobState.RUNNING)
    seen = read_view(store, "demo", now=NOW + timedelta(minutes=5))
    assert "SILENT" in list_text([seen], "memory:")
    assert list_text([], "s3://a/b") == "no jobs in s3://a/b"


@given(st.text())
def test_printable_text_moves_no_cursor_and_turns_no_line(text: str) -> None:
    """Escapes, line ends and bidirectional overrides of a prompt never reach a terminal."""
    shown = printable(text + "\x1b[2J\u202e\r\n\x9b")
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in shown)
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(shown)


def test_printable_text_keeps_every_script() -> None:
    """Right-to-left words and joined emoji are not control characters."""
    assert printable("שלום 日本 👩‍🚀") == "שלום 日本 👩‍🚀"
    assert printable("x" * 10, most=6) == "xxx..."


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (60, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (3661, "1 h 01 min"),
        (90000, "1 d 01 h"),
    ],
)
def test_durations_read_easily(seconds: float, said: str) -> None:
    """Two units at most, and never sixty of one."""
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        ("0", "$0.00"),
        ("1234.5", "$1,234.50"),
        ("0.1", "$0.10"),
        ("0.0123", "$0.0123"),
        ("0.000001234", "$0.00000123"),
        ("0.000000001", "$0.000000001"),
    ],
)
def test_small_money_is_never_shown_as_nothing(usd: str, said: str) -> None:
    """A thousandth of a cent for an image is still something."""
    assert dollars(Decimal(usd)) == said


def test_sizes_read_easily() -> None:
    """Powers of 1024 by their right names."""
    assert [size(0), size(1536), size(5 * 1024**3)] == ["0 B", "1.5 KiB", "5.0 GiB"]


def test_counter_is_quiet_about_short_work() -> None:
    """What is over within a moment needs no progress."""
    stream, clock = io.StringIO(), Ticking()
    with Counter(stream, "checked", live=False, now=clock) as counter:
        counter(1, 100)
        clock.seconds += 10
        counter(50, 100)
        clock.seconds += 10
        counter(60, None)
    assert stream.getvalue() == "checked 50 of 100 images, 5/s, 10.0 s left\nchecked 60 images, 3/s\n"

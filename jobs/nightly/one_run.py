"""One run of one entry, in a process of its own: its job is submitted or resumed, and the book says what came of it."""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

from infra.process_identity import this_process
from jobs.controlling import Asked
from jobs.new_rows import rows_with_new_images
from jobs.nightly.nightly_file import Entry, NightlyFile, job_of, load_nightly
from jobs.nightly.nightly_news import tell_of_run
from jobs.nightly.schedule import Now
from jobs.nightly.state import NOBODY, EntryBook, Run
from jobs.resuming import resume
from jobs.submit import submit
from jobs.wiring import open_store
from pipeline.errors import LeaseLostError, RetriedError, SpotrenderError, UserError
from pipeline.job import JobState
from pipeline.news import Occasion
from pipeline.status import Status, read_status


def do_run(file: NightlyFile, name: str, due: datetime, *, now: Now) -> None:
    """Do what is left to do of a run that the book names.

    A store or cluster that fails leaves the run open, and the next `nightly run` resumes it; whatever else ends it is
    told in the book.
    """
    entry, book = file.entry(name), EntryBook(open_store(file.store), name)
    state = book.read()
    run = None if state is None else state.run(due)
    if run is None or not run.live:
        return
    book.note(due, owner=this_process())
    try:
        _drive(file, entry, run, book, now=now)
    except UserError as error:
        book.note(due, state="REFUSED", message=str(error), ended_at=now(), **_cost(book, due))
        _tell(entry, book, due, f"REFUSED\n{error}", now=now)
        raise
    except (RetriedError, LeaseLostError, KeyboardInterrupt):
        raise
    except Exception as error:
        book.note(due, state="FAILED", message=f"{type(error).__name__}: {error}", ended_at=now(), **_cost(book, due))
        _tell(entry, book, due, f"FAILED\n{type(error).__name__}", now=now)
        raise


def _tell(entry: Entry, book: EntryBook, due: datetime, text: str, *, now: Now) -> None:
    """Tell those whom the entry names of a run that ended before it had a job; of a job its driver tells."""
    with suppress(SpotrenderError):
        state = book.read()
        run = None if state is None else state.run(due)
        if run is None or run.job:
            return
        at, (title, _, rest) = due.isoformat(timespec="minutes"), text.partition("\n")
        tell_of_run(
            entry, Occasion.FAILED, subject=f"{at} {title}", title=f"the run due {at} is {title}", text=rest, now=now()
        )


def _cost(book: EntryBook, due: datetime) -> dict[str, Decimal]:
    """What the job of a run that broke off has cost, where it has one and the store tells it."""
    with suppress(SpotrenderError):
        state = book.read()
        run = None if state is None else state.run(due)
        status = read_status(open_store(run.store), run.job) if run is not None and run.job else None
        return {} if status is None else {"usd": status.usd}
    return {}


def _drive(file: NightlyFile, entry: Entry, run: Run, book: EntryBook, *, now: Now) -> None:
    """Submit or resume the job, to its end or into the hands of a cluster."""
    detach = entry.address is not None and entry.address.startswith(("http://", "https://"))
    heard = Heard(book, run)
    if run.job:
        result = resume(open_store(run.store), run.job, address=entry.address, detach=detach, on_status=heard)
    else:
        job_file = job_of(file, entry, run.due)
        heard.store = job_file.store
        new = rows_with_new_images(job_file) if entry.only_new else None
        if new is not None and not new.any():
            book.note(run.due, state=JobState.SUCCEEDED.value, message="no row is new", ended_at=now())
            return
        result = submit(job_file, address=entry.address, detach=detach, on_status=heard, only_rows=new)
    if isinstance(result, Asked):
        return
    if detach and not result.state.terminal:
        heard.note_job(result.job, result.usd)
        book.note(run.due, owner=NOBODY)
    else:
        heard.note_job(result.job, result.usd)  # of a job that had nothing to do nothing was heard
        book.end(run.due, read_status(open_store(heard.store), result.job) or result, now=now())


class Heard:
    """Notes the job's id as soon as its driver says it.

    Args:
        book: of the entry.
        run: the run.
    """

    def __init__(self, book: EntryBook, run: Run) -> None:
        self.store = run.store
        self._book, self._run = book, run
        self._noted = False

    def __call__(self, status: Status) -> None:
        self.note_job(status.job, status.usd)

    def note_job(self, job: str, usd: Decimal) -> None:
        """Note the job and what it has cost, once; a run that is resumed had a job before."""
        if not self._noted:
            self._noted = True
            before = {} if self._run.job else {"usd_before": usd}
            self._book.note(self._run.due, job=job, store=self.store, state=JobState.RUNNING.value, **before)


def main() -> None:
    """`python -m jobs.nightly.one_run FILE STORE NAME DUE`: what `nightly run` starts."""
    location, store, name, due = sys.argv[1:]
    file = load_nightly(location, store=store)
    do_run(file, name, datetime.fromisoformat(due), now=lambda: datetime.now(UTC))


if __name__ == "__main__":
    main()

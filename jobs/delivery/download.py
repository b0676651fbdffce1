"""Fetches a job's images under the user's own names; what is there and sound already is not fetched again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.delivery.folder import FolderTarget
from jobs.delivery.handing_over import HandedOver, Order, explained, hand_over
from jobs.delivery.selection import Survey
from pipeline.job import Job
from pipeline.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded(HandedOver):
    """What was fetched."""

    job: str
    folder: str
    sheets: tuple[str, ...]
    """Names of the pages of a contact sheet."""


def download(
    store: Store,
    job: Job,
    *,
    folder: Path,
    order: Order | None = None,
    on_survey: Callable[[Survey], None] = lambda _survey: None,
    on_progress: Callable[[int, int | None], None] = lambda _done, _total: None,
    sheet: str | None = None,
) -> Downloaded:
    """Fetch images into a folder, each under its name, and list them in `index.csv` and `index.parquet`.

    A file appears only when it is complete and its hash is right. Interrupted, it goes on where it stopped.

    Args:
        store: where the job lies.
        job: whose images.
        folder: where to; made when it is not there; must not lie inside the store.
        order: which images, under what names; all under their custom ids when not given.
        on_survey: told how many and how large they are, before anything is written.
        on_progress: told (done, in all).
        sheet: axes of a contact sheet, as `jobs.contact_sheet.grouping.axes_of` has them; None: no sheet.

    Raises:
        UserError: the folder cannot be written, or lies in the store; the order makes no sense.
        JobRefusedError: the job's requests are not in the store.
    """
    order = order or Order()
    if sheet is not None:
        from jobs.contact_sheet.making import check_axes

        check_axes(store, job, sheet, order=order)
    done = hand_over(
        store,
        job,
        FolderTarget(store, folder),
        order,
        on_survey=on_survey,
        on_progress=on_progress,
    )
    sheets: tuple[str, ...] = ()
    if sheet is not None:
        from jobs.contact_sheet.making import make_sheets

        with explained(str(folder)):
            sheets = make_sheets(store, job, sheet, folder=folder, order=order)
    return Downloaded(job=job.id, folder=str(folder), sheets=sheets, **asdict(done))

"""Leaves the page of a job in the store. It is for people alone, so a job never fails for it."""

import logging

from pipeline.layout import report_key
from pipeline.ports import Store

_LOG = logging.getLogger(__name__)


def write_page(store: Store, job: str) -> bool:
    """Write `jobs/<job>/report.html`; whether that worked. What was there before stays when it did not."""
    try:
        store.put(report_key(job), _page(store, job))
    except Exception as error:  # noqa: BLE001 - the job is done and its books are written, whatever happens here
        reason = f"{type(error).__name__}: {error}"
        _LOG.warning("the report of %s was not written (%s); `spotrender report --format html` makes it", job, reason)
        return False
    return True


def _page(store: Store, job: str) -> bytes:
    """The page; what it takes is loaded only now, when nothing else is waiting."""
    from jobs.planning.card_market import card_market
    from jobs.prices.list_prices import listed_on_demand
    from jobs.reporting.page.page import as_html
    from jobs.reporting.report import MadeReport
    from pipeline.reports.ledger import open_ledger
    from pipeline.reports.making import make_report

    with open_ledger(store, jobs=(job,)) as ledger:
        report = make_report(ledger, list_price=listed_on_demand(store), time_line=True, market=card_market)
        return as_html(MadeReport(report=report, ledger=ledger, store=store))

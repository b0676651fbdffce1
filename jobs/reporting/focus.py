"""A report as a FOCUS 1.2 cost file, which FinOps tools load: a row for each node session, category and month."""

import pyarrow as pa

from jobs.reporting.report import MadeReport
from pipeline.reports.focus import focus_csv, focus_parquet, focus_table


def as_focus(made: MadeReport) -> bytes:
    """CSV."""
    return focus_csv(_table(made))


def as_focus_parquet(made: MadeReport) -> bytes:
    """Parquet, money as decimal128(18, 9)."""
    return focus_parquet(_table(made))


def _table(made: MadeReport) -> pa.Table:
    return focus_table(made.ledger.rows("SELECT * FROM sessions"), account=made.store.uri)

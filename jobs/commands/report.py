"""The command that says what jobs cost: report."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, warn

EXIT_SKIPPED = 3
"""With --strict: ledger files could not be read."""


def report(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(help="Jobs, by id, name or the beginning of an id; else all.", metavar="[JOB]..."),
    ] = None,
    *,
    store: StoreOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only jobs submitted since: 7d, 12h, 2w or a day, 2026-11-14 (whole days, UTC).", metavar="WHEN"
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            help="Group by node_type, market, zone, model, size, tag:NAME, job, day (of submit) or cause.",
            metavar="KEY",
        ),
    ] = "node_type",
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="table, json, csv, parquet, markdown, html, focus or focus-parquet.", metavar="FORMAT"
        ),
    ] = "table",
    output: Annotated[Path | None, typer.Option(help="Write it into this file.", metavar="FILE")] = None,
    reconcile: Annotated[
        Path | None,
        typer.Option(
            help="Compare with a cloud's bill: AWS CUR 2.0 or FOCUS, Parquet or CSV, also .gz, or its folder.",
            metavar="FILE",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 3 when a ledger file could not be read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what jobs cost.

    From the ledger alone, on any machine that can read the store, also while a job runs.
    """
    from jobs.reporting.formats import checked_format, for_reader, put_out, rendered
    from jobs.reporting.reconciling import checked_bill, reconciled
    from jobs.reporting.report import parse_since, reported
    from jobs.wiring import store_of

    name = "json" if as_json else format_
    chosen = checked_format(name, output, terminal=sys.stdout.isatty())
    bill = checked_bill(reconcile, name) if reconcile else None
    day = parse_since(since, now=datetime.now(UTC)) if since else None
    place = store_of(store, os.environ)
    with reported(place, jobs or (), since=day, by=by, time_line=chosen.time_line) as made:
        warn(tuple(f"left out: {file}" for file in made.report.skipped))
        shown = for_reader(made, sys.stdout, os.environ) if output is None else made
        put_out(reconciled(shown, bill, name) if bill else rendered(shown, name), output)
    raise typer.Exit(EXIT_SKIPPED if strict and made.report.skipped else 0)

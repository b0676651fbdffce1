"""Tells on the terminal what happened to a job, with the seed that makes it happen again."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.chaos.stage import Happened


def tell(title: str, seed: int, happened: Sequence[Happened]) -> None:
    """Print the seed and a table of events."""
    table = Table(title=f"{title}: CHAOS_SEED={seed} make chaos", box=box.SIMPLE_HEAD)
    for column in ("event", "after", "records", "what", "whom"):
        table.add_column(column, justify="right" if column in {"event", "after", "records"} else "left")
    for one in happened:
        number = f"{one.event.number + 1}"
        table.add_row(number, f"{one.after_seconds:.1f} s", f"{one.records}", one.event.kind, one.whom)
    Console(width=100).print(table)

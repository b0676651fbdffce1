"""What an image of one model, size and number of steps has cost in a store: all spend over all such images rendered."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import duckdb

from pipeline.reports.by import By
from pipeline.reports.ledger import Ledger
from pipeline.reports.summing import gather, groups

_SHAPE = By(text="shape", of_nodes=False, expression="concat_ws(chr(31), model, width, height, steps)")


class Shape(NamedTuple):
    """What decides most of an image's cost."""

    model: str
    """The job's name for it."""
    width: int
    height: int
    steps: int


def usd_per_image(ledger: Ledger) -> Mapping[Shape, Decimal]:
    """Fully loaded dollars for an image, for the 200 shapes on which most was spent."""
    try:
        gather(ledger, _SHAPE)
    except duckdb.Error:
        if not ledger.leave_out_damaged():
            raise
        gather(ledger, _SHAPE)
    found, _ = groups(ledger, _SHAPE)
    return {shape: usd for one in found if (usd := one.usd_per_image) is not None and (shape := _shape(one.name))}


def _shape(name: str) -> Shape | None:
    """The shape of a group; None for `(others)` and for what has none."""
    model, *figures = name.split("\x1f")
    return Shape(model, *map(int, figures)) if len(figures) == 3 else None

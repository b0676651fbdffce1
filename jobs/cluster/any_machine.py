"""What targets of any machines share: labels out of a type's name, and a head whose price is said, or not known."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from jobs.cluster.target import Line, Pool
from jobs.jobfile.values import shown
from pipeline.errors import JobFileError

NO_HEAD_PRICE: Final = "the head is not counted, as its price is not known: --with head_usd_per_hour=0.05 says it"
"""A note: what is not known is no zero."""

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_AMOUNT = re.compile(r"[0-9]{1,4}(\.[0-9]{1,9})?")


def _usd(value: Any) -> Decimal | None:
    """An amount, as text of the command line."""
    if value is None:
        return None
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    raise ValueError(f"must be US dollars such as 0.05, got {shown(value)}")


HeadPrice = Annotated[Decimal | None, BeforeValidator(_usd)]
"""An option: what an hour of the head costs."""


def check_label(text: str) -> None:
    """Refuse what Ray and Kubernetes take for no label. Raises: JobFileError."""
    if not _LABEL.fullmatch(text):
        raise JobFileError(f"nodes: {shown(text)} makes no label; use up to 63 letters and digits, with . _ - between")


def head_lines(usd_per_hour: Decimal | None) -> tuple[Line, ...]:
    """The head's line, where its price was said."""
    if usd_per_hour is None:
        return ()
    return (Line(name="head", market="on_demand", count=1, usd_per_hour=usd_per_hour, price_source="said by --with"),)


def pool_line(pool: Pool) -> Line:
    """The line of the workers of a pool."""
    return Line(
        name=pool.type,
        market=pool.market,
        count=pool.max,
        usd_per_hour=pool.usd_per_hour,
        price_source=pool.price_source,
    )

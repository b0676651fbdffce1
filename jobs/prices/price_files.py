"""The files in which prices stand: those that ship, and a user's own; each row with its source and date."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_UP, Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from infra.providers.price_table import PriceTable, TableRow
from jobs.jobfile.values import FilledText, Market, Text, Usd, UsdLimit, Watts, shown
from jobs.jobfile.yaml_document import read_document
from jobs.profiles import node_types
from jobs.written import Written
from pipeline.errors import JobFileError
from pipeline.pricing.billing import BillingRule
from pipeline.pricing.storage_cost import StorageRates, egress_usd

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")


def _as_of(value: Any) -> str:
    """A day or a month that is not yet to come."""
    text = value.isoformat() if isinstance(value, date) else value
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError(f"must be a day or month such as 2026-11-21 or 2026-11, got {shown(value)}")
    try:
        day = date.fromisoformat(text if len(text) > 7 else f"{text}-01")
    except ValueError as error:
        raise ValueError(f"must be a day or month such as 2026-11-21 or 2026-11, got {shown(value)}") from error
    if day > datetime.now().astimezone().date():
        raise ValueError(f"is in the future, got {shown(value)}; write when the price was seen")
    return text


def _seconds(value: Any) -> int:
    """Whole seconds, up to a day."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 86_400:
        raise ValueError(f"must be a whole number of seconds from 0 to 86400, got {shown(value)}")
    return value


AsOf = Annotated[str, BeforeValidator(_as_of)]
Seconds = Annotated[int, BeforeValidator(_seconds)]


class PriceRow(Written):
    """One row of a user's own price file."""

    type: FilledText
    market: Market = "on_demand"
    region: Text = ""
    zone: Text = ""
    usd_per_hour: UsdLimit
    """Of the whole node; nothing is said with `usd_per_hour: 0` in the job file alone."""
    source: FilledText
    as_of: AsOf


class BillingRow(Written):
    """One row of `configs/billing.yaml`."""

    provider: FilledText
    granularity_seconds: Annotated[int, BeforeValidator(_seconds)] = 1
    minimum_seconds: Seconds = 0
    free_if_reclaimed_within_seconds: Seconds = 0
    source: FilledText
    as_of: AsOf
    certain: bool = True


class StorageRow(Written):
    """One row of `configs/storage_prices.yaml`."""

    store: FilledText
    usd_per_1000_puts: Usd
    usd_per_1000_gets: Usd
    usd_per_1000_lists: Usd
    usd_per_gib_month: Usd
    usd_per_gib_egress: Usd
    source: FilledText
    as_of: AsOf


class OwnMachine(Written):
    """What the user's own machine costs."""

    usd_per_hour: Usd
    """Amortised: what it cost, over the hours that it will live."""
    watts: Watts = Decimal(0)
    usd_per_kwh: Usd = Decimal(0)

    @property
    def total_usd_per_hour(self) -> Decimal:
        """With its power."""
        return with_power(self.usd_per_hour, self.watts, self.usd_per_kwh)


def with_power(usd_per_hour: Decimal, watts: Decimal, usd_per_kwh: Decimal) -> Decimal:
    """Dollars per hour with watts x price of electricity, to the nano-dollar."""
    return (usd_per_hour + watts * usd_per_kwh / 1000).quantize(Decimal("1e-9"))


def read_price_file(path: str) -> list[PriceRow]:
    """A user's own prices. Raises: JobFileError: with file and line of the first problem."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise JobFileError(f"prices: {path}: cannot be read ({error.strerror}); give auto, table or a file") from error
    rows: list[PriceRow] = _checked(TypeAdapter(list[PriceRow]), text, Path(path).name, "mend it")
    return rows


def price_table(own: list[PriceRow] | None = None, *, name: str = "") -> PriceTable:
    """The user's own rows, then those that ship.

    Args:
        own: the rows of the user's file.
        name: that file, as rows name it.
    """
    rows = [
        TableRow(
            node_type=row.type,
            market=row.market,
            usd_per_hour=row.usd_per_hour,
            region=row.region,
            zone=row.zone,
            source=f"{name} ({row.source}, {row.as_of})",
        )
        for row in own or ()
    ]
    for known in node_types().values():
        source = f"configs/node_types.yaml ({known.source}, {known.as_of})"
        prices = {"on_demand": known.on_demand_usd_per_hour, "spot": known.spot_usd_per_hour}
        rows += [
            TableRow(node_type=known.type, market=market, usd_per_hour=usd, source=source, region=known.region)
            for market, usd in prices.items()
            if usd is not None
        ]
    return PriceTable(rows)


def own_machine() -> OwnMachine:
    """What the user's own machine costs, as `configs/prices.yaml` assumes."""
    rows: dict[str, OwnMachine] = _shipped(TypeAdapter(dict[str, OwnMachine]), "prices.yaml")
    return rows["local"]


def billing_rules() -> dict[str, BillingRule]:
    """How each provider bills."""
    rows: list[BillingRow] = _shipped(TypeAdapter(list[BillingRow]), "billing.yaml")
    return {row.provider: BillingRule(**row.model_dump(exclude={"certain"})) for row in rows}


def storage_rates(uri: str, environ: Mapping[str, str]) -> StorageRates | None:
    """What a store charges; None where it is free, as a folder and a service of one's own are."""
    scheme = uri.partition("://")[0] if "://" in uri else ""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if endpoint and ".amazonaws.com" not in endpoint:
        return None
    rows: list[StorageRow] = _shipped(TypeAdapter(list[StorageRow]), "storage_prices.yaml")
    found = next((row for row in rows if row.store == scheme), None)
    return None if found is None else StorageRates(**found.model_dump(exclude={"store"}))


def egress_note(uri: str, size_bytes: int, environ: Mapping[str, str]) -> str:
    """What a download of so many bytes costs, for whoever is about to begin it; empty where it costs nothing."""
    rates = storage_rates(uri, environ)
    usd = egress_usd(size_bytes, rates)
    if rates is None or not usd:
        return ""
    amount = usd.quantize(Decimal("0.0001"), rounding=ROUND_UP)
    return (
        f"taking {size_bytes / 2**30:.2f} GiB out of {uri} costs up to ${amount} of egress ({rates.source},"
        f" {rates.as_of}); nothing from a machine in the bucket's own region"
    )


def _shipped(adapter: TypeAdapter[Any], name: str) -> Any:
    """A file of `configs`, read like a user's."""
    text = (Path(str(files("configs"))) / name).read_bytes()
    return _checked(adapter, text, name, "reinstall spotrender")


def _checked(adapter: TypeAdapter[Any], text: bytes, name: str, remedy: str) -> Any:
    """The rows of a file. Raises: JobFileError."""
    document = read_document(text, name=name)
    try:
        return adapter.validate_python(document.values)
    except ValidationError as error:
        first = error.errors()[0]
        way = tuple(first["loc"])
        key = f"{way[-1]}: " if way and isinstance(way[-1], str) else ""
        message = first["msg"].removeprefix("Value error, ")
        raise JobFileError(f"{document.place(way)}: {key}{message}; {remedy}") from error

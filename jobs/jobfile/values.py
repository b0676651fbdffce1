"""The kinds of values that a job file holds; each refuses with a sentence that says what is right."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from infra.providers.table import PROVIDERS
from jobs.durations import seconds_in
from pipeline.manifest.problems import FieldError
from pipeline.manifest.row import FIELDS
from pipeline.manifest.sweep import MAX_POINTS
from pipeline.performance import CHOICES, PROFILES
from pipeline.request import MAX_SEED

AUTO = "auto"
"""The batch size that a worker is to find."""

MOST_USD = Decimal(1_000_000_000)
"""What the ledger's decimal128(18, 9) holds."""

LEAST_RETENTION_SECONDS = 3600
"""Images are kept for so long after a job's end, whoever wants what: late writes of lost workers have ended by then."""

_MOST_RETENTION_SECONDS = 100 * 366 * 86_400


def shown(value: Any) -> str:
    """A wrong value as a message quotes it: short, and words in quotes."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 60 else f'{text[:57]}..."'


def _whole(low: int, high: int) -> Callable[[Any], int]:
    """Whole numbers; 30.0 is one too, true is none."""

    def check(value: Any) -> int:
        number = int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, got {shown(value)}")
        return number

    return check


def _number(low: int, high: int) -> Callable[[Any], float]:
    """Numbers with or without a fraction."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | float) or not low <= value <= high:
            raise ValueError(f"must be a number from {low} to {high}, got {shown(value)}")
        return float(value)

    return check


def _batch_size(value: Any) -> int | str:
    """Images that go through the device together, or `auto`."""
    try:
        return AUTO if value == AUTO else _whole(1, 100_000)(value)
    except ValueError as error:
        raise ValueError(str(error).replace("must be ", "must be auto or ")) from None


def _usd(value: Any) -> Decimal:
    """Money, to the nano-dollar, never through a float."""
    amount = Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 <= amount < MOST_USD:
        raise ValueError(f"must be an amount in US dollars such as 25 or 0.004, got {shown(value)}")
    rounded = amount.quantize(Decimal("1e-9"))
    if rounded != amount:
        raise ValueError(f"must have at most nine digits after the point, got {shown(value)}")
    return amount


def _watts(value: Any) -> Decimal:
    """Power of a machine."""
    amount = Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 <= amount <= 100_000:
        raise ValueError(f"must be a number of watts from 0 to 100000, got {shown(value)}")
    return amount


def _excess(value: Any) -> Decimal:
    """A share on top of a budget."""
    amount = Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 <= amount <= 10:
        raise ValueError(f"must be a share from 0 to 10 such as 0.1, got {shown(value)}")
    return amount


def _usd_above_zero(value: Any) -> Decimal:
    """A limit on money; none at all is said by leaving it out."""
    amount = _usd(value)
    if not amount:
        raise ValueError("must be more than 0; leave it out for no limit")
    return amount


def _text(value: Any) -> str:
    """Words; a number or a truth value in their place is quoted by the user, not guessed by us."""
    if isinstance(value, str):
        if any(ord(letter) < 32 and letter not in "\t\n" for letter in value):
            raise ValueError("must not hold control characters")
        return value
    hint = "; put it in quotes" if isinstance(value, int | Decimal) else ""
    raise ValueError(f"must be text, got {shown(value)}{hint}")


def _filled(value: Any) -> str:
    """Words that are not all blank."""
    text = _text(value).strip()
    if not text:
        raise ValueError("must not be empty")
    return text


def _instant(value: Any) -> datetime:
    """An instant with its time zone, as UTC."""
    example = "2026-11-21T07:00:00+00:00"
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be an instant such as {example}, got {shown(value)}") from None
    if instant.tzinfo is None:
        raise ValueError(f"must have a time zone, such as {example}, got {shown(value)}")
    return instant.astimezone(UTC)


def _retention(value: Any) -> float:
    """A time of an hour or more, in seconds."""
    seconds = seconds_in(value) if isinstance(value, str) else None
    if seconds is None or not LEAST_RETENTION_SECONDS <= seconds <= _MOST_RETENTION_SECONDS:
        raise ValueError(f"must be a time of at least an hour such as 30d, 12h or 8w, got {shown(value)}")
    return float(seconds)


def choice(*known: str) -> Callable[[Any], str]:
    """One of a few words."""

    def check(value: Any) -> str:
        if value not in known:
            raise ValueError(f"must be {', '.join(known[:-1])} or {known[-1]}, got {shown(value)}")
        return str(value)

    return check


def _word(*known: str) -> Callable[[Any], str]:
    """One of a few words, of which YAML reads `on` and `off` as truth values."""
    choose = choice(*known)
    return lambda value: choose({True: "on", False: "off"}[value] if isinstance(value, bool) else value)


def _axis(name: str) -> Callable[[Any], tuple[object, ...]]:
    """Values of one axis of a sweep: a list, one value, or whole numbers as `0..3`, the last one included."""

    def check(value: Any) -> tuple[object, ...]:
        values = [one for item in (value if isinstance(value, list) else [value]) for one in _spread(name, item)]
        if not values:
            raise ValueError("must hold at least one value")
        try:
            return tuple(FIELDS[name](_plain(one)) for one in values)
        except FieldError as error:
            raise ValueError(str(error)) from None

    return check


def _spread(name: str, item: Any) -> Iterable[Any]:
    """The item, or the whole numbers of a range."""
    found = _RANGE.fullmatch(item) if isinstance(item, str) and name in _WHOLE_FIELDS else None
    if found is None:
        return (item,)
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MAX_POINTS:
        raise ValueError(f"{shown(item)} must run upwards, over at most {MAX_POINTS:,} values")
    return range(first, last + 1)


def _plain(value: Any) -> Any:
    """A value as rows have it: whole numbers as int, others as float, also deep inside."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


_RANGE = re.compile(r"\s*([0-9]{1,12})\s*\.\.\s*([0-9]{1,12})\s*")
_WHOLE_FIELDS = frozenset({"seed", "width", "height", "steps"})

_money_json = PlainSerializer(str, return_type=str, when_used="json")

Count = Annotated[int, BeforeValidator(_whole(1, 100_000))]
BatchSize = Annotated[int | str, BeforeValidator(_batch_size)]
Steps = Annotated[int, BeforeValidator(_whole(1, 1000))]
Side = Annotated[int, BeforeValidator(_whole(8, 16_384))]
Quality = Annotated[int, BeforeValidator(_whole(1, 100))]
Seed = Annotated[int, BeforeValidator(_whole(0, MAX_SEED))]
Guidance = Annotated[float, BeforeValidator(_number(0, 100))]
Scale = Annotated[float, BeforeValidator(_number(-10, 10))]
Usd = Annotated[Decimal, BeforeValidator(_usd), _money_json]
UsdLimit = Annotated[Decimal, BeforeValidator(_usd_above_zero), _money_json]
Excess = Annotated[Decimal, BeforeValidator(_excess), _money_json]
Watts = Annotated[Decimal, BeforeValidator(_watts), _money_json]
Text = Annotated[str, BeforeValidator(_text)]
FilledText = Annotated[str, BeforeValidator(_filled)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
OutageSeconds = Annotated[float, BeforeValidator(_number(0, 86_400))]
Retention = Annotated[float, BeforeValidator(_retention)]
OnRebalance = Annotated[str, BeforeValidator(choice("ignore", "leave"))]
Market = Annotated[str, BeforeValidator(choice("spot", "on_demand", "local"))]
ProviderName = Annotated[str, BeforeValidator(choice("auto", *PROVIDERS))]
Format = Annotated[str, BeforeValidator(choice("png", "webp", "jpeg"))]
Metadata = Annotated[str, BeforeValidator(choice("full", "none"))]
Precision = Annotated[str, BeforeValidator(choice("fp32", "fp16", "bf16"))]
Profile = Annotated[str, BeforeValidator(choice(*PROFILES))]
Quantization = Annotated[str, BeforeValidator(choice(*CHOICES["quantization"]))]
Attention = Annotated[str, BeforeValidator(choice(*CHOICES["attention"]))]
StepCache = Annotated[str, BeforeValidator(choice(*CHOICES["step_cache"]))]
Share = Annotated[float, BeforeValidator(_number(0, 1))]
Compile = Annotated[str, BeforeValidator(_word(*CHOICES["compile"]))]
OnOff = Annotated[str, BeforeValidator(_word(*CHOICES["distilled"]))]
Switch = Annotated[str, BeforeValidator(_word(*CHOICES["channels_last"]))]
Memory = Annotated[str, BeforeValidator(choice(*CHOICES["memory"]))]
Limit = Annotated[int, BeforeValidator(_whole(1, 10_000_000))]
TemplateMode = Annotated[str, BeforeValidator(choice("exhaustive", "random"))]
SweepMode = Annotated[str, BeforeValidator(choice("product", "zip"))]
SeedAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("seed"))]
WidthAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("width"))]
HeightAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("height"))]
StepsAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("steps"))]
GuidanceAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("guidance_scale"))]
NegativeAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("negative_prompt"))]
SchedulerAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("scheduler"))]
ModelAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("model"))]
LorasAxis = Annotated[tuple[object, ...], BeforeValidator(_axis("loras"))]

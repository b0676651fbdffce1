"""How commands answer: one JSON document or text for a person on stdout, errors and progress on stderr."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from decimal import Decimal
from typing import Annotated, Any

import typer

from jobs.terminal_text import printable

StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="s3://bucket/prefix or a folder; else SPOTRENDER_STORE.", metavar="URI"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
JobArgument = Annotated[str, typer.Argument(help="A job's id, the beginning of it, or its name.", metavar="JOB")]


def answer(values: Any, text: Callable[[], str], *, as_json: bool) -> None:
    """Print the result: as JSON, or as the text for a person."""
    typer.echo(to_json(values) if as_json else text())


def to_json(values: Any, *, indent: int | None = 1) -> str:
    """One JSON document, on one line without `indent`; money as numbers of nine decimals at most, instants as text."""
    plain = asdict(values) if is_dataclass(values) and not isinstance(values, type) else values
    return json.dumps(plain, default=_plain, indent=indent, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """What JSON has no form for. Nine decimals of an amount below a million dollars survive a float's 15 digits."""
    return round(float(value), 9) if isinstance(value, Decimal) else str(value)


def complain(message: str, *, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """Say what went wrong on stderr, and with `--json` as a document on stdout too."""
    for number, line in enumerate(message.splitlines() or [""]):
        typer.echo(f"{'' if number else 'error: '}{printable(line)}", err=True)
    if as_json:
        typer.echo(to_json({"error": message, **(more or {})}))


def warn(messages: tuple[str, ...]) -> None:
    """Say what is worth a thought on stderr."""
    for message in messages:
        typer.echo(f"warning: {printable(message)}", err=True)

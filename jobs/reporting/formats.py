"""The table of report formats; a new one is one function and one line here, imported on use."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO, cast

from jobs.nearest import did_you_mean
from pipeline.errors import JobFileError

if TYPE_CHECKING:
    from jobs.reporting.report import MadeReport

_WIDEST = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to show a report."""

    place: str
    """`module:function`; the function takes a `MadeReport` and gives bytes."""
    binary: bool = False
    """Not for a terminal."""
    time_line: bool = False
    """Whether it shows sessions or spend over time."""


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "table": Format(place="jobs.reporting.table:as_table"),
        "json": Format(place="jobs.reporting.rows:as_json"),
        "csv": Format(place="jobs.reporting.rows:as_csv"),
        "parquet": Format(place="jobs.reporting.rows:as_parquet", binary=True),
        "markdown": Format(place="jobs.reporting.markdown:as_markdown"),
        "html": Format(place="jobs.reporting.page.page:as_html", time_line=True),
        "focus": Format(place="jobs.reporting.focus:as_focus"),
        "focus-parquet": Format(place="jobs.reporting.focus:as_focus_parquet", binary=True),
    }
)
"""Name -> how."""


def format_of(name: str) -> Format:
    """The format of this name. Raises: JobFileError: there is none."""
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS)
        raise JobFileError(f'--format: must be one of {", ".join(FORMATS)}, got "{name}"{hint}')
    return FORMATS[name]


def checked_format(name: str, output: Path | None, *, terminal: bool) -> Format:
    """The format, if it can go where it should. Raises: JobFileError: no such format, or no place for it."""
    chosen = format_of(name)
    if chosen.binary and output is None and terminal:
        raise JobFileError(f"--format {name} is not for a terminal; say --output FILE")
    if output is not None and not output.parent.is_dir():
        raise JobFileError(f"--output: there is no folder {output.parent}")
    if output is not None and output.is_dir():
        raise JobFileError(f"--output: {output} is a folder; name a file")
    return chosen


def for_reader(made: "MadeReport", stream: TextIO, environ: Mapping[str, str]) -> "MadeReport":
    """The report as it is shown on this stream: wider and in colour where that is a terminal."""
    if not stream.isatty():
        return made
    columns = min(max(made.width, shutil.get_terminal_size().columns), _WIDEST)
    return replace(made, width=columns, terminal=True, colour=not environ.get("NO_COLOR"))


def put_out(body: bytes, output: Path | None) -> None:
    """Print it, or write it into a file that appears only when it is whole."""
    if output is None:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
        return
    arriving = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        arriving.write_bytes(body)
        arriving.replace(output)
    except OSError as error:
        arriving.unlink(missing_ok=True)
        raise JobFileError(f"--output: {output} cannot be written: {error.strerror}") from error


def rendered(made: "MadeReport", name: str) -> bytes:
    """The report in this format."""
    module, _, function = format_of(name).place.partition(":")
    return cast("Callable[[MadeReport], bytes]", getattr(import_module(module), function))(made)

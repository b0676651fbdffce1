"""From a job file, or a manifest with options, to a `JobFile`: every problem is told with its place and its remedy."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jobs.jobfile.jobfile import JobFile, slug
from jobs.jobfile.model import Defaults
from jobs.jobfile.values import shown
from jobs.jobfile.yaml_document import Document, Place, plain, read_document
from jobs.nearest import did_you_mean
from pipeline.errors import JobFileError

JOB_FILE_ENDINGS = (".yaml", ".yml")
_DATA_ENDINGS = re.compile(r"(\.(jsonl|ndjson|json|csv|tsv|parquet|txt))?(\.(gz|zst))?$", re.IGNORECASE)
_DATED = ("name", "manifest", "store", "wildcards", "prices")
"""Keys in which `{date}` and `{time}` stand for those of a run."""

_STRUCTURED = ("assignments", "overrides", "run")
_TEXT_DEFAULTS = {"negative_prompt", "scheduler"}
_TEXTS_OF_DELIVERY = {("deliver", "to"), ("deliver", "names")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PerRun:
    """What differs between the runs of a schedule."""

    date: date
    """By the schedule's clocks: `{date}` in name, paths and tags."""
    time: time
    """The same: `{time}`."""
    seed: int
    """What `seed: per_run` stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What stands on the command line; each overrides the key of its name in a job file."""

    model: str | None = None
    store: str | None = None
    name: str | None = None
    images_per_prompt: int | None = None
    workers: int | None = None
    batch_size: str | int | None = None
    precision: str | None = None
    assignments: tuple[str, ...] = ()
    """Of `--set`: `width=768`, `output.format=webp`, `budget.usd=25`."""
    overrides: tuple[tuple[Place, Any], ...] = ()
    """Values that a schedule says."""
    run: PerRun | None = None
    """Which run of a schedule it is; None: none."""


def load(location: str, options: Options, *, fallback_store: str | None = None) -> JobFile:
    """Read a job file (`.yaml`, `.yml`), or make one of a manifest's location and options.

    Args:
        location: path of a job file; or of a manifest: a path, `s3://...` or `-`.
        options: override what the file says.
        fallback_store: the store when neither file nor options name one (from the environment).

    Raises:
        JobFileError: all problems, one per line.
    """
    if not location.lower().endswith(JOB_FILE_ENDINGS) or "://" in location:
        return _build({"manifest": location}, options, fallback_store, base=Path.cwd(), locate=_dotted)
    path = Path(location).expanduser()
    try:
        body = path.read_bytes()
    except OSError as error:
        raise JobFileError(f"{location}: cannot be read: {error.strerror}; is the path right?") from error
    document = read_document(body, name=location)
    if not isinstance(document.values, dict):
        raise JobFileError(f"{location}:1: must be a mapping such as `manifest: prompts.jsonl`")

    base = path.resolve().parent
    return _build(document.values, options, fallback_store, base=base, locate=partial(located, document))


def located(document: Document, way: Place) -> str:
    """`job.yaml:4: defaults.width`: where a value of a document stands, and what it is called."""
    return f"{document.place(way)}: {_dotted(way)}" if way else document.place(way)


def _build(
    values: dict[str, Any], options: Options, fallback: str | None, *, base: Path, locate: Callable[[Place], str]
) -> JobFile:
    """Check the values of a file, overridden by the options."""
    given = _option_values(options)
    from_options = {place for place, _ in given}

    def place(way: Place) -> str:
        for length in range(len(way), 0, -1):
            if way[:length] in from_options:
                return _option_name(way[:length])
        return locate(way)

    values = _with_paths(values, base)
    if "store" not in values and options.store is None and fallback:
        given.append((("store",), _location(fallback, Path.cwd())))
    for way, value in given:
        _put(values, way, value)
    values = _of_run(values, options.run, place)
    if isinstance(values.get("manifest"), str):
        values.setdefault("name", name_of(values["manifest"]))
    try:
        return JobFile.model_validate(values)
    except ValidationError as error:
        raise JobFileError("\n".join(problem_lines(error, JobFile, place))) from None


def problem_lines(error: ValidationError, model: type[BaseModel], place: Callable[[Place], str]) -> list[str]:
    """Every problem of a file, each once, as `place: what, and the remedy`.

    Args:
        error: what pydantic found.
        model: of the whole file.
        place: where a value stands.
    """
    return list(dict.fromkeys(_message(problem, model, place) for problem in error.errors()))


def _of_run(values: dict[str, Any], run: PerRun | None, place: Callable[[Place], str]) -> dict[str, Any]:
    """The values of one run of a schedule. Raises: JobFileError: `seed: per_run` without a run."""
    defaults = values.get("defaults")
    per_run = isinstance(defaults, dict) and defaults.get("seed") == "per_run"
    if run is None:
        if per_run:
            where = place(("defaults", "seed"))
            raise JobFileError(f"{where}: per_run is for jobs of `spotrender nightly`; say a number with --set seed=1")
        return values
    made = {key: _dated(value, run) if key in _DATED else value for key, value in values.items()}
    if isinstance(made.get("deliver"), dict):
        made["deliver"] = made["deliver"] | {"to": _dated(made["deliver"].get("to"), run)}
    if isinstance(defaults, dict):
        made["defaults"] = defaults | ({"seed": run.seed} if per_run else {})
        if isinstance(defaults.get("tags"), dict):
            made["defaults"]["tags"] = {name: _dated(text, run) for name, text in defaults["tags"].items()}
    if isinstance(values.get("tags"), dict):
        made["tags"] = {name: _dated(text, run) for name, text in values["tags"].items()}
    return made


def _dated(text: Any, run: PerRun) -> Any:
    """`{date}` and `{time}` of the run in their places: `2026-11-21`, `0200`."""
    if not isinstance(text, str):
        return text
    return text.replace("{date}", run.date.isoformat()).replace("{time}", run.time.strftime("%H%M"))


def _option_values(options: Options) -> list[tuple[Place, Any]]:
    """The options as (way, value), paths made absolute from the current folder."""
    here = Path.cwd()
    plain_ones = ((one.name, getattr(options, one.name)) for one in fields(options) if one.name not in _STRUCTURED)
    given: list[tuple[Place, Any]] = [((name,), value) for name, value in plain_ones if value is not None]
    if isinstance(options.batch_size, str):
        given.append((("batch_size",), plain(options.batch_size)))
    given = [(way, _with_paths({str(way[0]): value}, here)[str(way[0])]) for way, value in given]
    return [*given, *map(_assignment, options.assignments), *options.overrides]


def _assignment(text: str) -> tuple[Place, Any]:
    """One `--set key=value`; a bare column is a default."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise JobFileError(f'--set: must look like width=768, got "{text}"')
    way: Place = tuple(key.split("."))
    if way[0] in Defaults.model_fields:
        way = ("defaults", *way)
    if way[0] not in JobFile.model_fields:
        known = [*Defaults.model_fields, *JobFile.model_fields]
        raise JobFileError(f'--set: unknown key "{key}"{did_you_mean(key, known)}')
    if way[-1] in _TEXT_DEFAULTS or way[1:2] == ("tags",):
        return way, value
    if value.lstrip().startswith(("[", "{")):
        found = read_document(value.encode("utf-8", "surrogateescape"), name=f"--set {key}").values
    elif way in _TEXTS_OF_DELIVERY:
        found = value or None
    else:
        found = plain(value)
    if way == ("deliver",):
        found = _delivery(found, Path.cwd())
    return way, _location(found, Path.cwd()) if way == ("deliver", "to") and found else found


def _put(values: dict[str, Any], way: Place, value: Any) -> None:
    """Set one value deep inside, making the mappings on the way."""
    *parents, last = way
    for parent in parents:
        inner = values.get(str(parent))
        values[str(parent)] = dict(inner) if isinstance(inner, dict) else {}
        values = values[str(parent)]
    values[str(last)] = value


def _with_paths(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The values with local paths made absolute, as seen from `base`."""
    made = dict(values)
    for key in ("manifest", "store", "wildcards"):
        if isinstance(made.get(key), str) and made[key].strip():
            made[key] = _location(made[key], base)
    if "deliver" in made:
        made["deliver"] = _delivery(made["deliver"], base)
    prices = made.get("prices")
    if isinstance(prices, str) and prices.strip() not in {"", "auto", "table"}:
        made["prices"] = _location(prices, base)
    model = made.get("model")
    if isinstance(model, str) and (model.startswith(("./", "../", "~", "/")) or _is_path_to_model(base / model)):
        made["model"] = _location(model, base)
    return made


def _delivery(value: Any, base: Path) -> Any:
    """`deliver:`, short or long, with its place made absolute."""
    entry = {"to": value} if isinstance(value, str) else value
    if not isinstance(entry, dict) or not isinstance(entry.get("to"), str) or not entry["to"].strip():
        return entry
    return entry | {"to": _location(entry["to"], base)}


def _is_path_to_model(path: Path) -> bool:
    """Whether a name without `./` is a model on disk all the same; a plain folder of that name is not."""
    return path.is_file() or (path / "model_index.json").is_file()


def _location(text: str, base: Path) -> str:
    """A URI or `-` as it is, a path made absolute (links kept as they are)."""
    if "://" in text or text.startswith("memory:") or text == "-":
        return text
    return os.path.normpath(base / Path(text).expanduser())


def name_of(manifest: str) -> str:
    """The job's name when none is given: the manifest's file name without its endings."""
    if manifest == "-":
        return "stdin"
    return slug(_DATA_ENDINGS.sub("", manifest.rstrip("/").rpartition("/")[2]))


def _dotted(way: Place) -> str:
    """`nodes[0].type`, as messages name a value."""
    text = ""
    for step in way:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _option_name(way: Place) -> str:
    """The option that said this."""
    return f"--set {_dotted(way)}" if len(way) > 1 else f"--{str(way[0]).replace('_', '-')}"


def _message(problem: ErrorDetails, model: type[BaseModel], place: Callable[[Place], str]) -> str:
    """One problem as `place: what, and the remedy`."""
    way: Place = tuple(problem["loc"])
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = _keys_at(model, way[:-1])
        hint = did_you_mean(str(way[-1]), known) or f"; known are {', '.join(known)}"
        return f"{place(way)}: unknown key{hint}"
    if kind == "missing":
        remedy = "say --store URI, set SPOTRENDER_STORE, or write `store:`" if way == ("store",) else _remedy(way)
        return f"{place(way)}: is missing; {remedy}"
    if kind == "value_error":
        return (
            f"{place(way)}: {problem['ctx']['error']}" if way else f"{place(way) or 'job'}: {problem['ctx']['error']}"
        )
    expected = {"model_type": "a mapping", "dict_type": "a mapping", "tuple_type": "a list"}.get(kind, problem["msg"])
    return f"{place(way)}: must be {expected}, got {shown(problem['input'])}"


def _remedy(way: Place) -> str:
    """What to write where a key is missing."""
    examples = {"model": "say --model NAME or write `model: sdxl`", "manifest": "write `manifest: prompts.jsonl`"}
    return examples.get(str(way[-1]), f"write `{way[-1]}:`")


def _keys_at(model: type[BaseModel], way: Place) -> list[str]:
    """The keys that are known at this place of a file."""
    for step in way:
        if isinstance(step, str):
            model = _inner_model(model, step)
    return list(model.model_fields)


def _inner_model(model: type[BaseModel], key: str) -> type[BaseModel]:
    """The model behind one key, or behind each item of its list."""
    pending: list[Any] = [model.model_fields[key].annotation]
    while pending:
        one = pending.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
        pending.extend(getattr(one, "__args__", ()))
    return model

"""`--with KEY=VALUE`: the settings of a kind of cluster, checked like a file that its user wrote."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import ValidationError

from jobs.jobfile.values import shown
from jobs.nearest import did_you_mean
from jobs.written import Written
from pipeline.errors import JobFileError

Options = TypeVar("Options", bound=Written)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """The values by key. Raises: JobFileError: no `KEY=VALUE`, or a key that is there twice."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise JobFileError(f"--with: must be KEY=VALUE, got {shown(text)}")
        if key in found:
            raise JobFileError(f"--with {key}: is there twice; keep one")
        found[key] = value
    return found


def read_options(given: Mapping[str, str], model: type[Options]) -> Options:
    """The options of a target.

    Args:
        given: as `Wanted.options`.
        model: its fields are the keys; a validator's message says what a value must be.

    Raises:
        JobFileError: every problem, one per line.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = str(problem["loc"][0]) if problem["loc"] else ""
            if problem["type"] == "extra_forbidden":
                near = did_you_mean(key, model.model_fields) or f"; there are {', '.join(sorted(model.model_fields))}"
                lines.append(f"--with: there is no option {shown(key)}{near}")
            elif problem["type"] == "missing":
                lines.append(f"--with {key}=...: is needed")
            else:
                lines.append(f"--with {key}: {problem['msg'].removeprefix('Value error, ')}")
        raise JobFileError("\n".join(lines)) from None

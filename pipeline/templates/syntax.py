"""What a template is made of, as it was written; columns count characters from 1."""

from dataclasses import dataclass
from typing import TypeAlias


class TemplateError(ValueError):
    """A template that makes no sense; caught where its file and line are known.

    Args:
        message: what was found, and the remedy.
        column: where in the text, from 1; None speaks of the whole.
    """

    def __init__(self, message: str, *, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column

    def __str__(self) -> str:
        """`column 7: what, and the remedy`."""
        return self.message if self.column is None else f"column {self.column}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Words that stand for themselves."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One of the things that a choice, or a wildcard file, chooses from."""

    weight: int
    """In millionths; how often dice choose it beside the others. 0: never."""
    body: "Template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`{a|b}`: one of them; `{2$$ and $$a|b|c}`: several different ones, in the order in which they stand."""

    options: tuple[Option, ...]
    low: int | None
    """At least so many; None where nothing is said."""
    high: int | None
    """At most so many; None: all of them."""
    several: bool
    """Whether a number was written at all."""
    separator: str
    """Stands between several."""
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wildcard:
    """`__name__`: one line of a file."""

    name: str
    """Path below the folder of wildcards, without `.txt`."""
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`${x=...}`: chosen here once, and written where `${x}` stands."""

    name: str
    body: "Template"
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """`${x}`: what was chosen for it."""

    name: str
    column: int


Part: TypeAlias = Text | Choice | Wildcard | Assignment | Variable
Template: TypeAlias = tuple[Part, ...]
"""Parts one after the other."""

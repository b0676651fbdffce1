r"""From text to syntax. `\` before one of `{ } | $ _ \` takes its meaning away; what is no template is just text."""

import re
from decimal import Decimal

from pipeline.templates.syntax import (
    Assignment,
    Choice,
    Option,
    Part,
    Template,
    TemplateError,
    Text,
    Variable,
    Wildcard,
)

MAX_DEPTH = 32
"""Braces within braces."""

UNIT = 1_000_000
"""A weight of 1, in millionths."""

_PLAIN = re.compile(r"[^\\{}|$_]+")
_ESCAPED = frozenset("{}|$_\\")
_WILDCARD = re.compile(r"__([A-Za-z0-9](?:[A-Za-z0-9.-]|_(?!_)|/(?=[A-Za-z0-9]))*)__")
_VARIABLE = re.compile(r"\$\{[ ]*([A-Za-z_][A-Za-z0-9_]*)[ ]*(\}|=!?|:)")
_WEIGHT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*::")
_ODD_WEIGHT = re.compile(r"\s*([-+]?[0-9.][0-9.eE+-]*)\s*::")
_BOUNDS = re.compile(r"\s*([0-9]{1,9})?\s*(-)?\s*([0-9]{1,9})?\s*\$\$")
_SEPARATOR = re.compile(r"([^{}|]*?)\$\$")


def parse(text: str) -> Template:
    """A prompt's syntax. Raises: TemplateError."""
    parser = _Parser(text)
    return parser.sequence(depth=0)


def parse_line(text: str) -> Option:
    """A line of a wildcard file: an option of a choice, but that `|` is just text. Raises: TemplateError."""
    parser = _Parser(text)
    weight = parser.weight()
    return Option(weight=weight, body=parser.sequence(depth=0))


def is_plain(text: str) -> bool:
    """Whether nothing in a text could be a template, which is quicker to see than to parse."""
    return not ("{" in text or "}" in text or "__" in text or "\\" in text)


class _Parser:
    """One pass over a text, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def sequence(self, *, depth: int) -> Template:
        """Parts up to the end of the text; within braces up to the `|` or `}` that ends them, which is left."""
        parts: list[Part] = []
        words: list[str] = []
        while (part := self._next(depth)) is not None:
            if isinstance(part, str):
                words.append(part)
                continue
            if words:
                parts.append(Text(text="".join(words)))
                words = []
            parts.append(part)
        if words:
            parts.append(Text(text="".join(words)))
        return tuple(parts)

    def weight(self) -> int:
        """The weight that begins an option, in millionths. Raises: TemplateError."""
        if found := _WEIGHT.match(self._text, self._at):
            self._at = found.end()
            return int(Decimal(found[1]) * UNIT)
        if found := _ODD_WEIGHT.match(self._text, self._at):
            raise TemplateError(
                f'a weight must be such as 2 or 0.25, with at most six digits after the point, not "{found[1]}"',
                column=found.start(1) + 1,
            )
        return UNIT

    def _next(self, depth: int) -> Part | str | None:
        """The next part, or text that stands for itself, or None at the end."""
        text, at = self._text, self._at
        if at == len(text):
            return None
        if found := _PLAIN.match(text, at):
            self._at = found.end()
            return found[0]
        mark = text[at]
        if mark == "{":
            return self._choice(depth + 1)
        if mark == "$" and (found := _VARIABLE.match(text, at)):
            return self._variable(found, depth)
        if mark == "_" and (found := _WILDCARD.match(text, at)):
            self._at = found.end()
            return Wildcard(name=found[1], column=at + 1)
        if mark == "}" and not depth:
            raise TemplateError(r'"}" closes nothing; write \} for a brace', column=at + 1)
        if mark == "}" or (mark == "|" and depth):
            return None
        if mark == "\\" and text[at + 1 : at + 2] in _ESCAPED and at + 1 < len(text):
            self._at = at + 2
            return text[at + 1]
        self._at = at + 1
        return mark

    def _choice(self, depth: int) -> Choice:
        start = self._at
        self._refuse_depth(depth)
        self._at += 1
        low, high, several = self._bounds()
        separator = ", "
        if several and (found := _SEPARATOR.match(self._text, self._at)):
            separator = found[1]
            self._at = found.end()
        options = []
        while True:
            weight = self.weight()
            options.append(Option(weight=weight, body=self.sequence(depth=depth)))
            if self._closes(start):
                break
        if len(options) == 1 and not options[0].body:
            raise TemplateError(r"the braces hold nothing; write \{\} for braces", column=start + 1)
        return Choice(
            options=tuple(options), low=low, high=high, several=several, separator=separator, column=start + 1
        )

    def _bounds(self) -> tuple[int | None, int | None, bool]:
        """`2$$`, `1-3$$`, `2-$$`, `-3$$`; (None, None, False) where no number of choices is written."""
        found = _BOUNDS.match(self._text, self._at)
        if found is None or not (found[1] or found[3]):
            return None, None, False
        self._at = found.end()
        low = int(found[1]) if found[1] else 0
        if not found[2]:
            if found[3]:
                raise TemplateError("two numbers stand before $$; write 1-3$$ for a range", column=found.start(3) + 1)
            return low, low, True
        high = int(found[3]) if found[3] else None
        if high is not None and high < low:
            raise TemplateError(f"the range {low}-{high} runs backwards; write {high}-{low}", column=found.start() + 1)
        return low, high, True

    def _variable(self, found: re.Match[str], depth: int) -> Part:
        name, mark, start = found[1], found[2], found.start()
        self._at = found.end()
        if mark == "}":
            return Variable(name=name, column=start + 1)
        if mark == ":":
            raise TemplateError(
                f"${{{name}:...}} is not known here; set the variable before, as in ${{{name}={{a|b}}}}",
                column=start + 1,
            )
        if depth:
            raise TemplateError(
                f"${{{name}=...}} stands inside braces; set variables outside of them", column=start + 1
            )
        self._refuse_depth(depth + 1)
        body = self.sequence(depth=depth + 1)
        if not self._closes(start):
            raise TemplateError(
                f'"|" stands in ${{{name}=...}} outside of braces; write ${{{name}={{a|b}}}}', column=self._at
            )
        return Assignment(name=name, body=body, column=start + 1)

    def _closes(self, start: int) -> bool:
        """Take the `|` or `}` that ended a sequence; True for the brace. Raises: TemplateError: the text ended."""
        if self._at == len(self._text):
            raise TemplateError(r'"{" is never closed; write \{ for a brace', column=start + 1)
        self._at += 1
        return self._text[self._at - 1] == "}"

    def _refuse_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TemplateError(f"braces stand more than {MAX_DEPTH} deep", column=self._at + 1)

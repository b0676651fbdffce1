"""Puts wildcards and variables into a template's places, and refuses what could never be written out."""

from collections.abc import Iterator, Sequence

from pipeline.templates.forms import Form, Joined, Kept, OneOf, Plain, SomeOf, Used
from pipeline.templates.parsing import parse
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
from pipeline.templates.wildcards import WildcardFile, WildcardFiles

MAX_SIZE = 200_000
"""Characters and steps of one text: a prompt has at most half as many characters."""

_MAX_WAYS = 200_000
"""Options times how many of them are chosen at once."""

MAX_NESTED = 64
"""Braces and wildcards within each other, all files together."""

_Weighted = tuple[Form, int]


class Binder:
    """Binds the templates of one job; each wildcard is read and bound once.

    Args:
        files: the wildcards.
    """

    def __init__(self, files: WildcardFiles) -> None:
        self._files = files
        self._wildcards: dict[str, tuple[_Weighted, ...] | str] = {}
        """The options of each wildcard, or why it cannot be used."""
        self._forms: dict[str, Form] = {}
        self._open: list[str] = []
        """Wildcards that are being bound, the outermost first."""
        self._level = 0

    def bind(self, text: str) -> Form:
        """The form of one prompt. Raises: TemplateError: with the column of what is wrong."""
        form = self._template(parse(text), {})
        if form.size > MAX_SIZE:
            raise TemplateError(f"a prompt of this template may take {form.size:,} characters and steps; shorten it")
        return form

    def _template(self, template: Template, scope: dict[str, int] | None) -> Form:
        """Parts one after the other; `scope` holds the sizes of the variables set so far, None in a wildcard."""
        if self._level == MAX_NESTED:
            raise TemplateError(f"braces and wildcards stand more than {MAX_NESTED} deep; make it flatter")
        self._level += 1
        try:
            parts = [self._part(part, scope) for part in template]
        finally:
            self._level -= 1
        form = parts[0] if len(parts) == 1 else Joined(parts)
        if form.depth > 4 * MAX_NESTED:
            raise TemplateError(f"braces and wildcards stand more than {MAX_NESTED} deep; make it flatter")
        return form

    def _part(self, part: Part, scope: dict[str, int] | None) -> Form:
        match part:
            case Text():
                return Plain(part.text)
            case Choice():
                return self._choice(part, scope)
            case Wildcard():
                return self._wildcard(part)
            case Variable():
                return _used(part, scope)
            case Assignment():
                return self._kept(part, scope)

    def _kept(self, part: Assignment, scope: dict[str, int] | None) -> Form:
        if scope is None:
            raise TemplateError("variables are set in prompts, not in wildcards", column=part.column)
        if part.name in scope:
            raise TemplateError(f"variable {part.name} is set twice; give the second another name", column=part.column)
        body = self._template(part.body, scope)
        scope[part.name] = body.size
        return Kept(part.name, body)

    def _choice(self, part: Choice, scope: dict[str, int] | None) -> Form:
        weighted = [one for option in part.options for one in self._options(option, scope, spread=part.several)]
        weighted = [one for one in weighted if one[1]]
        if not weighted:
            raise TemplateError("every option has the weight 0; give one a weight", column=part.column)
        forms, weights = [form for form, _ in weighted], [weight for _, weight in weighted]
        if not part.several:
            return OneOf(forms, weights)
        low, high = part.low or 0, len(forms) if part.high is None else part.high
        if max(low, high) > len(forms):
            raise TemplateError(
                f"chooses {max(low, high)} of {len(forms)}; choose at most as many as there are", column=part.column
            )
        if (high + 1) * len(forms) > _MAX_WAYS:
            raise TemplateError(
                f"chooses {high} of {len(forms):,}, too many to count; choose fewer", column=part.column
            )
        return SomeOf(forms, weights, low=low, high=high, separator=part.separator)

    def _options(self, option: Option, scope: dict[str, int] | None, *, spread: bool) -> Iterator[_Weighted]:
        """The option; where several are chosen, a wildcard alone stands for its lines: `{2$$__colour__}`."""
        if spread and len(option.body) == 1 and isinstance(option.body[0], Wildcard):
            for form, weight in self._lines(option.body[0]):
                yield form, weight * option.weight
        else:
            yield self._template(option.body, scope), option.weight

    def _wildcard(self, part: Wildcard) -> Form:
        if part.name not in self._forms:
            lines = self._lines(part)
            self._forms[part.name] = OneOf([form for form, _ in lines], [weight for _, weight in lines])
        return self._forms[part.name]

    def _lines(self, part: Wildcard) -> Sequence[_Weighted]:
        """The options of a wildcard. Raises: TemplateError: at the place that names it, with the place of the fault."""
        name = part.name
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise TemplateError(f"wildcards go round in a circle: {circle}; break it", column=part.column)
        if name not in self._wildcards:
            self._open.append(name)
            try:
                self._wildcards[name] = self._bound(self._files.load(name))
            except TemplateError as error:
                self._wildcards[name] = str(error)
            finally:
                self._open.pop()
        found = self._wildcards[name]
        if isinstance(found, str):
            raise TemplateError(f"__{name}__: {found}", column=part.column)
        return found

    def _bound(self, file: WildcardFile) -> tuple[_Weighted, ...]:
        """The lines of one file that can be chosen at all. Raises: TemplateError: with the place in the file."""
        bound = []
        for line in file.lines:
            try:
                form = self._template(line.option.body, None)
            except TemplateError as error:
                place = f"{file.name}:{line.number}:{line.indent + (error.column or 1)}"
                raise TemplateError(f"{place}: {error.message}") from None
            if form.size > MAX_SIZE:
                raise TemplateError(
                    f"{file.name}:{line.number}: may take {form.size:,} characters and steps; shorten it"
                )
            if line.option.weight:
                bound.append((form, line.option.weight))
        if not bound:
            raise TemplateError(f"{file.name}: holds nothing to choose; write a line for each option")
        return tuple(bound)


def _used(part: Variable, scope: dict[str, int] | None) -> Form:
    if scope is None:
        raise TemplateError("variables are used in prompts, not in wildcards", column=part.column)
    if part.name not in scope:
        remedy = f"set it before, as in ${{{part.name}={{a|b}}}}"
        raise TemplateError(f"variable {part.name} is not set; {remedy}", column=part.column)
    return Used(part.name, scope[part.name])

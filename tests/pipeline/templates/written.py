"""Templates as tests write them, with wildcards that lie in a dictionary."""

from collections.abc import Mapping

from pipeline.templates.binding import Binder
from pipeline.templates.dice import Dice
from pipeline.templates.forms import Form
from pipeline.templates.syntax import TemplateError
from pipeline.templates.wildcards import WildcardFiles


def binder(wildcards: Mapping[str, str] | None = None) -> Binder:
    """Binds templates to these wildcards."""
    known = wildcards or {}

    def read(name: str) -> tuple[str, bytes]:
        if name not in known:
            raise TemplateError(f"{name}.txt: there is no such file")
        return f"{name}.txt", known[name].encode()

    return Binder(WildcardFiles(read))


def bound(text: str, wildcards: Mapping[str, str] | None = None) -> Form:
    """The form of a template."""
    return binder(wildcards).bind(text)


def texts(text: str, wildcards: Mapping[str, str] | None = None) -> list[str]:
    """All that a template stands for, in order."""
    form = bound(text, wildcards)
    return [form.at(index, {}) for index in range(form.count)]


def drawn(text: str, times: int, wildcards: Mapping[str, str] | None = None) -> list[str]:
    """What dice make of a template."""
    form = bound(text, wildcards)
    return [form.draw(Dice(number.to_bytes(8, "big")), {}) for number in range(times)]

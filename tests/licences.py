"""`make audit`: the licence of everything that an installed Spotrender brings along, by what each distribution says."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = frozenset({"notify", "quantization"})

_FREE = re.compile(
    r"apache|\b(mit|isc|mpl|psf|0?bsd|bsl-1)\b|python software foundation|mozilla|zlib|cc0|cnri|nvidia", re.IGNORECASE
)
"""Licences under which anybody may use and pass on what we bring; NVIDIA's libraries may be passed on with programs."""

_NOT_FREE = re.compile(r"\b(a|l)?gpl|general public license|non-?commercial|\bsspl\b", re.IGNORECASE)

_READ = {"torchao": "BSD-3-Clause"}
"""What the metadata leave out, by the licence file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """One distribution."""

    name: str
    version: str
    text: str
    """As it says it; empty: it does not."""

    @property
    def free(self) -> bool:
        """Whether it may be used and passed on."""
        return bool(_FREE.search(self.text)) and not _NOT_FREE.search(self.text)


def licences(root: str = "spotrender") -> list[Licence]:
    """Of a distribution and all that it needs here, by name."""
    found: dict[str, frozenset[str]] = {}
    _walk(root, EXTRAS, found)
    return [_licence(distribution(name)) for name in sorted(found)]


def _walk(name: str, extras: frozenset[str], found: dict[str, frozenset[str]]) -> None:
    """Everything below this one, that is installed."""
    key = canonicalize_name(name)
    if key in found and extras <= found[key]:
        return
    try:
        needed = distribution(key).requires or []
    except PackageNotFoundError:
        return
    found[key] = found.get(key, frozenset()) | extras
    for requirement in map(Requirement, needed):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            _walk(requirement.name, frozenset(requirement.extras), found)


def _licence(of: Distribution) -> Licence:
    name, facts = canonicalize_name(of.name), of.metadata
    classified = [one.rpartition(" :: ")[2] for one in facts.get_all("Classifier") or [] if one.startswith("License")]
    words = [facts[key] for key in ("License-Expression", "License") if key in facts]
    said = [*words[:1], *classified] if "License-Expression" in facts else [*classified, *words]
    return Licence(name=name, version=of.version, text=next(filter(None, said), _READ.get(name, "")).partition("\n")[0])


def lines() -> Iterator[str]:
    """One for each, for a person."""
    for one in licences():
        doubt = "" if one.free else "   <-- look at it"
        yield f"{one.name:<40} {one.version:<16} {one.text[:80] or 'does not say'}{doubt}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
    sys.exit(not all(one.free for one in licences()))

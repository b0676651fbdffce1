"""The table of notifiers; a new one is one file and one line here, imported on use."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Protocol, cast

from pipeline.errors import NotToldError
from pipeline.news import News, Occasion
from pipeline.ports import Notifier

NOTIFIERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "apprise": "infra.notifiers.chat:ChatNotifier",
        "webhook": "infra.notifiers.webhook:WebhookNotifier",
    }
)
"""Name -> `module:Class`; the class has `open(target, environ)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to tell what, as the settings of a job hold it: names of variables, never what is in them."""

    notifier: str
    """Of the table."""
    url: str = ""
    """Where to, if it may be read by whoever reads the store."""
    url_env: str = ""
    """Variable that holds the URL instead."""
    secret_env: str = ""
    """Variable that holds the key of the signature; empty: nothing is signed."""
    on: tuple[Occasion, ...] = tuple(Occasion)
    """What is told; of all other occasions nothing is."""

    def wants(self, news: News) -> bool:
        """Whether this one is told."""
        return news.occasion in self.on

    def values(self) -> dict[str, Any]:
        """As the settings hold it."""
        return asdict(self) | {"on": [occasion.value for occasion in self.on]}


def target_of(values: Mapping[str, Any]) -> Target:
    """Read what `Target.values` gave. Raises: NotToldError: a newer version wrote it."""
    try:
        return Target(**(dict(values) | {"on": tuple(map(Occasion, values["on"]))}))
    except (TypeError, ValueError, KeyError) as error:
        raise NotToldError(f"notify: cannot be read by this version ({error})", final=True) from error


def open_notifier(target: Target, environ: Mapping[str, str]) -> Notifier:
    """The notifier for a target.

    Args:
        target: from the settings.
        environ: holds URLs and keys.

    Raises:
        NotToldError: there is none of this name, a variable is not set, or what it holds cannot be used; final.
    """
    place = NOTIFIERS.get(target.notifier)
    if place is None:
        raise NotToldError(f"there is no notifier {target.notifier!r}", final=True)
    module, _, name = place.partition(":")
    return cast("_Adapter", getattr(import_module(module), name)).open(target, environ)


def variable(name: str, environ: Mapping[str, str]) -> str:
    """What a variable holds. Raises: NotToldError: it is not set."""
    if not (value := environ.get(name, "").strip()):
        raise NotToldError(f"the variable {name} is not set where the driver runs", final=True)
    return value


class _Adapter(Protocol):
    """What every class of the table offers beside the port."""

    def open(self, target: Target, environ: Mapping[str, str]) -> Notifier:
        """A notifier. Raises: NotToldError."""

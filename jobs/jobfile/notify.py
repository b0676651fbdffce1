"""Whom a job tells what: `notify:` of job files and nightly files."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, model_validator

from infra.notifiers.post import url_problem
from infra.notifiers.table import Target
from jobs.jobfile.values import FilledText, choice
from jobs.written import Written
from pipeline.news import Occasion

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALL = tuple(occasion.value for occasion in Occasion)
_DEFAULT = tuple(name for name in _ALL if name != Occasion.DIGEST.value)


def _variable(value: Any) -> str:
    """The name of an environment variable; a value pasted in its place is not repeated."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError("must be the name of an environment variable, such as SPOTRENDER_HOOK, not what it holds")
    return value


Variable = Annotated[str, BeforeValidator(_variable)]
OccasionName = Annotated[str, BeforeValidator(choice(*_ALL))]


class NotifyEntry(Written):
    """One receiver: a webhook, or whatever Apprise speaks to."""

    webhook: FilledText | None = None
    """URL that news are posted to as JSON; it can be read by whoever reads the store."""
    webhook_env: Variable | None = None
    """Variable that holds that URL, where the URL itself is a secret."""
    apprise_env: Variable | None = None
    """Variable that holds an Apprise URL: a chat, a mailbox."""
    secret_env: Variable | None = None
    """Variable that holds the key with which posts to the webhook are signed."""
    on: tuple[OccasionName, ...] = _DEFAULT
    """What is told; the digest of nightly entries to those alone who name it."""

    @model_validator(mode="after")
    def _one_receiver(self) -> Self:
        named = [name for name in ("webhook", "webhook_env", "apprise_env") if getattr(self, name) is not None]
        if len(named) != 1:
            got = " and ".join(named) or "none of them"
            raise ValueError(f"must name one receiver, webhook, webhook_env or apprise_env; got {got}")
        if self.apprise_env is not None and self.secret_env is not None:
            raise ValueError("secret_env signs posts to a webhook; take it out, or name a webhook")
        if not self.on:
            raise ValueError(f"on: must hold at least one of {', '.join(_ALL)}")
        if self.webhook is not None:
            if problem := url_problem(self.webhook):
                raise ValueError(f"webhook: {problem}; or put it into a variable and name that: webhook_env: NAME")
            if "?" in self.webhook or "#" in self.webhook:
                raise ValueError(
                    "webhook: what stands after ? may be a secret and would be kept in the store; put the URL into a"
                    " variable and name that: webhook_env: NAME"
                )
        return self

    @property
    def target(self) -> Target:
        """As the settings have it."""
        return Target(
            notifier="apprise" if self.apprise_env else "webhook",
            url=self.webhook or "",
            url_env=self.webhook_env or self.apprise_env or "",
            secret_env=self.secret_env or "",
            on=tuple(occasion for occasion in Occasion if occasion.value in self.on),
        )


def targets(entries: Sequence[NotifyEntry]) -> tuple[dict[str, Any], ...]:
    """The receivers as the settings hold them."""
    return tuple(entry.target.values() for entry in entries)

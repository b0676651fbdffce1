"""Reads IAM policies as AWS does, as far as ours go: what is neither allowed nor known is refused."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Policy = Mapping[str, Any]
"""A policy document."""


def allows(policies: Sequence[Policy], action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Whether a request may be made: some statement allows it, and none denies it.

    Args:
        policies: of the role, and of the bucket.
        action: such as `s3:GetObject`.
        resource: its ARN.
        context: condition keys that the request has.

    Raises:
        ValueError: a statement has a part that is not read here.
    """
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if _concerns(statement, action, resource, context)
    }
    return effects == {"Allow"}


def _concerns(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    unknown = set(statement) - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    if unknown or statement.get("Principal", "*") != "*":
        raise ValueError(f"a statement that is not read here: {statement}")
    return (
        any(matches(one, action) for one in _listed(statement["Action"]))
        and any(matches(one, resource) for one in _listed(statement["Resource"]))
        and all(_met(kind, values, context) for kind, values in statement.get("Condition", {}).items())
    )


def _met(kind: str, values: Mapping[str, str], context: Mapping[str, str]) -> bool:
    if kind == "Null":
        return all((key not in context) == (wanted == "true") for key, wanted in values.items())
    if kind in {"StringEquals", "Bool"}:
        return all(context.get(key) == wanted for key, wanted in values.items())
    if kind == "StringLike":
        return all(key in context and matches(wanted, context[key]) for key, wanted in values.items())
    raise ValueError(f"condition {kind}")


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def matches(pattern: str, text: str) -> bool:
    """IAM's wildcards: `*` is any text, slashes too, and `?` any letter."""
    words = re.split(r"([*?])", pattern)
    form = "".join({"*": ".*", "?": "."}.get(word, re.escape(word)) for word in words)
    return re.fullmatch(form, text, re.DOTALL) is not None

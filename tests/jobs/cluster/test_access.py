"""What roles may do with the store, as Terraform reads it: each key has somebody who writes it, none is forgotten.

That the policies made of it hold is tested on a server, in tests/infrastructure.
"""

import inspect
import json
import re
from typing import Any

import pytest

from pipeline import layout
from tests.imports import ROOT
from tests.infrastructure.policy import matches
from tests.infrastructure.store_keys import KEYS, LAYOUT

ROLES: dict[str, Any] = json.loads((ROOT / "infra/cluster/terraform/access.json").read_text())["roles"]


def may(role: str, verb: str, key: str) -> bool:
    """Whether a role may do that with a key."""
    return any(matches(pattern, key) for pattern in ROLES[role][verb])


def test_every_key_of_the_layout_is_asked_about() -> None:
    """A kind of key that the layout learns is missed here, until somebody says who may do what with it."""
    functions = {name for name, _ in inspect.getmembers(layout, inspect.isfunction) if name.endswith("_key")}
    source = (ROOT / "tests/infrastructure/store_keys.py").read_text()
    assert functions == set(re.findall(r"layout\.(\w+_key)\(", source))


@pytest.mark.parametrize("name", LAYOUT)
def test_every_key_is_written_by_somebody_and_read_by_the_driver(name: str) -> None:
    """The driver knows everything; what nobody may write is not part of a store."""
    key = KEYS[name]
    assert may("driver", "get", key)
    assert any(may(role, verb, key) for role in ROLES for verb in ("put", "create"))


def test_only_what_is_made_anew_is_ever_deleted() -> None:
    """Images, records and books outlive every role."""
    for role in ROLES:
        assert {name for name in LAYOUT if may(role, "delete", KEYS[name])} <= {"probe", "failures", "sweep"}

"""The promises that a finished job keeps, whatever was done to it; checked from its store alone, as others read it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from tests.chaos.outside import CATEGORIES, OutsideView


def images_of(records: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """All images that records name."""
    return (image for record in records for image in record["images"])


def assert_every_image_is_there(view: OutsideView, wanted: set[str]) -> None:
    """Records name all images of the manifest and no others, and each object has the bytes that its record tells."""
    records = view.records()
    assert {image["image_id"] for image in images_of(records)} == wanted
    assert view.damaged(images_of(records)) == []


def assert_each_is_counted_once(view: OutsideView) -> None:
    """Of an image's records one is rendered, at the cost that it tells, and each other one is a duplicate."""
    outcomes = defaultdict(list)
    for row in view.images_ledger():
        outcomes[row["image_id"]].append(row["outcome"])
    named = Counter(image["image_id"] for image in images_of(view.records()))
    assert {image: len(found) for image, found in outcomes.items()} == named
    assert all(sorted(found) == ["duplicate"] * (len(found) - 1) + ["rendered"] for found in outcomes.values())


def assert_books_balance(view: OutsideView, *, usd_per_hour: Decimal) -> None:
    """The seven categories are each node's lifetime and its price; its images cost what it rendered for."""
    rendering: Counter[str] = Counter()
    for row in view.images_ledger():
        rendering[row["node_session"]] += row["usd"]
    sessions = view.nodes_ledger()
    assert set(rendering) <= {session["node_session"] for session in sessions}
    for session in sessions:
        assert sum(session[f"{name}_nanoseconds"] for name in CATEGORIES) == session["lifetime_gpu_nanoseconds"]
        assert sum(session[f"{name}_usd"] for name in CATEGORIES) == session["accrued_usd"]
        assert (session["unattributed_nanoseconds"], session["unattributed_usd"]) == (0, 0), session
        assert all(session[f"{name}_nanoseconds"] >= 0 for name in CATEGORIES), session
        assert rendering[session["node_session"]] == session["rendering_usd"]
        assert session["terminated_by"] != "running"
        assert session["usd_per_hour"] == usd_per_hour
    assert Decimal(view.status()["usd"]) == sum(session["accrued_usd"] for session in sessions)


def assert_retries_are_explained(view: OutsideView, *, by: set[str]) -> None:
    """Every attempt that came back did so for one of these causes, as the drivers' statuses tell."""
    told: Counter[str] = Counter()
    for status in view.statuses():
        told.update(status["retries"])
    assert set(told) <= by, told
    assert not [record for record in view.records() if any(image["cause"] for image in record["images"])]


def hashes_by_profile(view: OutsideView) -> dict[tuple[str, str], str]:
    """(image id, profile) -> hash of the bytes; one profile never gives an image two of them."""
    found: dict[tuple[str, str], str] = {}
    for record in view.records():
        for image in record["images"]:
            key = image["image_id"], str(sorted(record["profile"].items()))
            assert found.setdefault(key, image["sha256"]) == image["sha256"], image
    return found

"""What the commands about models in a store print."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jobs.terminal_text import printable, size
from jobs.watching.summary import short_store

if TYPE_CHECKING:
    from jobs.pushing import Pushed
    from pipeline.weights import Weights


def listed_models(found: Iterable["Weights"]) -> list[dict[str, Any]]:
    """One row a manifest, by name, the newest first."""
    newest = sorted(found, key=lambda one: one.pushed_at, reverse=True)
    return [
        {
            "name": one.name,
            "revision": one.revision,
            "asked": one.asked,
            "variant": one.variant,
            "files": len(one.files),
            "bytes": one.bytes,
            "pushed_at": one.pushed_at,
            "manifest": one.key,
        }
        for one in sorted(newest, key=lambda one: one.name)
    ]


def pushed_text(result: "Pushed") -> str:
    """What `models push` prints."""
    new = f"{result.uploaded} files, {size(result.uploaded_bytes)}" if result.uploaded else "nothing new"
    return (
        f"{printable(result.name)} {_short(result.revision)}: {result.files} files, {size(result.bytes)}"
        f" in the store; uploaded {new}"
    )


def list_text(rows: Sequence[dict[str, Any]], store: str) -> str:
    """What `models list` prints."""
    if not rows:
        return f"no models in {printable(short_store(store))}; spotrender models push MODEL puts one there"
    width = max(len(_named(row)) for row in rows)
    return "\n".join(
        f"{_named(row):<{width}}  {_short(row['revision'])}  {size(row['bytes']):>9}  {row['pushed_at'][:16]}"
        for row in rows
    )


def removed_text(rows: Sequence[dict[str, Any]]) -> str:
    """What `models rm` prints."""
    return "\n".join(f"took out {_named(row)} {_short(row['revision'])}" for row in rows)


def _named(row: dict[str, Any]) -> str:
    """A model with its variant."""
    return printable(f"{row['name']} ({row['variant']})" if row["variant"] else row["name"])


def _short(revision: str) -> str:
    """The first digits of a commit or a hash."""
    return revision.rsplit("@", maxsplit=1)[-1].removeprefix("sha256:")[:12]

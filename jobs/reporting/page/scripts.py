"""What runs in the page: inline, and named by its hash in the page's own policy, so that nothing else runs in it."""

import base64
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that fetches nothing; made once per process."""
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return inline(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version))


def shipped(name: str) -> str:
    """A file that lies beside this one."""
    return inline(files("jobs.reporting.page").joinpath(name).read_text(encoding="utf-8"))


def inline(text: str) -> str:
    """Text that may stand inside `<script>` or `<style>`. Raises: ValueError: it would end the element."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lowered = text.lower()
    if any(end in lowered for end in ("</script", "</style", "<!--")):
        raise ValueError("a script that ends its own element cannot stand in the page")
    return text


def as_data(values: Mapping[str, Any]) -> str:
    """JSON that may stand inside `<script>`, whatever texts it holds; money as exact text."""
    text = json.dumps(values, default=_plain, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} has no place in the page")


def policy(*scripts: str, style: str) -> str:
    """The page's Content-Security-Policy: these scripts, this style, pictures inside the page, and nothing else."""
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src-elem {_hash(style)}; style-src-attr 'unsafe-inline';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

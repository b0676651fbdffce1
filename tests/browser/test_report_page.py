"""The report page in a real browser: drawn, silent, readable on a phone and in the dark, and deaf to hostile text."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.terminal_text import printable
from tests.browser.conftest import DESK, PHONE, Opened, Scheme
from tests.browser.reports import HOSTILE, hostile_job, many_nodes, rendered_jobs

Open = Callable[..., Opened]

KEPT = Path(__file__).with_name("report.png")
"""The picture in the README; `make screenshot` takes it anew."""

MARKS = "() => [...document.querySelectorAll('.chart')].map(one => one.querySelectorAll('.mark-rect path').length)"
"""How many bars each chart has."""

SAID = """() => [...document.querySelectorAll('.chart')].map(
  (one) => [...one.querySelectorAll('.mark-rect path')].map((bar) => bar.getAttribute('d') + bar.ariaLabel).join()
)"""
"""What the bars of each chart say: how large they are, and of what."""

CONTRAST = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll("h1, h2, p, dt, dd, td, th, figcaption, small, .chart text")];
  const inks = texts.map((one) => {
    const style = getComputedStyle(one);
    return light(one.tagName === "text" ? style.fill : style.color);
  });
  return Math.min(...inks.map((ink) => (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)));
}"""
"""The smallest contrast of any text with the page, as WCAG counts it."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two jobs that were really rendered."""
    return rendered_jobs(tmp_path_factory.mktemp("real") / "store")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a ledger with many nodes."""
    return many_nodes(tmp_path_factory.mktemp("many") / "store")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report that `submit` left of a hostile manifest."""
    return hostile_job(tmp_path_factory.mktemp("hostile") / "store")


def test_charts_are_drawn_and_the_browser_is_silent(real: Path, opened: Open) -> None:
    """No console message, no error, no request; three charts with bars, and every image as a picture."""
    found = opened(real)
    assert found.complaints == []
    assert all(bars > 0 for bars in found.page.evaluate(MARKS))
    assert len(found.page.evaluate(MARKS)) == 3
    assert found.page.locator(".gallery figure").count() == 16
    found.page.locator(".gallery figure").last.scroll_into_view_if_needed()
    loaded = "() => [...document.querySelectorAll('.gallery img')].every((one) => one.complete && one.naturalWidth > 0)"
    found.page.wait_for_function(loaded)
    if os.environ.get("SPOTRENDER_KEEP_SCREENSHOT"):
        found.page.evaluate("() => window.scrollTo(0, 0)")  # the filter stays in sight, and would lie over the images
        found.page.screenshot(path=KEPT, full_page=True)


def test_filter_shows_one_node_type(real: Path, opened: Open) -> None:
    """Images, table and charts are those of the chosen type; `all` brings the others back."""
    found = opened(real)
    figures = found.page.locator(".gallery figure:visible")
    rows = found.page.locator("tbody tr:visible")
    assert all(bars > 1 for bars in found.page.evaluate(MARKS))
    everything = found.page.evaluate(SAID)
    found.page.select_option("#node-type", "attic.small spot")
    found.page.wait_for_function("() => document.getElementById('shown').textContent === '8'")
    assert figures.count() == 8
    assert all("attic.small spot" in text for text in figures.all_inner_texts())
    assert rows.count() == 1
    assert all(part != whole for part, whole in zip(found.page.evaluate(SAID), everything, strict=True))
    found.page.select_option("#node-type", "")
    found.page.wait_for_function("() => document.getElementById('shown').textContent === '16'")
    assert found.page.evaluate(SAID) == everything
    assert found.complaints == []


def test_reclaims_are_marked_on_the_time_line(many: Path, opened: Open) -> None:
    """Every node is a bar; those that were reclaimed, lost or still run carry a mark, and the filter keeps to it."""
    found = opened(many)
    bars = found.page.locator("#chart-nodes .mark-rect path")
    red = found.page.locator("#chart-nodes .mark-symbol path[fill='#d9412b'][opacity='1']")
    assert bars.count() == 19
    assert red.count() == 5
    found.page.select_option("#node-type", "g5.xlarge on_demand")
    found.page.wait_for_function("() => document.querySelectorAll('#chart-nodes .mark-rect path').length === 5")
    assert red.count() == 0
    assert found.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("which", ["real", "many", "hostile"])
def test_page_fits_and_can_be_read(
    which: str, size: tuple[int, int], scheme: Scheme, opened: Open, request: pytest.FixtureRequest
) -> None:
    """Nothing is wider than the screen, and every text stands out from the ground, by day and by night."""
    found = opened(request.getfixturevalue(which), size=size, scheme=scheme)
    assert found.page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    charts = found.page.evaluate(
        "() => [...document.querySelectorAll('.chart svg')].map((one) => one.getBoundingClientRect().right)"
    )
    assert max(charts) <= size[0]
    assert found.page.evaluate(CONTRAST) >= 4.5
    assert found.complaints == []


def test_charts_change_their_colours_with_the_reader(many: Path, opened: Open) -> None:
    """Who turns the light off while reading gets dark charts at once, and keeps the filter."""
    found = opened(many)
    found.page.select_option("#node-type", "g5.xlarge on_demand")
    found.page.emulate_media(color_scheme="dark")
    found.page.wait_for_function(
        "() => getComputedStyle(document.querySelector('#chart-nodes text')).fill === 'rgb(163, 174, 187)'"
    )
    found.page.wait_for_function("() => document.querySelectorAll('#chart-nodes .mark-rect path').length === 5")
    assert found.complaints == []


def test_hostile_manifest_is_shown_and_never_obeyed(hostile: Path, opened: Open) -> None:
    """Every prompt stands there as its author wrote it; none of them is an element, an attribute or a script."""
    found = opened(hostile)
    shown = found.page.locator(".gallery .prompt").all_text_contents()
    assert sorted(shown) == sorted(printable(prompt) for prompt in HOSTILE)
    assert found.page.locator("script").count() == 3
    assert found.page.locator(".gallery :is(b, svg, script), img[onerror], [onmouseover], [autofocus]").count() == 0
    assert "<img src=x>" in found.page.locator("tbody td").first.inner_text()
    found.page.locator("#chart-nodes .mark-rect path").first.hover()
    found.page.wait_for_selector("#vg-tooltip-element.visible")
    assert "<img src=x>" in found.page.locator("#vg-tooltip-element").inner_text()
    assert found.complaints == []

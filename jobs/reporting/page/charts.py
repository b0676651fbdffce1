"""The charts of the page as Vega-Lite, made with Altair: what they look like here, what they show as data beside them.

Money goes into a chart as exact text and becomes a number only in the browser, to be drawn.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import altair as alt

from pipeline.ledger.schema import CATEGORIES
from pipeline.reports.figures import Group, Report, Session

COLOURS: Final[Mapping[str, str]] = dict(
    zip(CATEGORIES, ("#2a78d6", "#d99a00", "#d9412b", "#b0389e", "#7b5bd6", "#8a8f98", "#9a6a3a"), strict=True)
)
"""Category -> colour that can be told from the others on light and on dark ground."""

TYPE_COLOURS: Final = ("#2a78d6", "#1f9e89", "#d99a00", "#b0389e", "#7b5bd6", "#9a6a3a", "#5b8c2a", "#c2577a")
"""Node types in turn."""

MOST_SESSIONS: Final = 100
MOST_TYPES: Final = 10
"""Node types whose spend over time can be looked at alone."""

_PARAMETER: Final = "node_type"
_ENDS: Final = {"reclaimed": "#d9412b", "lost": "#d99a00", "running": "#1f9e89"}
_TIME_FORMATS: Final = (
    (timedelta(minutes=10), "%H:%M:%S"),
    (timedelta(days=1), "%H:%M"),
    (timedelta(days=4), "%d %b %H:%M"),
)
_LIGHT: Final = 0.85


def charts(report: Report) -> dict[str, dict[str, Any]]:
    """Name -> Vega-Lite with its data; only those that have something to show."""
    found: dict[str, dict[str, Any]] = {}
    if any(any(slot.categories.values()) for slot in report.over_time):
        found["spend"] = _with(_spend(report), spend=list(_spend_rows(report)))
    made = [group for group in report.by_node_type if group.rendered and group.usd > 0]
    if made:
        found["per_image"] = _with(_per_image(made), per_image=list(_per_image_rows(made)))
    sessions = _dearest(report.sessions)
    if sessions:
        found["nodes"] = _with(_nodes(report, sessions), nodes=[_node(one) for one in sessions])
    return found


def type_of(node_type: str, market: str) -> str:
    """Node type and market, as `Report.by_node_type` names them."""
    return " ".join(part for part in (node_type, "" if market == node_type else market) if part)


def type_colours(report: Report) -> dict[str, str]:
    """Node type -> colour."""
    return {group.name: TYPE_COLOURS[place % len(TYPE_COLOURS)] for place, group in enumerate(report.by_node_type)}


def _with(chart: alt.Chart | alt.LayerChart, **data: list[dict[str, Any]]) -> dict[str, Any]:
    specification: dict[str, Any] = chart.to_dict()
    return specification | {"datasets": data}


def _data(name: str) -> alt.NamedData:
    return alt.NamedData(name=name, format=alt.JsonDataFormat(parse={"usd": "number"}))


def _dearest(sessions: Sequence[Session]) -> list[Session]:
    """As many as can be told apart, in the order of their start."""
    chosen = sorted(sessions, key=lambda one: one.usd, reverse=True)[:MOST_SESSIONS]
    return sorted(chosen, key=lambda one: (one.started_at, one.node_session))


def _dollars(largest: Decimal) -> str:
    """The format of an axis up to this amount: as many decimals as it takes to tell the ticks apart."""
    return f"$,.{2 if largest >= 1 or largest <= 0 else min(12, 2 - largest.adjusted())}~f"


def _time(first: datetime, last: datetime) -> alt.X:
    """A time axis from `from` on, in UTC, with days where there are several."""
    lasts = last - first
    form = next((form for longest, form in _TIME_FORMATS if lasts <= longest), "%d %b")
    axis = alt.Axis(title="UTC", grid=False, format=form, tickCount=5, labelOverlap=True)
    return alt.X("from:T", scale=alt.Scale(type="utc"), axis=axis)


def _category_colour() -> alt.Color:
    domain = [category.replace("_", " ") for category in COLOURS]
    return alt.Color(
        "category:N", legend=None, scale=alt.Scale(domain=domain, range=list(COLOURS.values())), sort=domain
    )


def _spend(report: Report) -> alt.Chart:
    largest = max(sum(slot.categories.values(), Decimal(0)) for slot in report.over_time)
    first, last = report.over_time[0], report.over_time[-1]
    chart: alt.Chart = (
        alt.Chart(_data("spend"), width="container", height=220)
        .add_params(alt.param(name=_PARAMETER, value=""))
        .transform_filter(_chosen())
        .transform_aggregate(total="sum(usd)", groupby=["from", "to", "category", "place", "at"])
        .transform_stack(stack="total", groupby=["from"], sort=[alt.SortField("place")], as_=["low", "high"])
        .mark_bar(stroke=None)
        .encode(
            x=_time(first.started_at, last.started_at + timedelta(seconds=last.seconds)),
            x2="to:T",
            y=alt.Y("low:Q", axis=alt.Axis(title=None, format=_dollars(largest), tickCount=4)),
            y2="high:Q",
            color=_category_colour(),
            tooltip=[
                alt.Tooltip("category:N"),
                alt.Tooltip("total:Q", title="spent", format="$.4~r"),
                alt.Tooltip("at:N", title="from (UTC)"),
            ],
        )
    )
    return chart


def _spend_rows(report: Report) -> Iterator[dict[str, Any]]:
    """By slot, category and node type; the types beyond the dearest are one without a name, which `all` shows."""
    named = {group.name for group in report.by_node_type[:MOST_TYPES]}
    places = {category: place for place, category in enumerate(CATEGORIES)}
    for slot in report.over_time:
        amounts: dict[tuple[str, str], Decimal] = {}
        for name, spent in slot.by_node_type.items():
            for category, usd in spent.items():
                key = (name if name in named else "", category)
                amounts[key] = amounts.get(key, Decimal(0)) + usd
        for (name, category), usd in amounts.items():
            if usd > 0:
                yield {
                    "from": _milliseconds(slot.started_at),
                    "to": _milliseconds(slot.started_at) + slot.seconds * 1000,
                    "at": f"{slot.started_at:%Y-%m-%d %H:%M}",
                    "type": name,
                    "category": category.replace("_", " "),
                    "place": places[category],
                    "usd": usd,
                }


def _per_image(groups: Sequence[Group]) -> alt.Chart:
    largest = max(group.usd_per_image or Decimal(0) for group in groups)
    chart: alt.Chart = (
        alt.Chart(_data("per_image"), width="container", height=34 * len(groups))
        .add_params(alt.param(name=_PARAMETER, value=""))
        .transform_filter(_chosen())
        .mark_bar()
        .encode(
            y=alt.Y("type:N", sort=None, axis=alt.Axis(title=None, labelLimit=150, ticks=False, domain=False)),
            x=alt.X(
                "usd:Q",
                stack="zero",
                axis=alt.Axis(title=None, format=_dollars(largest), tickCount=4, labelOverlap=True),
            ),
            color=_category_colour(),
            order="place:Q",
            tooltip=[
                alt.Tooltip("type:N", title="node type"),
                alt.Tooltip("category:N"),
                alt.Tooltip("told:N", title="per image"),
            ],
        )
    )
    return chart


def _per_image_rows(groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    for group in groups:
        for place, (category, usd) in enumerate(group.categories.items()):
            if usd > 0:
                each = usd / group.rendered
                yield {
                    "type": group.name,
                    "category": category.replace("_", " "),
                    "place": place,
                    "usd": each,
                    "told": f"${each:.9f}",
                }


def _nodes(report: Report, sessions: Sequence[Session]) -> alt.LayerChart:
    colours = type_colours(report)
    height = max(32, min(480, 16 * len(sessions)))
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0.25))
    tooltip = [
        alt.Tooltip("session:N", title="node session"),
        alt.Tooltip("type:N", title="node type"),
        alt.Tooltip("zone:N"),
        alt.Tooltip("ended:N"),
        alt.Tooltip("rendered:Q", title="images"),
        alt.Tooltip("told:N", title="cost"),
    ]
    base = alt.Chart(_data("nodes")).transform_filter(_chosen()).transform_window(place="row_number()")
    bars = base.mark_bar(opacity=_LIGHT, cornerRadius=2).encode(
        x=_time(min(one.started_at for one in sessions), max(one.ended_at for one in sessions)),
        x2="to:T",
        y=y,
        color=alt.Color("type:N", legend=None, scale=alt.Scale(domain=list(colours), range=list(colours.values()))),
        tooltip=tooltip,
    )
    ends = base.mark_point(filled=True, size=70).encode(
        x="to:T",
        y=y,
        opacity=alt.condition("datum.ended != 'released'", alt.value(1), alt.value(0)),
        shape=alt.Shape(
            "ended:N",
            legend=None,
            scale=alt.Scale(domain=list(_ENDS), range=["cross", "triangle-down", "triangle-right"]),
        ),
        fill=alt.Fill("ended:N", legend=None, scale=alt.Scale(domain=list(_ENDS), range=list(_ENDS.values()))),
        tooltip=tooltip,
    )
    chart: alt.LayerChart = (
        alt.layer(bars, ends, width="container", height=height)
        .resolve_scale(color="independent", fill="independent")
        .add_params(alt.param(name=_PARAMETER, value=""))
    )
    return chart


def _chosen() -> str:
    return f"{_PARAMETER} == '' || datum.type == {_PARAMETER}"


def _node(session: Session) -> dict[str, Any]:
    return {
        "session": session.node_session,
        "type": type_of(session.node_type, session.market),
        "zone": session.zone or "-",
        "ended": session.terminated_by,
        "rendered": session.rendered,
        "told": f"${session.usd:f}",
        "from": _milliseconds(session.started_at),
        "to": _milliseconds(session.ended_at),
    }


def _milliseconds(at: datetime) -> int:
    """Since the epoch, as charts take instants."""
    return (at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) // timedelta(milliseconds=1)

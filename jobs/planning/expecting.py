"""A job's plan, frozen with its settings, and how far it was off."""

import logging
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from jobs.profiles import node_types
from pipeline.driving.control import latest_settings
from pipeline.errors import JobRefusedError
from pipeline.job import Settings
from pipeline.layout import job_key
from pipeline.ledger.type_figures import Expected
from pipeline.ports import Store
from pipeline.reports.figures import Planned, Report

if TYPE_CHECKING:
    from jobs.freezing import Frozen
    from jobs.planning.plan_rows import PlanRow
    from jobs.planning.planning import JobPlan

_LOG = logging.getLogger(__name__)


def with_plan(settings: Settings, *, plan: "JobPlan") -> Settings:
    """The settings with what the plan says of each type of node."""
    return replace(settings, expected=tuple(map(_expected, plan.rows)))


def planned(frozen: "Frozen", store: Store) -> Settings:
    """The settings of a new job with a plan, where it is to rent nodes of types that the catalogue knows.

    A job never fails for its plan: what goes wrong is logged.
    """
    settings, known = frozen.settings, node_types()
    if settings.expected or not any(offer.type in known for offer in settings.nodes):
        return settings
    if store.head(job_key(frozen.job.id)) is not None:
        return settings  # it keeps the plan that it has
    from jobs.planning.planning import rows_of

    try:
        return replace(settings, expected=tuple(map(_expected, rows_of(frozen, store))))
    except Exception as error:  # noqa: BLE001 - rests on figures of others, a ledger among them
        _LOG.warning("the job has no plan: %s: %s", type(error).__name__, error)
        return settings


def _expected(row: "PlanRow") -> Expected:
    """What settings keep of a row."""
    return Expected(
        node_type=row.node_type,
        market=row.market,
        images_per_second=row.quote.images_per_hour.middle / 3600 / (row.nodes * row.gpus),
        usd_per_image=row.quote.usd_per_image.middle,
        low_usd=row.quote.usd_per_image.low,
        high_usd=row.quote.usd_per_image.high,
        origin=row.quote.origin,
    )


def planned_of(store: Store, report: Report) -> Planned | None:
    """What the images of a job were planned to cost, each on the type of node that made it; None where nobody planned.

    Args:
        store: where the job lies.
        report: of one job; of several there is no one plan.
    """
    if len(report.jobs) != 1:
        return None
    try:
        _, settings = latest_settings(store, report.jobs[0])
    except JobRefusedError:
        return None  # the job itself is gone
    kinds = {f"{one.node_type} {one.market}": one for one in settings.expected}
    kinds |= {one.node_type: one for one in settings.expected}
    made = [(group, kinds[group.name]) for group in report.by_node_type if group.name in kinds and group.rendered]
    images = sum(group.rendered for group, _ in made)
    if not images:
        return None

    def each(amounts: list[tuple[int, Decimal]]) -> Decimal:
        return sum((count * usd for count, usd in amounts), Decimal(0)) / images

    return Planned(
        usd_per_image=each([(group.rendered, one.usd_per_image) for group, one in made]),
        low_usd=each([(group.rendered, one.low_usd) for group, one in made]),
        high_usd=each([(group.rendered, one.high_usd) for group, one in made]),
        took_usd=sum((group.usd for group, _ in made), Decimal(0)) / images,
        origin=", ".join(sorted({one.origin for _, one in made})),
    )

"""Budget and deadline: when a job must stop by itself."""

from datetime import datetime
from decimal import Decimal

from pipeline.job import Settings

_ENOUGH_IMAGES = 16
"""So many images before a cost per image means anything."""


def limit_reached(
    settings: Settings,
    *,
    accrued_usd: Decimal,
    rendered: int,
    now: datetime,
    in_flight_usd: Decimal = Decimal(0),
    others_usd: Decimal = Decimal(0),
) -> str | None:
    """Why the job must stop now and how to let it go on, or None.

    Args:
        settings: as they are now.
        accrued_usd: spent so far, over all drivers.
        rendered: images of this job.
        now: aware UTC.
        in_flight_usd: what is still spent until the batches in flight are committed.
        others_usd: what the other jobs of this name have cost that were submitted this month.
    """
    budget = settings.budget_usd
    if budget is not None and accrued_usd >= budget:
        return f"the budget of ${budget:f} is spent; raise budget.usd and submit again to go on"
    if budget is not None and accrued_usd + in_flight_usd >= budget:
        return (
            f"with the batches in flight the budget of ${budget:f} is spent (${accrued_usd:.6f} before them); "
            "raise budget.usd and submit again to go on"
        )
    month = settings.usd_per_month
    if month is not None and others_usd + accrued_usd + in_flight_usd >= month:
        return (
            f"the jobs of this name have cost ${others_usd + accrued_usd:.6f} in {now:%Y-%m}, and budget.usd_per_month "
            f"is ${month:f}; raise it, or wait for next month, and submit again"
        )
    limit = settings.usd_per_image
    if limit is not None and rendered >= _ENOUGH_IMAGES and accrued_usd / rendered > limit:
        cost = accrued_usd / rendered
        return f"an image costs ${cost:.6f}, more than budget.usd_per_image of ${limit:f}; raise it and submit again"
    if settings.deadline is not None and now >= settings.deadline:
        return f"the deadline {settings.deadline.isoformat()} has passed; set a later one and submit again"
    return None


def must_end(settings: Settings, *, accrued_usd: Decimal) -> bool:
    """Whether so much more than the budget is spent that the batches in flight are given up."""
    budget = settings.budget_usd
    return budget is not None and accrued_usd > budget * (1 + settings.hard_excess)

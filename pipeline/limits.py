"""Budget and deadline: when a job must stop by itself."""

from datetime import datetime
from decimal import Decimal

from pipeline.job import Settings

_ENOUGH_IMAGES = 16
"""So many images before a cost per image means anything."""


def limit_reached(settings: Settings, *, accrued_usd: Decimal, rendered: int, now: datetime) -> str | None:
    """Why the job must stop now and how to let it go on, or None.

    Args:
        settings: as they are now.
        accrued_usd: spent so far, over all drivers.
        rendered: images of this job.
        now: aware UTC.
    """
    budget = settings.budget_usd
    if budget is not None and accrued_usd >= budget:
        return f"the budget of ${budget:f} is spent; raise budget.usd and submit again to go on"
    limit = settings.usd_per_image
    if limit is not None and rendered >= _ENOUGH_IMAGES and accrued_usd / rendered > limit:
        cost = accrued_usd / rendered
        return f"an image costs ${cost:.6f}, more than budget.usd_per_image of ${limit:f}; raise it and submit again"
    if settings.deadline is not None and now >= settings.deadline:
        return f"the deadline {settings.deadline.isoformat()} has passed; set a later one and submit again"
    return None

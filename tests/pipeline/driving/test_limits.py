"""Limits on money and time: what counts, and what is said."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.driving.limits import limit_reached, must_end
from pipeline.job import Settings, settings_from_json, settings_to_json

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
USD = st.decimals(0, 100, places=6)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"accrued_usd": Decimal(24)}, None),
        ({"accrued_usd": Decimal(25)}, "the budget of $25 is spent; raise budget.usd"),
        ({"accrued_usd": Decimal(24), "in_flight_usd": Decimal(1)}, "with the batches in flight the budget of $25"),
        ({"accrued_usd": Decimal(24), "others_usd": Decimal(376)}, "have cost $400.000000 in 2026-11"),
    ],
)
def test_what_is_in_flight_and_what_others_spent_counts(values: dict[str, Decimal], said: str | None) -> None:
    """Of a budget of $25, and $400 in the month for all jobs of the name."""
    settings = Settings(nodes=(), budget_usd=Decimal(25), usd_per_month=Decimal(400))
    found = limit_reached(settings, rendered=0, now=NOW, **values)
    assert (found is None) if said is None else said in (found or "")


@given(budget=USD, excess=st.decimals(0, 2, places=3), spent=USD)
def test_hard_stop_comes_at_the_set_excess_and_never_within_the_budget(
    budget: Decimal, excess: Decimal, spent: Decimal
) -> None:
    """What is not committed by then is given up."""
    settings = Settings(nodes=(), budget_usd=budget, hard_excess=excess)
    assert must_end(settings, accrued_usd=spent) == (spent > budget + budget * excess)
    assert not must_end(Settings(nodes=()), accrued_usd=spent)


def test_settings_of_earlier_versions_have_the_limits_that_they_name() -> None:
    """A file without the newer keys is read; with them it comes back as it was."""
    settings = Settings(nodes=(), budget_usd=Decimal(3), usd_per_month=Decimal(9), hard_excess=Decimal("0.25"))
    assert settings_from_json(settings_to_json(settings)) == settings
    older = b'{"schema": 1, "nodes": [], "budget_usd": "3", "usd_per_image": null, "deadline": null, "notify": []}'
    assert settings_from_json(older) == Settings(nodes=(), budget_usd=Decimal(3))

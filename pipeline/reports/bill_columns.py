"""What a cloud's bill calls things: the columns of AWS CUR 2.0 (and the older CUR) and of FOCUS that we read.

Sources: https://docs.aws.amazon.com/cur/latest/userguide/table-dictionary-cur2.html,
https://docs.aws.amazon.com/cur/latest/userguide/table-dictionary-focus-1-2-aws.html,
https://focus.finops.org/focus-specification/v1-2/.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class BillColumns:
    """One kind of bill: the name of each column that matters."""

    name: str
    """For messages."""
    resource: str
    cost: str
    currency: str
    kind: str
    """What kind of charge a row is."""
    starts: str
    """When the usage of a row began."""
    ends: str
    period_starts: str
    """The billing period."""
    period_ends: str
    quantity: str
    """How much was used; hours, where `unit` says so. The columns from here on may be missing."""
    unit: str
    usage: str
    """AWS's usage type, such as `USW2-SpotUsage:g6.xlarge`."""

    @property
    def required(self) -> tuple[str, ...]:
        """Without these nothing can be compared."""
        return (
            self.resource,
            self.cost,
            self.currency,
            self.kind,
            self.starts,
            self.ends,
            self.period_starts,
            self.period_ends,
        )


CUR: Final = BillColumns(
    name="AWS CUR 2.0",
    resource="line_item_resource_id",
    cost="line_item_unblended_cost",
    currency="line_item_currency_code",
    kind="line_item_line_item_type",
    starts="line_item_usage_start_date",
    ends="line_item_usage_end_date",
    period_starts="bill_billing_period_start_date",
    period_ends="bill_billing_period_end_date",
    quantity="line_item_usage_amount",
    unit="pricing_unit",
    usage="line_item_usage_type",
)
FOCUS_BILL: Final = BillColumns(
    name="FOCUS",
    resource="ResourceId",
    cost="BilledCost",
    currency="BillingCurrency",
    kind="ChargeCategory",
    starts="ChargePeriodStart",
    ends="ChargePeriodEnd",
    period_starts="BillingPeriodStart",
    period_ends="BillingPeriodEnd",
    quantity="ConsumedQuantity",
    unit="ConsumedUnit",
    usage="x_UsageType",
)
KINDS: Final = (CUR, FOCUS_BILL)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_name(name: str) -> str:
    """A column's name as CUR 2.0 has it: the older CUR's `lineItem/ResourceId` is `line_item_resource_id`."""
    return _CAMEL.sub("_", name.strip().replace("/", "_")).lower() if "/" in name else name.strip()


def kind_of(names: Sequence[str]) -> tuple[BillColumns, Mapping[str, str]] | str:
    """Which kind of bill has these columns, and our name -> the file's own name; or what is wrong with them."""
    known = {plain_name(name): name for name in names}
    lacking = {kind.name: [name for name in kind.required if name not in known] for kind in KINDS}
    kind = min(KINDS, key=lambda one: len(lacking[one.name]))
    missing = lacking[kind.name]
    if not missing:
        return kind, known
    if len(missing) == len(kind.required):
        return "has no column of an AWS CUR 2.0 or FOCUS export"
    return f"looks like {kind.name}, but has no {', '.join(missing)}" + _remedy(kind, missing)


def _remedy(kind: BillColumns, missing: Sequence[str]) -> str:
    if kind is CUR and kind.resource in missing:
        return "; turn on resource ids (INCLUDE_RESOURCES) in the data export"
    return "; export these columns too"

"""The columns of a FOCUS cost file, with their types: those of FOCUS 1.2 first, then our own, prefixed `x_`.

FOCUS is the FinOps Open Cost and Usage Specification, https://focus.finops.org/focus-specification/v1-2/.
"""

import pyarrow as pa

FOCUS_VERSION = "1.2"

_MONEY = pa.decimal128(18, 9)
_QUANTITY = pa.decimal128(28, 12)
_INSTANT = pa.timestamp("ms", tz="UTC")

FOCUS = pa.schema(
    [
        pa.field("AvailabilityZone", pa.string()),
        pa.field("BilledCost", _MONEY, nullable=False),
        pa.field("BillingAccountId", pa.string(), nullable=False),
        pa.field("BillingAccountName", pa.string()),
        pa.field("BillingCurrency", pa.string(), nullable=False),
        pa.field("BillingPeriodEnd", _INSTANT, nullable=False),
        pa.field("BillingPeriodStart", _INSTANT, nullable=False),
        pa.field("ChargeCategory", pa.string(), nullable=False),
        pa.field("ChargeClass", pa.string()),
        pa.field("ChargeDescription", pa.string()),
        pa.field("ChargeFrequency", pa.string(), nullable=False),
        pa.field("ChargePeriodEnd", _INSTANT, nullable=False),
        pa.field("ChargePeriodStart", _INSTANT, nullable=False),
        pa.field("ConsumedQuantity", _QUANTITY),
        pa.field("ConsumedUnit", pa.string()),
        pa.field("ContractedCost", _MONEY, nullable=False),
        pa.field("EffectiveCost", _MONEY, nullable=False),
        pa.field("InvoiceIssuerName", pa.string(), nullable=False),
        pa.field("ListCost", _MONEY, nullable=False),
        pa.field("PricingCategory", pa.string()),
        pa.field("PricingQuantity", _QUANTITY),
        pa.field("PricingUnit", pa.string()),
        pa.field("ProviderName", pa.string(), nullable=False),
        pa.field("PublisherName", pa.string(), nullable=False),
        pa.field("RegionId", pa.string()),
        pa.field("RegionName", pa.string()),
        pa.field("ResourceId", pa.string()),
        pa.field("ResourceName", pa.string()),
        pa.field("ResourceType", pa.string()),
        pa.field("ServiceCategory", pa.string(), nullable=False),
        pa.field("ServiceName", pa.string(), nullable=False),
        pa.field("ServiceSubcategory", pa.string(), nullable=False),
        pa.field("Tags", pa.string()),
        pa.field("x_accrued_usd", _MONEY, nullable=False),
        pa.field("x_category", pa.string(), nullable=False),
        pa.field("x_gpu", pa.string()),
        pa.field("x_gpu_count", pa.int32()),
        pa.field("x_gpu_seconds", _MONEY, nullable=False),
        pa.field("x_job", pa.string(), nullable=False),
        pa.field("x_market", pa.string()),
        pa.field("x_node_session", pa.string(), nullable=False),
        pa.field("x_node_type", pa.string()),
        pa.field("x_price_source", pa.string()),
        pa.field("x_terminated_by", pa.string()),
        pa.field("x_usd_per_hour", _MONEY),
    ]
)

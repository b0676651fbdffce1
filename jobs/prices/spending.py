"""What a job's money went into, read from its nodes ledger."""

import io
from decimal import Decimal

from pipeline.ledger.schema import CATEGORIES
from pipeline.ports import Store


def spent_on(store: Store, job: str) -> dict[str, Decimal]:
    """Dollars by category, those that are not zero, dearest first; empty when no node was used yet."""
    import pyarrow.parquet as pq

    total = dict.fromkeys(CATEGORIES, Decimal(0))
    for folder in store.list_folders("ledger/nodes/"):
        for info in store.list(f"ledger/nodes/{folder}job={job}/"):
            table = pq.read_table(io.BytesIO(store.get(info.key)), columns=[f"{name}_usd" for name in CATEGORIES])
            for category in CATEGORIES:
                total[category] += sum(table[f"{category}_usd"].to_pylist(), Decimal(0))
    found = {category: usd for category, usd in total.items() if usd}
    return dict(sorted(found.items(), key=lambda item: -item[1]))

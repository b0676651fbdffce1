"""What GPUs' drivers told gets through ledger and report, and says where a cheaper card would have done."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from infra.stores.memory import MemoryStore
from jobs.planning.card_market import card_market
from jobs.reporting.lines import gpus
from pipeline.record import GpuUse
from pipeline.reports.figures import Report
from pipeline.reports.gpu_usage import overall
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from pipeline.reports.right_sizing import cheaper_card
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger

GIB = 1 << 30
USE = GpuUse(busy=0.9, watts=300.0, memory_bytes=20 * GIB)


def report_on(*lives: Life) -> Report:
    """Of one job, with the prices that ship."""
    store = MemoryStore()
    make_ledger(store, lives)
    with open_ledger(store) as ledger:
        return make_report(ledger, market=card_market)


def life(batches: Sequence[Batch], *, node_type: str = "g6e.xlarge", gpu: str = "L40S", usd: str = "1.06") -> Life:
    """A session that did nothing but render."""
    price = Decimal(usd)
    return Life(
        name=node_type[:3], node_type=node_type, gpu=gpu, usd_per_hour=price, batches=batches, startup=0, idle=0
    )


def batch(memory: float, *, images: int = 40, seconds: int = 400, use: GpuUse | None = None) -> Batch:
    """Of SDXL, in its own name, at a size that is small."""
    return Batch(images=images, seconds=seconds, model="sdxl", memory_bytes=int(memory * GIB), gpu_use=use)


def test_what_drivers_told_is_in_the_report() -> None:
    """Weighed by time: 90 % for 400 s and 50 % for 100 s; batches of which nothing is known do not count."""
    half = GpuUse(busy=0.5, watts=100.0, memory_bytes=None)
    report = report_on(life([batch(14, use=USE), batch(9, seconds=100, use=half), batch(0, seconds=1000)]))
    (usage,) = report.gpu_usages
    assert (usage.images, usage.batch_size, usage.precision) == (120, 4, "fp16")
    assert usage.memory_bytes == 14 * GIB
    assert usage.busy == Decimal("0.82")
    assert usage.joules == 300 * 400 + 100 * 100
    assert overall(report.gpu_usages) == (usage.busy, usage.watts, usage.joules)
    (line,) = gpus(report)
    assert line[1].startswith("busy 82 % of the rendering; 260 W on average, 0.04 kWh; 14.0 GiB held at most")


def test_nothing_told_is_nothing_said() -> None:
    """A ledger without such figures makes a report without them, and without advice on cards."""
    report = report_on(life([batch(0)]))
    assert gpus(report) == []
    assert report.advice is None


def test_memory_that_a_cheaper_card_has_too_is_advised() -> None:
    """A card of the same provider and market that costs less by its peak is named, with how that is known."""
    advice = report_on(life([batch(13.8, use=USE)], node_type="p5.4xlarge", gpu="H100", usd="6.88")).advice
    assert advice is not None
    assert advice.line == "rendering"
    assert advice.text.startswith(
        "batch 4 used 17 % of the 80 GB of p5.4xlarge's H100 and kept it busy for 90 % of its time: "
        "L40S (g6e.xlarge spot) would cost about 58 % less an image (7 to 81 % less; "
        "estimated: measured on H100, scaled by the cards' peaks; price: AWS list price"
    )
    there = Decimal(400) * 989 / 362 * Decimal("1.06") / 3600
    assert advice.saved_usd == pytest.approx(advice.usd - there, abs=Decimal("1e-6"))


def test_memory_that_no_cheaper_card_has_is_no_waste() -> None:
    """What fills an H200 fits on nothing else of the same provider whose spot price is known."""
    assert report_on(life([batch(120)], node_type="p5en.48xlarge", gpu="H200", usd="63")).advice is None


def test_rates_of_the_ledger_go_before_the_peaks() -> None:
    """Of images that were rendered on the other card too, it is known how long they take there."""
    seen = life([batch(13, seconds=300)], node_type="g6e.xlarge", gpu="L40S", usd="1.06")
    usages = report_on(life([batch(13)], node_type="p5.4xlarge", gpu="H100", usd="6.88"), seen)
    advice = cheaper_card(usages.gpu_usages, usages.total, card_market)
    assert advice is not None
    assert "measured: 40 images on L40S" in advice.text
    paid = Decimal(400) * Decimal("6.88") / 3600
    assert advice.saved_usd == pytest.approx(paid - Decimal(300) * Decimal("1.06") / 3600, abs=Decimal("1e-6"))


def test_a_tenth_is_the_least_that_is_advised() -> None:
    """Estimates are no better than that; and what is cheap already stays."""
    assert report_on(life([batch(13.8)])).advice is None


def test_cpus_are_not_compared_with_cards() -> None:
    """What a process held is no card's memory."""
    assert report_on(life([batch(13)], gpu="cpu", usd="60")).advice is None

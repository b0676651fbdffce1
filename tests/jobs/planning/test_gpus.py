"""`spotrender gpus`: the catalogue as a table, by any column, with dollars per image, and clear refusals."""

import json
import subprocess
import sys
from decimal import Decimal

import pytest

from jobs.cli import run
from jobs.planning.catalogue import read_catalogue
from jobs.planning.gpus import SORTS, list_cards, usd_per_image
from jobs.planning.gpus_table import cards_text
from pipeline.errors import JobFileError

CATALOGUE = read_catalogue()


def test_table_has_every_card_and_fits_a_terminal() -> None:
    """Nothing is cut off in 80 columns, with a model and without."""
    for model in (None, "sdxl", "flux-dev", "shapes"):
        text = cards_text(list_cards(model, catalogue=CATALOGUE))
        for name in ("T4", "RTX 4090", "A100 80GB PCIe", "B200"):
            assert any(line.strip().startswith(name) for line in text.splitlines())
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


@pytest.mark.parametrize("column", SORTS)
def test_every_column_sorts(column: str) -> None:
    """What is best comes first; what is unknown comes last."""
    found = list_cards("sdxl", sort=column, catalogue=CATALOGUE)
    keys = [SORTS[column](row) for row in found.rows]
    assert keys == sorted(keys)  # type: ignore[type-var]
    assert found.sorted_by == column


def test_dollars_per_image_are_price_by_throughput() -> None:
    """Exactly, in decimals, with the interval turned around; a card without a price has none."""
    for row in list_cards("sdxl", catalogue=CATALOGUE).rows:
        if row.cheapest is None:
            assert row.usd_per_image is None
            continue
        assert row.throughput is not None
        assert row.usd_per_image == usd_per_image(row.cheapest.usd_per_gpu_hour, row.throughput.images_per_second)
        assert row.usd_per_image_low is not None
        assert row.usd_per_image_high is not None
        assert row.usd_per_image_low < row.usd_per_image < row.usd_per_image_high
    assert usd_per_image(Decimal("0.36"), 1.0) == Decimal("0.0001")


def test_card_on_which_the_model_does_not_fit_has_no_price_for_an_image() -> None:
    """FLUX on 24 GB is not the cheapest; it is not there as it is, and a T4 has no bf16."""
    rows = {row.gpu.name: row for row in list_cards("flux-dev", catalogue=CATALOGUE).rows}
    assert (rows["RTX 4090"].fits, rows["RTX 4090"].usd_per_image) == (False, None)
    assert (rows["T4"].throughput, rows["T4"].usd_per_image) == (None, None)
    assert rows["L40S"].fits
    assert rows["L40S"].usd_per_image is not None
    text = cards_text(list_cards("flux-dev", gpu="RTX 4090,T4", catalogue=CATALOGUE))
    assert "does not fit" in text
    assert "cannot" in text


def test_node_of_eight_is_priced_by_the_gpu() -> None:
    """CoreWeave's 49 dollars are of eight H100; AWS's single one costs 6.88."""
    (h100,) = list_cards(gpu="H100", catalogue=CATALOGUE).rows
    assert h100.on_demand is not None
    assert (h100.on_demand.node_type, h100.on_demand.usd_per_gpu_hour) == ("coreweave-8x-h100", Decimal("6.125"))


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("L4", {"L4"}),
        ("l4, rtx-4090", {"L4", "RTX 4090"}),
        ("24GB..32GB", {"L4", "A10G", "RTX 3090", "RTX 4090", "RTX 5090"}),
        ("180..", {"B200"}),
        ("..16gb", {"T4"}),
        ("96 GB", {"RTX PRO 6000"}),
        ("L4,141GB..180GB", {"L4", "H200", "B200"}),
    ],
)
def test_cards_are_chosen_by_name_and_memory(written: str, names: set[str]) -> None:
    """As people write them."""
    assert {row.gpu.name for row in list_cards(gpu=written, catalogue=CATALOGUE).rows} == names


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpu": "100GB..120GB"}, 'no card of the catalogue has "100GB..120GB"; they have 16, 24'),
        ({"gpu": "80GB..24GB"}, "begins above its end; write 24GB..80GB"),
        ({"gpu": ".."}, "is no range of memory"),
        ({"gpu": "big..bigger"}, "is no range of memory"),
        ({"gpu": "L4,,T4"}, "names a card that is empty"),
        ({"gpu": "RTX 4900"}, 'did you mean "RTX 4090"'),
        ({"model": "flux-dve"}, 'did you mean "flux-dev"'),
        ({"sort": "prize"}, 'there is no column "prize", did you mean "price"'),
        ({"sort": "usd-per-image"}, "needs a model; say --model NAME too"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_nearest(options: dict[str, str], said: str) -> None:
    """One sentence with the remedy."""
    with pytest.raises(JobFileError, match=said):
        list_cards(**options, catalogue=CATALOGUE)


def test_command_prints_json_and_refuses_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """One document on stdout either way."""
    assert run(["gpus", "--model", "sdxl", "--gpu", "L4", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["throughput"]["origin"] == "published"
    assert row["throughput"]["basis"] == "1 claim of sdxl on L4, scaled by arithmetic"
    assert row["gpu"]["source"]
    assert run(["gpus", "--gpu", "L5", "--json"]) == 2
    assert "there is no GPU" in json.loads(capsys.readouterr().out)["error"]


def test_command_loads_nothing_heavy() -> None:
    """It answers at once: no torch, no Ray, no boto3."""
    code = "import sys; from jobs.cli import run; run(['gpus', '--model', 'sdxl']); print(sorted(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(told.splitlines()[-1].replace("'", "").strip("[]").split(", "))
    assert loaded & {"torch", "ray", "boto3", "diffusers", "transformers", "duckdb"} == set()

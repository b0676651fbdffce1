"""The ledger is read by DuckDB and pandas without any code of ours, and gives the report's totals by plain SQL."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from infra.stores.local import LocalStore
from pipeline.ledger.schema import CATEGORIES, IMAGES, NODES, SORTED_BY
from pipeline.ports import Store
from pipeline.reports.figures import Report
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from tests.imports import ROOT
from tests.infra.servers import S3Server, moto_server
from tests.pipeline.reports.made_ledger import Batch, Life, day, make_ledger
from tests.pipeline.reports.test_making import LIVES

VIEWS, HEADLINE, BY_TYPE, BY_OUTCOME = re.findall(
    r"^```sql\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
"""The README's own SQL."""


def fill(store: Store) -> Report:
    """Two jobs of two days; the report on both."""
    make_ledger(store, LIVES, reused=5)
    make_ledger(store, [Life(name="d", batches=[Batch()])], name="second", submitted_at=day(14))
    with open_ledger(store) as ledger:
        return make_report(ledger)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """A real S3 server."""
    with moto_server() as running:
        yield running


def check_readme(connection: duckdb.DuckDBPyConnection, report: Report) -> None:
    """The README's queries give what the report says, as decimals."""
    categories = report.total.categories
    lost = sum((categories[name] for name in ("lost_to_preemption", "lost_to_failure", "duplicate")), Decimal(0))
    assert connection.execute(HEADLINE).fetchone() == (
        report.total.usd,
        report.total.billable_usd,
        categories["rendering"],
        categories["startup"],
        lost,
        categories["idle"],
    )
    rows = connection.execute(BY_TYPE).fetchall()
    found = {f"{node_type} {market}": (usd, rendered) for node_type, market, usd, rendered, _ in rows}
    assert found == {group.name: (group.usd, group.rendered) for group in report.by_node_type}
    outcomes: dict[str, int] = {}
    for outcome, _, _, images, _ in connection.execute(BY_OUTCOME).fetchall():
        outcomes[outcome] = outcomes.get(outcome, 0) + images
    total = report.total
    assert outcomes == {"rendered": total.rendered, "reused": 5, "failed": total.failed, "duplicate": total.duplicates}


def test_readme_sql_over_local_files_gives_the_report(tmp_path: Path) -> None:
    """With DuckDB alone."""
    report = fill(LocalStore(str(tmp_path)))
    with duckdb.connect() as connection:
        connection.execute(VIEWS.replace("'out/", f"'{tmp_path}/"))
        check_readme(connection, report)


def test_readme_sql_over_a_dataset_on_s3_gives_the_report(server: S3Server) -> None:
    """With DuckDB over pyarrow's dataset; the report itself reads the same store through its port."""
    report = fill(server.store("renders"))
    access = {"access_key": server.access_key, "secret_key": server.secret_key, "region": server.region}
    host = server.endpoint_url.removeprefix("http://")
    files = pyarrow.fs.S3FileSystem(endpoint_override=host, scheme="http", **access)
    with duckdb.connect() as connection:
        for kind in ("nodes", "images"):
            folder = f"{server.bucket}/renders/ledger/{kind}"
            connection.register(kind, pyarrow.dataset.dataset(folder, filesystem=files, partitioning="hive"))
        check_readme(connection, report)


def test_pandas_reads_the_ledger_and_gives_the_report(tmp_path: Path) -> None:
    """Folders become columns, money stays Decimal."""
    report = fill(LocalStore(str(tmp_path)))
    nodes = pd.read_parquet(tmp_path / "ledger/nodes")
    images = pd.read_parquet(tmp_path / "ledger/images")
    assert nodes["accrued_usd"].sum() == report.total.usd
    assert isinstance(nodes["accrued_usd"].sum(), Decimal)
    assert (images["outcome"] == "rendered").sum() == report.total.rendered
    assert images.loc[images["outcome"] == "rendered", "usd"].sum() == report.total.categories["rendering"]
    assert sorted(nodes["date"].astype(str).unique()) == ["2026-11-14", "2026-11-21"]
    assert dict(images["tags"].iloc[0]) in ({}, {"campaign": "autumn"})


@pytest.mark.parametrize("condition", ["job = '{job}'", "date = '2026-11-21'", "date >= DATE '2026-11-20'"])
def test_query_of_one_job_or_day_opens_only_its_files(tmp_path: Path, condition: str) -> None:
    """DuckDB's own account of the files that it scanned."""
    report = fill(LocalStore(str(tmp_path)))
    with duckdb.connect() as connection:
        connection.execute(VIEWS.replace("'out/", f"'{tmp_path}/"))
        where = condition.format(job=report.jobs[0])
        (plan,) = connection.execute(f"EXPLAIN ANALYZE SELECT sum(usd) FROM images WHERE {where}").fetchall()  # noqa: S608
    assert "Scanning Files: 2/3" in plan[1]


def test_rows_are_sorted_and_every_column_has_statistics(tmp_path: Path) -> None:
    """And the metadata says so."""
    fill(LocalStore(str(tmp_path)))
    for kind in ("images", "nodes"):
        for path in (tmp_path / "ledger" / kind).rglob("*.parquet"):
            table, group = pq.read_table(path, partitioning=None), pq.read_metadata(path).row_group(0)
            names = [group.column(place.column_index).path_in_schema for place in group.sorting_columns]
            assert tuple(names) == SORTED_BY[kind]
            assert table.equals(table.sort_by([(name, "ascending") for name in names]))
            columns = (group.column(number) for number in range(group.num_columns))
            assert all(column.statistics.has_min_max for column in columns if column.statistics.null_count < len(table))


def test_no_money_is_a_float_anywhere() -> None:
    """Every `*_usd` column of the ledger is a decimal with nine places; the category columns are all there."""
    money = [field for schema in (IMAGES, NODES) for field in schema if re.search(r"(^|_)usd($|_)", field.name)]
    assert {field.type for field in money} == {pa.decimal128(18, 9)}
    assert {f"{category}_usd" for category in CATEGORIES} <= {field.name for field in money}


def test_every_figure_of_a_report_is_exact(tmp_path: Path) -> None:
    """No float is anywhere in it, and what is called usd is a Decimal, or unknown."""
    store = LocalStore(str(tmp_path))
    fill(store)
    with open_ledger(store) as ledger:
        report = make_report(ledger, by="model", time_line=True)
    seen: list[str] = []

    def look(value: Any, name: str) -> None:
        assert not isinstance(value, float), name
        if "usd" in name.split("_"):
            assert value is None or isinstance(value, Decimal), name
            seen.append(name)
        if isinstance(value, tuple | list):
            for one in value:
                look(one, name.replace("usd", ""))
        elif hasattr(value, "items"):
            for key, one in value.items():
                look(one, f"{key}")
        elif hasattr(type(value), "__slots__") and type(value).__module__.startswith("pipeline."):
            names = [
                *type(value).__slots__,
                *(name for name, one in vars(type(value)).items() if isinstance(one, property)),
            ]
            for one in names:
                look(getattr(value, one), one)

    look(report, "report")
    assert {"usd", "overhead_usd", "usd_per_image", "saved_usd", "on_demand_usd", "billable_usd"} <= set(seen)

"""The plan holds every distinct image once, breadth-first, in tasks of one variant."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.job import TaskSizes
from pipeline.plan import Plan
from pipeline.request import Request, Variant
from pipeline.request_table import RequestTable, id_words


def variant(steps: int) -> Variant:
    """A variant that differs in its steps."""
    return Variant(
        model="m",
        renderer="synthetic",
        pixel_version=1,
        precision="fp32",
        width=64,
        height=64,
        steps=steps,
        guidance_scale=7.0,
        scheduler="",
    )


def table_of(folder: Path, rows: list[tuple[int, int, int]]) -> RequestTable:
    """Requests files of (prompt number, seed index, variant) rows."""
    variants = [variant(steps) for steps in range(1, 4)]
    requests = [
        Request(prompt=f"p{prompt}", negative_prompt="", seed=index, variant=variants[number])
        for prompt, index, number in rows
    ]
    table = pa.table(
        {
            "image_id": pa.array([request.image_id for request in requests], pa.string()),
            "prompt": pa.array([request.prompt for request in requests], pa.string()),
            "negative_prompt": pa.array([""] * len(rows), pa.string()),
            "seed": pa.array([request.seed for request in requests], pa.int64()),
            "variant": pa.array([number for _, _, number in rows], pa.int32()),
            "index": pa.array([index for _, index, _ in rows], pa.int32()),
            "row": pa.array(range(len(rows)), pa.int64()),
            "custom_id": pa.array([None] * len(rows), pa.string()),
            "tags": pa.array([[] for _ in rows], pa.map_(pa.string(), pa.string())),
        }
    )
    half = len(rows) // 2
    pq.write_table(table.slice(0, half), folder / "0.parquet", row_group_size=3)
    pq.write_table(table.slice(half), folder / "1.parquet", row_group_size=5)
    return RequestTable([folder / "0.parquet", folder / "1.parquet"], variants)


_ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(rows=_ROWS, batch=st.integers(1, 4), factor=st.integers(1, 4), share=st.integers(1, 8))
def test_every_distinct_image_is_in_exactly_one_task(
    tmp_path: Path, rows: list[tuple[int, int, int]], batch: int, factor: int, share: int
) -> None:
    """Whatever rows repeat or mix variants: one place an image, one variant a task, whole batches but the last."""
    table = table_of(tmp_path, rows)
    sizes = TaskSizes(batch=batch, largest=batch * factor, tail_share=share, tasks_per_bucket=2)
    plan = Plan(table, sizes)
    seen: list[str] = []
    indexes: list[int] = []
    for number in range(len(plan)):
        task = plan[number]
        assert 0 < len(task.places) <= sizes.largest
        found = table.rows(plan.positions[list(task.places)].tolist())
        assert {row.request.variant for row in found} == {variant(task.variant + 1)}
        assert {row.image_id for row in found} == {row.request.image_id for row in found}
        seen += [row.image_id for row in found]
        indexes += [row.index for row in found]
    assert len(seen) == len(set(seen)) == plan.images
    assert set(seen) == {row.image_id for row in table.rows(range(len(rows)))}
    assert indexes == sorted(indexes), "image 0 of every row comes before image 1 of any"


def test_places_are_found_by_image_id(tmp_path: Path) -> None:
    """An id leads to its place in the plan; a foreign one leads nowhere."""
    table = table_of(tmp_path, [(prompt, 0, 0) for prompt in range(10)])
    plan = Plan(table, TaskSizes(batch=2, largest=4))
    ids = [row.image_id for row in table.rows(plan.positions.tolist())]
    assert plan.find(id_words(pa.array([*ids, "0" * 64]))).tolist() == [*range(10), -1]


def test_tasks_shrink_towards_the_end(tmp_path: Path) -> None:
    """Large tasks first, single batches last, so that no node straggles."""
    plan = Plan(table_of(tmp_path, [(p, 0, 0) for p in range(400)]), TaskSizes(batch=2, largest=40, tail_share=10))
    lengths = [len(plan[number].places) for number in range(len(plan))]
    assert lengths == sorted(lengths, reverse=True)
    assert (lengths[0], lengths[-1]) == (40, 2)


def test_plan_of_the_same_files_is_the_same(tmp_path: Path) -> None:
    """Every driver of a job makes the same tasks."""
    table = table_of(tmp_path, [(prompt % 7, prompt % 3, prompt % 2) for prompt in range(50)])
    plans = [Plan(table, TaskSizes(batch=2, largest=4)) for _ in range(2)]
    assert np.array_equal(plans[0].positions, plans[1].positions)
    assert [plans[0][i] for i in range(len(plans[0]))] == [plans[1][i] for i in range(len(plans[1]))]

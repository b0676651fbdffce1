"""Rehearsals before anything is started: what is refused, what is warned of, and which job is rehearsed."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli import run
from jobs.jobfile.loading import Options, load
from jobs.rehearsing.reclaims import TraceEvent
from jobs.rehearsing.rehearsal_pace import pace_of_removals, pace_of_trace, pace_warnings
from jobs.rehearsing.rehearse import for_rehearsal
from pipeline.errors import JobFileError
from tests.chaos.manifest import write_manifest


def test_job_is_rehearsed_without_its_nodes_limits_and_model(tmp_path: Path) -> None:
    """What costs money or needs a GPU stays out; what was said for the rehearsal itself holds."""
    path = tmp_path / "job.yaml"
    path.write_text(
        """manifest: prompts.jsonl
store: s3://acme/renders
model: sdxl
model_options: {variant: fp16}
precision: fp16
defaults: {width: 64, height: 64, scheduler: euler}
nodes: [{type: g6e.xlarge, market: spot, max: 8}]
budget: {usd: 25}
deadline: 2026-11-20T07:00:00+00:00
"""
    )
    assignments = ("model_options.seconds_per_batch=0.2",)
    job_file = load(str(path), Options(model="synthetic", assignments=assignments))
    rehearsed = for_rehearsal(job_file, own_model="sdxl", options=("seconds_per_batch",))
    assert {name: str(value) for name, value in rehearsed.model_options.items()} == {"seconds_per_batch": "0.2"}
    assert (rehearsed.nodes, rehearsed.budget.usd, rehearsed.deadline, rehearsed.precision) == ((), None, None, None)
    assert (rehearsed.defaults.width, rehearsed.defaults.scheduler) == (64, None)
    as_written = for_rehearsal(load(str(path), Options()), own_model="sdxl")
    assert (as_written.model_options, as_written.defaults.scheduler) == ({"variant": "fp16"}, "euler")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kill-every", "often"], "--kill-every: must be a duration"),
        (["--kill-every", "0s"], "--kill-every: must be at least"),
        (["--notice", "-1s"], "--notice: must be a duration"),
        (["--speed", "10"], "--speed: only a trace"),
        (["--trace", "{trace}", "--kill-every", "5s"], "leave one out"),
        (["--trace", "{trace}", "--speed", "0"], "--speed: must be from"),
        (["--trace", "{trace}"], "trace.csv:2: must be milliseconds,add|remove,node"),
        (["--nodes", "0"], "--nodes"),
        (
            ["--nodes", "2", "--kill-every", "0.5s"],
            "each of 2 nodes is taken after 1.0 s",
        ),
        (["--model", "nonesuch"], 'no model "nonesuch"'),
        (["--set", "width=no"], "width"),
    ],
)
def test_what_cannot_be_rehearsed_is_told_before_anything_is_started(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One clear error, exit code 2, and nothing written."""
    write_manifest(tmp_path / "prompts.jsonl", prompts=2)
    (tmp_path / "trace.csv").write_text("0,add,node1\nrubbish\n")
    chosen = [one.format(trace=tmp_path / "trace.csv") for one in options]
    arguments = ["rehearse", str(tmp_path / "prompts.jsonl"), "--store", str(tmp_path / "kept"), *chosen, "--json"]
    assert run(arguments) == 2
    assert said in json.loads(capsys.readouterr().out)["error"]
    assert not (tmp_path / "kept").exists()


@given(every=st.floats(0.5, 600), nodes=st.integers(1, 64), batch=st.floats(0, 600))
def test_pace_is_refused_or_warned_of_exactly_when_nodes_live_too_short(every: float, nodes: int, batch: float) -> None:
    """And the pace that the message names is neither."""
    pace = pace_of_removals(every, nodes=nodes, options={"seconds_per_batch": str(batch)})
    try:
        said = pace_warnings(pace, ends=False)
    except JobFileError as error:
        said = (str(error),)
        assert pace.lifetime * 4 < pace.needed
    assert bool(said) == (every * nodes < pace.needed)
    for line in said:
        named = re.search(r"say --kill-every ([0-9.]+)s or more", line)
        assert named is not None
        better = pace_of_removals(float(named[1]) + 0.05, nodes=nodes, options={"seconds_per_batch": str(batch)})
        assert pace_warnings(better, ends=False) == ()


def test_trace_that_is_replayed_too_fast_is_warned_of_and_never_refused() -> None:
    """Its reclaims come to an end, and then the job does."""
    events = [TraceEvent(at_seconds=float(at), change="remove", node=f"n{at % 2}") for at in range(1, 11)]
    (said,) = pace_warnings(pace_of_trace(events, nodes=2, options={}), ends=True)
    assert "taken after 2.0 s on average" in said
    assert "--speed" in said
    calm = [TraceEvent(at_seconds=60.0 * at, change="remove", node="n0") for at in range(1, 4)]
    assert pace_warnings(pace_of_trace(calm, nodes=2, options={}), ends=True) == ()
    assert pace_of_trace([TraceEvent(at_seconds=0.0, change="add", node="n0")], nodes=1, options={}) is None

"""When which node is taken: traces with their problems, and replays that are the same for the same seed."""

from itertools import islice
from pathlib import Path

import pytest

from jobs.durations import parse_duration
from jobs.rehearsing.reclaims import Replay, Script, first_names, random_removals, read_trace
from pipeline.errors import JobFileError

TRACE = """0,add,node1
0,add,node2
0,add,node3
60000,remove,node2
90000,add,node4
120000,remove,node1
"""


def replayed(replay: Replay, *, until: float = 10_000.0) -> list[tuple[float, str, str]]:
    """All that a replay asks for, on a clock that is never late."""
    instants = iter([0.0, *(step / 10 for step in range(int(until * 10)))])
    found: list[tuple[float, str, str]] = []
    for instant in instants:
        found += [(instant, action.what, action.node) for action in replay.due(lambda at=instant: at)]  # type: ignore[misc]
    return found


def script(*nodes: str, notice: float = 0.0, room: int | None = None) -> Script:
    """A cluster that begins with these nodes."""
    return Script(notice_seconds=notice, room=room or len(nodes), there=list(nodes))


def trace(path: Path, text: str) -> Path:
    """A trace file."""
    path.write_text(text, encoding="utf-8")
    return path


def test_trace_is_read_from_its_first_line_and_sped_up(tmp_path: Path) -> None:
    """Times count from the first event, divided by the speed; the cluster begins with the nodes named first."""
    later = "".join(f"{int(line.split(',')[0]) + 5000},{line.partition(',')[2]}\n" for line in TRACE.splitlines())
    events = read_trace(trace(tmp_path / "trace.csv", later), speed=30)
    assert [event.at_seconds for event in events] == [0, 0, 0, 2, 3, 4]
    assert first_names(events, 2) == ["node1", "node2"]
    assert first_names(events, 9) == ["node1", "node2", "node3", "node4"]


def test_every_bad_line_of_a_trace_is_told_with_its_number(tmp_path: Path) -> None:
    """Rubbish, unknown words, nameless nodes and times that run backwards, all at once."""
    text = "0,add,node1\nhello\n10,vanish,node1\n20,remove,\n30,remove,node1\n5,add,node1\n-1,add,x\n1e3,add,x\n"
    with pytest.raises(JobFileError) as told:
        read_trace(trace(tmp_path / "trace.csv", text))
    lines = str(told.value).splitlines()
    assert [line.removeprefix(f"{tmp_path}/trace.csv:").partition(":")[0] for line in lines] == list("234678")
    assert all("must" in line or "sort the trace" in line for line in lines)


def test_trace_that_is_not_there_empty_or_binary_is_refused(tmp_path: Path) -> None:
    """Each in words that say what to do, and never more than some twenty lines of them."""
    for path in (tmp_path / "none.csv", tmp_path, trace(tmp_path / "empty.csv", "\n\n")):
        with pytest.raises(JobFileError, match=r"is the path right|holds no events"):
            read_trace(path)
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 400)
    with pytest.raises(JobFileError) as told:
        read_trace(tmp_path / "binary.csv")
    assert len(str(told.value).splitlines()) <= 21


def test_trace_takes_and_brings_the_nodes_that_it_names(tmp_path: Path) -> None:
    """A removed node is killed, one that is added comes where there is room, and after the end all are back."""
    events = read_trace(trace(tmp_path / "trace.csv", TRACE), speed=10)
    done = replayed(Replay(script=script("node1", "node2", "node3"), events=events, back_after_seconds=5), until=60)
    assert done[:3] == [(6.0, "kill", "node2"), (9.0, "add", "node4"), (12.0, "kill", "node1")]
    assert [what for _, what, _ in done[3:]] == ["add"]


def test_trace_of_a_larger_cluster_leaves_out_what_finds_no_room(tmp_path: Path) -> None:
    """Nodes that the local cluster never had are neither killed nor started beyond its size."""
    events = read_trace(trace(tmp_path / "trace.csv", TRACE), speed=10)
    done = replayed(Replay(script=script("node1"), events=events, back_after_seconds=5), until=60)
    assert [(what, node) for _, what, node in done] == [("kill", "node1"), ("add", "node1")]


def test_announced_node_has_its_whole_notice_even_where_the_announcement_was_late() -> None:
    """Its end is counted from when it was told, and meanwhile it is not taken a second time."""
    taken = script("a", notice=30)
    taken.remove(1.0, "a")
    taken.remove(2.0, "a")
    replay = Replay(script=taken, back_after_seconds=10)
    late = list(replay.due(lambda: 6.0))
    assert [(action.what, taken.takeable()) for action in late] == [("announce", [])]
    assert not list(replay.due(lambda: 35.9))
    assert [action.what for action in replay.due(lambda: 36.0)] == ["kill"]
    assert [action.what for action in replay.due(lambda: 46.1)] == ["add"]


def test_random_reclaims_are_the_same_for_the_same_seed() -> None:
    """Instants and nodes follow from the seed; their pace is what was asked for."""

    def run(seed: int) -> list[tuple[float, str, str]]:
        removals = random_removals(seed, every_seconds=20)
        return replayed(Replay(script=script("a", "b", "c"), removals=removals, seed=seed), until=400)

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert {what for _, what, _ in run(7)} == {"kill", "add"}
    instants = list(islice(random_removals(3, every_seconds=20), 500))
    assert 18 < instants[-1] / 500 < 22


@pytest.mark.parametrize(
    ("text", "seconds"), [("20s", 20), ("2m", 120), ("1.5h", 5400), ("500ms", 0.5), ("7", 7), (" 3 s", None)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float | None) -> None:
    """A number with a unit, or seconds."""
    if seconds is None:
        with pytest.raises(JobFileError, match="must be a duration such as"):
            parse_duration(text, place="--notice")
    else:
        assert parse_duration(text, place="--notice") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3s", "1e9s", "nan", "inf", "20 parsecs", "١s", "9" * 40])
def test_what_is_no_duration_is_refused_by_its_place(text: str) -> None:
    """Nothing that a float might take, but a person would not mean."""
    with pytest.raises(JobFileError, match="--notice: must be"):
        parse_duration(text, place="--notice")

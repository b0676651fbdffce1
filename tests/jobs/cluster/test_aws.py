"""The cluster file for EC2: what stands in it, and that no name can say anything there but itself."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.cluster.ray_up import as_block, as_yaml
from tests.jobs.cluster.made_cluster import cluster_yaml, job_file, refused, rendered

HOSTILE = "~/keys/a\"b'c: {$(touch x)} #`y`\\ \u202e\u00e9.pem"


def file_of(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str, **job: str) -> Any:
    """The cluster file, parsed."""
    words = [word for option in options for word in ("--with", option)]
    rendered(capsys, job_file(tmp_path, **job), "aws", "--to", str(tmp_path), *words)
    return cluster_yaml(tmp_path)


def test_head_is_small_and_renders_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On demand, without a GPU, and without resources that work could be put on; its price is told to the driver."""
    file = file_of(tmp_path, capsys)
    head = file["available_node_types"][file["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["max_workers"] == 0
    (start,) = [line for line in file["head_start_ray_commands"] if "--head" in line]
    assert "SPOTRENDER_HEAD_USD_PER_HOUR=0.1008" in start
    assert "--dashboard-host=127.0.0.1" in start


def test_head_that_shares_the_workers_image_has_room_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A container brings Amazon's image to the head too, which is larger than a plain Ubuntu."""
    for options, gib in (((), 50), (("image=registry.example/spotrender:1.0",), 100)):
        types = file_of(tmp_path, capsys, *options)["available_node_types"]
        assert types["head"]["node_config"]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == gib


def test_workers_are_one_type_for_each_type_and_market(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spot has the higher priority; labels are those that jobs ask for; nobody gets at credentials by IMDSv1."""
    types = file_of(tmp_path, capsys)["available_node_types"]
    workers = {name: node for name, node in types.items() if name != "head"}
    assert {name: (node["max_workers"], node["priority"]) for name, node in workers.items()} == {
        "g6e.xlarge-spot": (8, 10),
        "g7e.2xlarge-spot": (4, 10),
        "g6e.xlarge-on-demand": (2, 0),
    }
    assert workers["g7e.2xlarge-spot"]["labels"] == {
        "ray.io/accelerator-type": "RTX-PRO-6000",
        "ray.io/market-type": "spot",
        "spotrender.io/node-type": "g7e.2xlarge",
    }
    for node in types.values():
        made = node["node_config"]
        assert made["MetadataOptions"] == {
            "HttpTokens": "required",
            "HttpEndpoint": "enabled",
            "HttpPutResponseHopLimit": 1,
        }
        (disk,) = made["BlockDeviceMappings"]
        assert (disk["Ebs"]["VolumeType"], disk["Ebs"]["Encrypted"]) == ("gp3", True)


def test_ray_answers_nobody_without_the_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It comes from the user's own file, never stands in this one, and every node asks for it."""
    for option, home in (("idle_minutes=5", "ubuntu"), ("image=registry.example/spotrender:1.0", "spotrender")):
        file = file_of(tmp_path, capsys, option)
        place = f"/home/{home}/.ray/auth_token"
        assert file["file_mounts"] == {place: "~/.ray/auth_token"}
        for name in ("head_start_ray_commands", "worker_start_ray_commands"):
            start = file[name][-1]
            assert f"export RAY_AUTH_MODE=token; export RAY_AUTH_TOKEN_PATH={place}; " in start


def test_dead_nodes_are_noticed_and_idle_ones_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The head's health checks add up to some seconds; nodes are ended, never stopped."""
    file = file_of(tmp_path, capsys, "idle_minutes=7")
    start = file["head_start_ray_commands"][-1]
    figures = dict(word.removesuffix(";").split("=") for word in start.split() if word.startswith("RAY_health"))
    silent = int(figures["RAY_health_check_timeout_ms"]) + int(figures["RAY_health_check_period_ms"])
    assert silent * int(figures["RAY_health_check_failure_threshold"]) <= 10_000
    assert (file["idle_timeout_minutes"], file["provider"]["cache_stopped_nodes"]) == (7, False)


def test_zones_are_those_of_the_job_or_of_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In their order, of one region."""
    nodes = "[{type: g6e.xlarge, zone: eu-west-1b, region: eu-west-1}, {type: g5.xlarge, region: eu-west-1}]"
    file = file_of(tmp_path, capsys, nodes=nodes)
    assert (file["provider"]["region"], file["provider"]["availability_zone"]) == ("eu-west-1", "eu-west-1b")
    file = file_of(tmp_path, capsys, "zones=eu-west-1c,eu-west-1a", nodes=nodes)
    assert file["provider"]["availability_zone"] == "eu-west-1c,eu-west-1a"


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ("[{type: g5.xlarge, region: eu-west-1}, {type: g6e.xlarge, region: us-west-2}]", "are in"),
        ("[{type: g5.xlarge, zone: eu-west-1a}]", "none of us-east-1"),
        ("[{type: local, market: local}]", "no instance type"),
        ("[{type: runpod-4090, market: spot}]", "no instance type"),
        ('[{type: "g5.xlarge\\n  evil: true", usd_per_hour: 1}]', "no instance type"),
        ('[{type: g5.xlarge, region: "us-east-1\\"]"}]', "region"),
    ],
)
def test_nodes_that_ec2_cannot_have_are_refused(
    nodes: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason, before anything is written."""
    assert why in refused(capsys, job_file(tmp_path, nodes=nodes), "aws", "--to", str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "option",
    [
        "image=x; rm -rf /",
        "ami=ami-1 evil",
        "zones=us-east-1a\n- evil",
        "security_group=sg-1}",
        "head_profile=a b",
        "name=Evil:",
        "key=only-a-name",
        "disk_gib=1e9",
        "ssm=perhaps",
        "region=us-east-1'",
        "head_type=m9.huge",
    ],
)
def test_options_say_nothing_but_what_they_are_for(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything else is refused with what would do."""
    said = refused(capsys, job_file(tmp_path), "aws", "--with", option)
    assert option.partition("=")[0] in said


def test_hostile_path_stands_in_the_file_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Quotes, braces, comments and text that runs backwards stay one value."""
    file = file_of(tmp_path, capsys, "key=mine", f"key_file={HOSTILE}")
    assert file["auth"] == {"ssh_user": "ubuntu", "ssh_private_key": HOSTILE}


@settings(max_examples=50)
@given(st.text(max_size=30))
def test_any_text_is_one_value(text: str) -> None:
    """Whatever is put into the template comes out of YAML as it went in, on one line."""
    written = as_yaml(text)
    assert yaml.safe_load(f"key: {written}  # comment") == {"key": text}
    assert len(written.splitlines()) == 1


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20), min_size=1, max_size=4))
def test_script_comes_out_of_yaml_as_it_went_in(lines: list[str]) -> None:
    """But for blank lines around it."""
    script = "\n".join(["first", *lines, "last"])
    assert yaml.safe_load(f"setup:\n  - {as_block(script, 4)}\nnext: 1") == {"setup": [script], "next": 1}


def test_commands_are_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bash reads every command of the file; none is run."""
    file = file_of(tmp_path, capsys)
    for name in ("initialization_commands", "setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        for command in file[name]:
            subprocess.run(["bash", "-n"], input=f"({command})\n", text=True, check=True)

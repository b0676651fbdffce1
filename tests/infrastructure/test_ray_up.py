"""The cluster file for EC2: read by Ray's schema and loader, scheduled by its autoscaler, launched on moto's EC2."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.aws.utils import client_cache, resource_cache
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.event_logger import AutoscalerEventLogger
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated import common_pb2

from infra.compute.ray_demand import MARKET_LABEL, NODE_TYPE_LABEL
from jobs.cli import run
from tests.infra.servers import moto_server
from tests.jobs.cluster.made_cluster import cluster_yaml, job_file

NODES = """
  - {type: g5.xlarge, market: on_demand, max: 2}
  - {type: g5.xlarge, market: spot, max: 8}
  - {type: g6e.xlarge, market: spot, max: 4}
"""
OWN = ("security_group_name=by-ray", "head_profile=by-ray-driver", "worker_profile=by-ray-worker")
"""Names of their own, as one moto serves all tests of a process."""

ZONES = ["us-east-1c", "us-east-1a"]


def config_of(folder: Path, *options: str) -> Any:
    """The cluster file of a job with three kinds of nodes, as Ray completes it."""
    with_options = [word for option in options for word in ("--with", option)]
    job = str(job_file(folder, nodes=NODES))
    assert run(["cluster", "render", job, "--target", "aws", "--to", str(folder), *with_options]) == 0
    return prepare_config(cluster_yaml(folder))


@pytest.fixture(scope="module")
def ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Moto's EC2, to which Ray goes by itself, with a group and profiles such as Terraform makes."""
    with moto_server() as server, pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment().items():
            environment.setenv(name, value)
        environment.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # Ray leaves a key there
        for cached in (resource_cache, client_cache):
            cached.cache_clear()
        client: Any = boto3.client("ec2", region_name="us-east-1", endpoint_url=server.endpoint_url)
        (vpc,) = client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        group = client.create_security_group(GroupName="by-ray", Description="x", VpcId=vpc["VpcId"])["GroupId"]
        rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
        client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        for role in ("driver", "worker"):
            iam: Any = boto3.client("iam", region_name="us-east-1")
            iam.create_instance_profile(InstanceProfileName=f"by-ray-{role}")
        yield client
        for cached in (resource_cache, client_cache):
            cached.cache_clear()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("image=registry.example/spotrender:1.0",),
        ("ssm=true", "subnets=subnet-0123456789abcdef0", "security_group=sg-0123456789abcdef0"),
        ("key=mine", "key_file=~/.ssh/mine.pem", "zones=us-east-1a,us-east-1b"),
    ],
)
def test_ray_takes_the_file(options: tuple[str, ...], tmp_path: Path) -> None:
    """Ray's schema refuses keys that it does not know, and finds none."""
    (tmp_path / "mine.pem").touch()
    config = config_of(tmp_path, *(option.replace("~/.ssh", str(tmp_path)) for option in options))
    validate_config(config)
    assert config["max_workers"] == 14
    assert AutoscalingConfig(config, skip_content_hash=True).get_node_type_configs().keys() == {
        "head",
        "g5.xlarge-spot",
        "g5.xlarge-on-demand",
        "g6e.xlarge-spot",
    }


def test_ray_prepares_the_cluster_in_the_zones_and_the_group_named(ec2: Any, tmp_path: Path) -> None:
    """Every node type gets a subnet of each zone, in order, the one group, and a key; profiles stay as they are."""
    config = bootstrap_aws(config_of(tmp_path, f"zones={','.join(ZONES)}", *OWN))
    (group,) = ec2.describe_security_groups(GroupNames=["by-ray"])["SecurityGroups"]
    assert all(not rule["IpRanges"] for rule in group["IpPermissions"]), "Ray opened the group to the world"
    for name, node in config["available_node_types"].items():
        made = node["node_config"]
        subnets = {one["SubnetId"]: one for one in ec2.describe_subnets(SubnetIds=made["SubnetIds"])["Subnets"]}
        assert [subnets[subnet]["AvailabilityZone"] for subnet in made["SubnetIds"]] == ZONES
        assert made["SecurityGroupIds"] == [group["GroupId"]]
        assert made["IamInstanceProfile"] == {"Name": f"by-ray-{'driver' if name == 'head' else 'worker'}"}
        assert made["KeyName"]


def test_nodes_are_launched_as_the_file_says(ec2: Any, tmp_path: Path) -> None:
    """Ray's own provider launches each kind: market, metadata service, disk and tags are what they should be."""
    image = ec2.describe_images()["Images"][0]["ImageId"]
    config = bootstrap_aws(config_of(tmp_path, f"ami={image}", f"head_ami={image}", *OWN))
    config = AWSNodeProvider.fillout_available_node_types_resources(config)
    provider = AWSNodeProvider(config["provider"] | {"cache_stopped_nodes": False}, config["cluster_name"])
    for name, node in config["available_node_types"].items():
        provider.create_node(node["node_config"], {"ray-node-type": "worker", "ray-user-node-type": name}, 1)
    launched = {_tags(one)["ray-user-node-type"]: one for one in _instances(ec2)}
    assert launched.keys() == config["available_node_types"].keys()
    assert {name: one.get("InstanceLifecycle") == "spot" for name, one in launched.items()} == {
        "head": False,
        "g5.xlarge-spot": True,
        "g5.xlarge-on-demand": False,
        "g6e.xlarge-spot": True,
    }
    for one in launched.values():
        assert one["MetadataOptions"]["HttpTokens"] == "required"
        assert _tags(one)["ray-cluster-name"] == "spotrender-autumn"
        volumes = [disk["Ebs"]["VolumeId"] for disk in one["BlockDeviceMappings"]]
        (volume,) = ec2.describe_volumes(VolumeIds=volumes)["Volumes"]
        assert (volume["VolumeType"], volume["Encrypted"]) == ("gp3", True)
    resources = config["available_node_types"]["g6e.xlarge-spot"]["resources"]
    assert (resources["GPU"], resources["CPU"]) == (1, 4)
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0, "GPU": 0}


def _instances(ec2: Any) -> list[Any]:
    return [one for group in ec2.describe_instances()["Reservations"] for one in group["Instances"]]


def _tags(instance: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}


class _Silent(AutoscalerEventLogger):
    """Ray's scheduler tells somebody what it does."""

    def __init__(self) -> None:
        """Nobody listens."""

    def log_cluster_scheduling_update(self, *_arguments: Any, **_more: Any) -> None:
        """See the class."""


@pytest.fixture
def launches(tmp_path: Path) -> Callable[..., dict[str, int]]:
    """Asks Ray's autoscaler how many nodes of each type it would launch for GPU workers that ask for these labels."""
    configs = AutoscalingConfig(config_of(tmp_path), skip_content_hash=True).get_node_type_configs()

    def ask(count: int, failed: Mapping[str, float] | None = None, **labels: str) -> dict[str, int]:
        operators: Any = common_pb2  # generated, without hints
        equal = operators.LABEL_OPERATOR_IN
        keys = {"kind": NODE_TYPE_LABEL, "market": MARKET_LABEL}
        selector = [(keys[key], equal, [value]) for key, value in labels.items()]
        wanted = [ResourceRequestUtil.make({"GPU": 1}, label_selectors=[selector] if selector else None)] * count
        request = SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=configs,
            max_num_nodes=15,
            resource_requests=ResourceRequestUtil.group_by_count(wanted),
            recoverable_resource_availabilities=dict(failed or {}),
        )
        reply = ResourceDemandScheduler(_Silent()).schedule(request)
        return {launch.instance_type: launch.count for launch in reply.to_launch if launch.instance_type != "head"}

    return ask


def test_spot_comes_before_on_demand(launches: Callable[..., dict[str, int]]) -> None:
    """Workers that take any market get spot nodes; on demand only what is too much for them."""
    assert set(launches(3, kind="g5.xlarge")) == {"g5.xlarge-spot"}
    assert launches(10, kind="g5.xlarge") == {"g5.xlarge-spot": 8, "g5.xlarge-on-demand": 2}
    assert all(name.endswith("-spot") for name in launches(12))


def test_on_demand_stands_in_while_spot_has_no_capacity(launches: Callable[..., dict[str, int]]) -> None:
    """A type that could not be had a moment ago comes after the one that was not tried yet."""
    assert launches(2, {"g5.xlarge-spot": 0.0}, kind="g5.xlarge") == {"g5.xlarge-on-demand": 2}


def test_workers_of_a_job_get_the_nodes_that_they_ask_for(launches: Callable[..., dict[str, int]]) -> None:
    """Each demand names its type and market, as the job does, and finds exactly that."""
    assert launches(2, kind="g6e.xlarge", market="spot") == {"g6e.xlarge-spot": 2}
    assert launches(2, kind="g5.xlarge", market="on-demand") == {"g5.xlarge-on-demand": 2}

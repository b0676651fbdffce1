"""A cluster on EC2 by `ray up`: a small head on demand, a node type for each type and market, spot first."""

import re
from dataclasses import dataclass
from decimal import Decimal

from jobs.cluster.aws_options import AwsOptions
from jobs.cluster.heads import Beside, HeadType, read_heads
from jobs.cluster.options import read_options
from jobs.cluster.ray_up import ClusterFile, NodeGroup, cluster_file
from jobs.cluster.target import Line, Pool, Rendering, Wanted
from pipeline.errors import JobFileError

REGION = "us-east-1"
"""Where the job names none."""

_TYPE = re.compile(r"[a-z][a-z0-9-]{1,20}\.[a-z0-9-]{1,20}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]")
_ACCELERATOR_LABEL = "ray.io/accelerator-type"
_SPOT_PRIORITY = 10
"""Ray takes the node type of the highest priority among those that fit equally well; on demand has 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prices:
    """What is paid beside the GPU nodes."""

    head: HeadType
    beside: Beside


def render(wanted: Wanted) -> Rendering:
    """The cluster file, and what it costs.

    Raises:
        JobFileError: a node that EC2 does not have, two regions, or an option that makes no sense.
    """
    options = read_options(wanted.options, AwsOptions)
    for pool in wanted.pools:
        _check(pool)
    region = _region(wanted.pools, options)
    heads = read_heads()
    prices = _Prices(head=heads.head("aws", options.head_type), beside=heads.extras("aws"))
    lines = (_head_line(prices.head), *(_line(pool) for pool in wanted.pools), *_beside(wanted, prices, options))
    most = sum((line.most_usd_per_hour for line in lines), Decimal(0))
    zones = options.zones or tuple(dict.fromkeys(zone for pool in wanted.pools for zone in pool.zones))
    name = f"{options.name}-{wanted.job.name}"
    file = ClusterFile(
        name=name,
        region=region,
        zones=zones,
        max_workers=sum(pool.max for pool in wanted.pools),
        most_usd_per_hour=most,
        head_usd_per_hour=prices.head.usd_per_hour,
        groups=(_head(prices.head, options), *(_group(pool, options) for pool in wanted.pools)),
        options=options,
    )
    return Rendering(
        lines=lines,
        creates=_creates(wanted, options, region, zones),
        files={"cluster.yaml": cluster_file(file)},
        notes=tuple(_notes(wanted, options, region)),
        next=(
            "ray get-auth-token --generate    # once; it stays in ~/.ray/auth_token",
            "ray up -y {folder}/cluster.yaml",
            "ray dashboard {folder}/cluster.yaml    # and, while that runs:",
            "RAY_AUTH_MODE=token spotrender submit JOB.yaml --address http://127.0.0.1:8265 --detach",
            "ray down -y {folder}/cluster.yaml",
        ),
    )


def _check(pool: Pool) -> None:
    """Raise for nodes that EC2 cannot have. Raises: JobFileError."""
    if pool.market == "local" or not _TYPE.fullmatch(pool.type) or pool.provider not in {"aws", "auto", "static"}:
        raise JobFileError(
            f"nodes: {pool.type} ({pool.market}) is no instance type of EC2; name types such as g6e.xlarge, "
            "or take another --target"
        )


def _region(pools: tuple[Pool, ...], options: AwsOptions) -> str:
    """The one region of the cluster. Raises: JobFileError: there are several, or it is none."""
    named = dict.fromkeys(pool.region for pool in pools if pool.region)
    region = options.region or next(iter(named), REGION)
    if len(named) > 1 and not options.region:
        raise JobFileError(f"nodes: are in {' and '.join(named)}; say one with --with region=...")
    if not _REGION.fullmatch(region):
        raise JobFileError(f"region: must be one such as {REGION}, got {region!r}")
    wrong = [zone for pool in pools for zone in (*pool.zones, *options.zones) if not _zone_of(zone, region)]
    if wrong:
        raise JobFileError(f"zone: {wrong[0]!r} is none of {region}; name zones such as {region}a")
    return region


def _zone_of(zone: str, region: str) -> bool:
    """Whether it is a zone of this region; local zones have longer names."""
    return re.fullmatch(rf"{re.escape(region)}(-[a-z]+-[0-9])?[a-z]", zone) is not None


def _head_line(head: HeadType) -> Line:
    doubt = "" if head.certain else ", not looked up again"
    return Line(
        name=f"head {head.type}",
        market="on_demand",
        count=1,
        usd_per_hour=head.usd_per_hour,
        price_source=f"configs/heads.yaml ({head.source}, {head.as_of}){doubt}",
    )


def _line(pool: Pool) -> Line:
    return Line(
        name=pool.type,
        market=pool.market,
        count=pool.max,
        usd_per_hour=pool.usd_per_hour,
        price_source=pool.price_source,
    )


def _beside(wanted: Wanted, prices: _Prices, options: AwsOptions) -> tuple[Line, ...]:
    """Disks and addresses of all nodes."""
    beside, workers = prices.beside, sum(pool.max for pool in wanted.pools)
    source = f"configs/heads.yaml ({beside.source}, {beside.as_of})"
    kinds = [
        (f"disk of {options.head_gib} GiB", 1, beside.disk_usd_per_hour(options.head_gib)),
        (f"disk of {options.disk_gib} GiB", workers, beside.disk_usd_per_hour(options.disk_gib)),
    ]
    if not options.ssm:
        kinds.append(("public address", workers + 1, beside.usd_per_address_hour))
    return tuple(
        Line(name=name, market="on_demand", count=count, usd_per_hour=usd, price_source=source)
        for name, count, usd in kinds
    )


def _head(head: HeadType, options: AwsOptions) -> NodeGroup:
    """The head renders nothing: it offers Ray neither CPUs nor GPUs."""
    return NodeGroup(
        name="head",
        type=head.type,
        max=0,
        spot=False,
        priority=None,
        resources={"CPU": 0, "GPU": 0},
        labels={"ray.io/market-type": "on-demand"},
        image=options.head_image,
        profile=options.head_profile,
        disk_gib=options.head_gib,
    )


def _group(pool: Pool, options: AwsOptions) -> NodeGroup:
    """Workers; their CPUs and memory are what EC2 says of the type."""
    accelerator = {_ACCELERATOR_LABEL: label(pool.gpu)} if pool.gpu not in {"", "cpu"} else {}
    return NodeGroup(
        name=pool.name,
        type=pool.type,
        max=pool.max,
        spot=pool.market == "spot",
        priority=_SPOT_PRIORITY if pool.market == "spot" else 0,
        resources={} if pool.gpu == "cpu" else {"GPU": pool.gpus},
        labels={**pool.labels, **accelerator},
        image=options.ami,
        profile=options.worker_profile,
        disk_gib=options.disk_gib,
    )


def label(text: str) -> str:
    """The text as a value of a Ray label: `RTX PRO 6000` is `RTX-PRO-6000`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")[:63]


def _creates(wanted: Wanted, options: AwsOptions, region: str, zones: tuple[str, ...]) -> tuple[str, ...]:
    workers = ", ".join(f"{pool.max} x {pool.type} {pool.market.replace('_', ' ')}" for pool in wanted.pools)
    place = f"in {region}, " + (f"zones {', '.join(zones)}" if zones else "any zone that the VPC has a subnet in")
    return (
        f"one head on demand, and up to {workers}; {place}",
        f"nodes come as the job asks for them, and go after {options.idle_minutes} idle minutes; the head stays",
        "an SSH key pair, unless --with key= and key_file= name one",
    )


def _notes(wanted: Wanted, options: AwsOptions, region: str) -> list[str]:
    notes = [
        f"{pool.type} {pool.market.replace('_', ' ')}: {pool.price_source}"
        for pool in wanted.pools
        if "no spot price known" in pool.price_source
    ]
    if region != REGION:
        notes.append(f"prices of head, disks and addresses are those of {REGION}; {region} may differ")
    if options.ssm:
        notes.append("nodes without public addresses need another way out: a NAT gateway, which is not counted here")
    if not options.security_group:
        notes.append(
            f"the security group {options.security_group_name} must be there, as infra/cluster/terraform makes it; "
            "where it is not, Ray makes one that lets the whole world at port 22"
        )
    if not any(pool.market == "on_demand" for pool in wanted.pools):
        notes.append("all workers are spot: in a drought of capacity the job waits; add a type, or one on demand")
    return notes

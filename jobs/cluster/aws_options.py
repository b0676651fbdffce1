"""What `--with` says of a cluster on EC2; the names are those that infra/cluster/terraform gives."""

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, model_validator

from jobs.jobfile.values import shown
from jobs.written import Written

_WORD = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_AMI = re.compile(r"ami-[0-9a-f]{8,17}|resolve:ssm:[A-Za-z0-9/._-]{1,400}")
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9./:@_-]{0,400}")
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}")
_GROUP = re.compile(r"sg-[0-9a-f]{8,17}")
_PATH = re.compile(r"[^\x00-\x1f\x7f]{1,1000}")

_SSM = "resolve:ssm:/aws/service"
_DEEP_LEARNING = f"{_SSM}/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
_UBUNTU = f"{_SSM}/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"


def _text(form: re.Pattern[str], like: str) -> BeforeValidator:
    """Text of this form alone."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise ValueError(f"must be such as {like}, got {shown(value)}")
        return value

    return BeforeValidator(check)


def _whole(least: int, most: int) -> BeforeValidator:
    """A whole number in these bounds, written in digits."""

    def check(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value) and least <= int(value) <= most:
            return int(value)
        if isinstance(value, int) and least <= value <= most:
            return value
        raise ValueError(f"must be a whole number from {least} to {most}, got {shown(value)}")

    return BeforeValidator(check)


def _several(form: re.Pattern[str], like: str) -> BeforeValidator:
    """Words of this form, parted by commas."""

    def check(value: Any) -> tuple[str, ...]:
        words = tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else tuple(value)
        if not all(form.fullmatch(word) for word in words):
            raise ValueError(f"must be such as {like}, got {shown(value)}")
        return words

    return BeforeValidator(check)


def _switch(value: Any) -> bool:
    """`true` or `false`."""
    if value in {True, False, "true", "false"}:
        return value in {True, "true"}
    raise ValueError(f"must be true or false, got {shown(value)}")


class AwsOptions(Written):
    """Keys of `--with`."""

    name: Annotated[str, _text(_NAME, "spotrender")] = "spotrender"
    """What the cluster's name begins with: the driver's role launches and ends nodes of such clusters alone."""
    region: Annotated[str, _text(_WORD, "us-east-1")] = ""
    """Empty: the job's, or us-east-1."""
    zones: Annotated[tuple[str, ...], _several(_WORD, "us-east-1a,us-east-1b")] = ()
    """In the order in which they are tried; empty: those that the job names, else all."""
    subnets: Annotated[tuple[str, ...], _several(_SUBNET, "subnet-0123456789abcdef0")] = ()
    """Of one VPC; empty: Ray takes those of the zones."""
    security_group: Annotated[str, _text(_GROUP, "sg-0123456789abcdef0")] = ""
    """Empty: the one called `security_group_name`."""
    security_group_name: Annotated[str, _text(_WORD, "spotrender")] = "spotrender"
    head_profile: Annotated[str, _text(_WORD, "spotrender-driver")] = "spotrender-driver"
    """Instance profile of the head."""
    worker_profile: Annotated[str, _text(_WORD, "spotrender-worker")] = "spotrender-worker"
    """Instance profile of the workers."""
    head_type: Annotated[str, _text(_WORD, "m7i.large")] = ""
    """A row of `configs/heads.yaml`; empty: the first one."""
    ami: Annotated[str, _text(_AMI, "ami-0123456789abcdef0")] = _DEEP_LEARNING
    """Of the workers: Ubuntu with NVIDIA's driver (and Docker, where `image` is given)."""
    head_ami: Annotated[str, _text(_AMI, "ami-0123456789abcdef0")] = ""
    """Of the head: Ubuntu; empty: Canonical's, or `ami` where a container runs on it."""
    image: Annotated[str, _text(_IMAGE, "registry/spotrender:1.0")] = ""
    """A container image with Spotrender; empty: the versions of this machine are installed on each node."""
    disk_gib: Annotated[int, _whole(20, 16_000)] = 100
    """Root volume of each worker."""
    head_disk_gib: Annotated[int, _whole(20, 16_000)] = 50
    """At least; where the head has the workers' AMI, it has their disk, too, as an AMI may ask for more."""
    idle_minutes: Annotated[int, _whole(1, 1_440)] = 5
    """A node that has nothing to do for so long is ended."""
    key: Annotated[str, _text(_WORD, "my-key")] = ""
    """Name of an EC2 key pair; empty: Ray makes one."""
    key_file: Annotated[str, _text(_PATH, "~/.ssh/my-key.pem")] = ""
    """Its private half."""
    ssm: Annotated[bool, BeforeValidator(_switch)] = False
    """Reach nodes through Session Manager: no open port, no public address."""

    @model_validator(mode="after")
    def _key_is_whole(self) -> Self:
        """A key pair is a name and a file."""
        if bool(self.key) != bool(self.key_file):
            raise ValueError("key and key_file: give both, or none")
        return self

    @property
    def head_image(self) -> str:
        """AMI of the head."""
        return self.head_ami or (self.ami if self.image else _UBUNTU)

    @property
    def head_gib(self) -> int:
        """Root volume of the head."""
        return max(self.head_disk_gib, self.disk_gib) if self.head_image == self.ami else self.head_disk_gib

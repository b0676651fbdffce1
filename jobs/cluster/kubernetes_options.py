"""What `--with` says of a cluster on Kubernetes."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from jobs.cluster.any_machine import HeadPrice
from jobs.jobfile.values import choice, shown
from jobs.written import Written

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9./:_-]{0,300}:[A-Za-z0-9._-]{1,120}")
_ROLE = re.compile(r"[A-Za-z0-9:@/+=,._-]{1,300}")


def _form(form: re.Pattern[str], like: str) -> BeforeValidator:
    """Text of this form alone; empty is left open."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or (value and not form.fullmatch(value)):
            raise ValueError(f"must be such as {like}, got {shown(value)}")
        return value

    return BeforeValidator(check)


class KubernetesOptions(Written):
    """Keys of `--with`."""

    cloud: Annotated[str, BeforeValidator(choice("plain", "aws-eks", "gke"))] = "plain"
    """Whose labels, roles and notice times hold."""
    kind: Annotated[str, BeforeValidator(choice("job", "cluster"))] = "job"
    """A RayJob, whose cluster is gone with the job; or a RayCluster that stands, for `--detach`."""
    image: Annotated[str, _form(_IMAGE, "registry.acme.com/spotrender:1.0")] = ""
    """With Spotrender in it, built from infra/cluster/docker; empty: one that has still to be named."""
    namespace: Annotated[str, _form(_NAME, "spotrender")] = "spotrender"
    queue: Annotated[str, _form(_NAME, "renders")] = ""
    """A local queue of Kueue; empty: none."""
    driver_role: Annotated[str, _form(_ROLE, "arn:aws:iam::111122223333:role/driver")] = ""
    """The cloud's role of the head's service account."""
    worker_role: Annotated[str, _form(_ROLE, "arn:aws:iam::111122223333:role/worker")] = ""
    """The same of the workers'."""
    head_usd_per_hour: HeadPrice = None
    """What the head's share of its node costs; None: not known but on EKS, where it is a whole small node."""

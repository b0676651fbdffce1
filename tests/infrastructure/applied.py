"""What terraform made on a server of this machine, for all tests that look at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from tests.infrastructure.policy import Policy
from tests.infrastructure.terraform import Terraform


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The configuration, applied once for all tests."""

    terraform: Terraform
    endpoint_url: str
    planned: Mapping[str, Any]
    """Address -> values, of the first plan."""
    budget: Mapping[str, Any]
    """The same of a plan with a budget."""
    outputs: Mapping[str, Any]

    def client(self, service: str) -> Any:
        """A client of AWS, as an administrator."""
        make: Any = boto3.client  # its hints want the service's name spelt out
        return make(
            service,
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def policies(self, role: str) -> list[Policy]:
        """The documents that the role has."""
        iam, name = self.client("iam"), f"spotrender-{role}"
        names = iam.list_role_policies(RoleName=name)["PolicyNames"]
        return [iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in names]

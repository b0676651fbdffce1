"""infra/cluster/terraform: valid, applied against moto, and settled: a second plan changes nothing."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.imports import ROOT
from tests.infrastructure.applied import Applied
from tests.infrastructure.terraform import Terraform

pytestmark = pytest.mark.terraform

BUCKET = "acme-spotrender"


def test_second_plan_changes_nothing(applied: Applied) -> None:
    """What was applied is what is wanted."""
    ended = applied.terraform.run("plan", "-input=false", "-detailed-exitcode")
    assert ended.code == 0, ended.output


def test_bucket_is_private_encrypted_and_tidies_itself_up(applied: Applied) -> None:
    """Nothing in it can be made public, and what was never finished goes away."""
    s3 = applied.client("s3")
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]}
    assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert rules["probes"]["Filter"]["Prefix"] == "renders/jobs/.probe/"
    assert set(rules) == {"unfinished-uploads", "probes"}, "images were to stay"


def test_bucket_is_reached_over_tls_alone(applied: Applied) -> None:
    """Whoever asks without is refused, whatever else lets them."""
    policy = applied.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"].replace(" ", "")
    assert '"aws:SecureTransport":"false"' in policy
    assert '"Effect":"Deny"' in policy


def test_rays_ports_are_open_to_the_group_alone(applied: Applied) -> None:
    """Every way in is from the group itself, or SSH from the address that was named."""
    groups = applied.client("ec2").describe_security_groups(GroupNames=["spotrender"])["SecurityGroups"]
    (group,) = groups
    from_group = [rule for rule in group["IpPermissions"] if rule["UserIdGroupPairs"]]
    from_outside = [rule for rule in group["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert {pair["GroupId"] for rule in from_group for pair in rule["UserIdGroupPairs"]} == {group["GroupId"]}
    assert [(rule["FromPort"], rule["ToPort"], rule["IpRanges"][0]["CidrIp"]) for rule in from_outside] == [
        (22, 22, "203.0.113.7/32")
    ]


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/8", "everywhere"])
def test_ssh_for_the_world_is_refused(cidr: str, tmp_path: Path) -> None:
    """By the variable itself, before anybody is asked."""
    shutil.copy(ROOT / "infra/cluster/terraform/variables.tf", tmp_path)
    variables = Terraform(folder=tmp_path, environment={"TF_CLI_CONFIG_FILE": os.devnull})
    ended = variables.run("plan", "-input=false", "-var=bucket=acme", f'-var=ssh_cidrs=["{cidr}"]')
    assert ended.code == 1
    assert "SSH is not for the world" in ended.output


def test_budget_alarm_is_there_when_asked_for(applied: Applied) -> None:
    """Without it there is none; with it mail goes out before the money is spent."""
    extra = set(applied.budget) - set(applied.planned)
    assert extra == {"aws_budgets_budget.month[0]"}
    budget: Any = applied.budget["aws_budgets_budget.month[0]"]
    assert (budget["limit_amount"], budget["limit_unit"]) == ("400", "USD")
    assert {(one["notification_type"], one["threshold"]) for one in budget["notification"]} == {
        ("ACTUAL", 80),
        ("FORECASTED", 100),
    }


def test_nodes_have_profiles_with_their_own_roles(applied: Applied) -> None:
    """The names are those that `cluster render` takes when nobody says others, and only EC2 may take node roles."""
    iam = applied.client("iam")
    for role in ("driver", "worker"):
        (held,) = iam.get_instance_profile(InstanceProfileName=f"spotrender-{role}")["InstanceProfile"]["Roles"]
        assert held["RoleName"] == f"spotrender-{role}"
        (statement,) = held["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": ["ec2.amazonaws.com"]}


def test_outputs_are_what_the_commands_take(applied: Applied) -> None:
    """The store as `--store` takes it; options for `cluster render`."""
    assert applied.outputs["store"] == f"s3://{BUCKET}/renders"
    assert set(applied.outputs["roles"]) == {"driver", "worker", "reader", "submitter"}
    assert applied.outputs["render"].startswith("--with region=us-east-1 --with security_group=sg-")

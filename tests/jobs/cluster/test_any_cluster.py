"""Clusters of machines that we do not launch: the job travels to Kubernetes whole, scripts start Ray on others."""

import subprocess
from pathlib import Path

import pytest
import yaml

from infra.compute.ray_demand import node_labels
from infra.compute.ray_session import LOCAL_ENVIRONMENT, OBJECT_STORE_BYTES
from jobs.jobfile.loading import Options, load
from tests.jobs.cluster.made_cluster import job_file, refused, rendered

MORE = """
defaults: {steps: 30, guidance_scale: 7.0, negative_prompt: "blurry: \\u00fcber"}
images_per_prompt: 4
sweep: {guidance_scale: [5.0, 7.5]}
budget: {usd: 25, usd_per_image: 0.004}
deadline: 2026-11-30T07:00:00+00:00
notify: [{webhook_env: HOOK, on: [failed]}]
"""


def with_options(**options: str) -> list[str]:
    """Words of the command line."""
    return [word for key, value in options.items() for word in ("--with", f"{key}={value}")]


def test_job_travels_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The job file in the config map means what the user's own does, and its manifest lies beside it."""
    job = job_file(tmp_path, more=MORE)
    rendered(capsys, job, "kubernetes", "--to", str(tmp_path / "k"))
    files = yaml.safe_load((tmp_path / "k" / "files.yaml").read_text())["data"]
    (tmp_path / "pod").mkdir()
    for name, text in files.items():
        (tmp_path / "pod" / name).write_text(text)
    there = load(str(tmp_path / "pod" / "job.yaml"), Options())
    here = load(str(job), Options())
    assert Path(there.manifest).read_bytes() == Path(here.manifest).read_bytes()
    assert there.model_copy(update={"manifest": here.manifest}) == here
    head = yaml.safe_load((tmp_path / "k/base/ray-cluster.yaml").read_text())["spec"]["headGroupSpec"]["template"][
        "spec"
    ]
    mounts = {one["name"]: one["mountPath"] for one in head["containers"][0]["volumeMounts"]}
    ray_job = yaml.safe_load((tmp_path / "k/job/ray-job.yaml").read_text())
    assert f" {mounts['files']}/job.yaml " in ray_job["spec"]["entrypoint"]


def test_what_pods_cannot_reach_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store, a model or a manifest of this machine alone, and labels that are none: each with its remedy."""
    job = job_file(tmp_path)
    assert "pods need s3://" in refused(capsys, job, "kubernetes", "--store", str(tmp_path / "out"))
    assert "put it on the hub" in refused(capsys, job, "kubernetes", "--model", str(tmp_path))
    (tmp_path / "p.jsonl").write_bytes(b'{"prompt": "\xff"}')
    assert "put it on S3" in refused(capsys, job, "kubernetes")
    assert "cloud=aws-eks or gke" in refused(capsys, job, "kubernetes", *with_options(driver_role="x"))
    odd = job_file(tmp_path, nodes='[{type: "a,b=c", market: spot, usd_per_hour: 1}]')
    assert "makes no label" in refused(capsys, odd, "kubernetes")
    assert "makes no label" in refused(capsys, odd, "runpod")
    told = refused(capsys, job, "kubernetes", *with_options(cloud="eks", image="no tag", driver_role="x"))
    assert "must be plain, aws-eks or gke" in told
    assert "image: must be such as registry.acme.com/spotrender:1.0" in told


@pytest.mark.parametrize(("kind", "seconds"), [("runpod", 4), ("bare", 30)])
def test_scripts_start_ray_with_labels_token_and_drain(
    kind: str, seconds: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is shell that parses; what they say agrees with what the job asks for and with our own Ray."""
    found = rendered(capsys, job_file(tmp_path), kind, "--to", str(tmp_path / "nodes"))
    names = ["head.sh", "worker-g6e.xlarge-spot.sh", "worker-g7e.2xlarge-spot.sh", "worker-g6e.xlarge-on-demand.sh"]
    assert found["files"] == names
    for name in names:
        text = (tmp_path / "nodes" / name).read_text()
        subprocess.run(["sh", "-n", tmp_path / "nodes" / name], check=True)
        assert "export RAY_AUTH_MODE=token" in text
        assert f"--object-store-memory {OBJECT_STORE_BYTES} " in text
    worker = (tmp_path / "nodes" / "worker-g6e.xlarge-on-demand.sh").read_text()
    labels = ",".join(f"{key}={value}" for key, value in node_labels("g6e.xlarge", "on_demand").items())
    assert f"--labels {labels} " in worker
    assert f":-{seconds}}}" in worker
    head = (tmp_path / "nodes" / "head.sh").read_text()
    assert "--dashboard-host 127.0.0.1" in head
    health = {name: value for name, value in LOCAL_ENVIRONMENT.items() if name.startswith("RAY_health")}
    assert all(f"{name}={value}" in head for name, value in health.items())


def test_head_is_never_free(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where its price is not known, that is said; where it is said, it counts, and the driver is told."""
    job = job_file(tmp_path)
    unknown = rendered(capsys, job, "runpod")
    assert not any(line["name"] == "head" for line in unknown["lines"])
    assert any("the head is not counted" in note for note in unknown["notes"])
    known = rendered(capsys, job, "runpod", *with_options(head_usd_per_hour="0.07"))
    assert (known["lines"][0]["name"], known["lines"][0]["usd_per_hour"]) == ("head", 0.07)
    assert any(line.startswith("SPOTRENDER_HEAD_USD_PER_HOUR=0.07 ") for line in known["next"])
    on_eks = rendered(capsys, job, "kubernetes", *with_options(cloud="aws-eks"))
    assert on_eks["lines"][0]["name"] == "head m7i.large"

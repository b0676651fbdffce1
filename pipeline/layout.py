"""Where everything lies in a store: every key that Spotrender writes is named here and nowhere else."""

import re

_JOB = re.compile(r"[a-z0-9][a-z0-9-]{0,80}-[0-9a-f]{16}")


def is_job_id(text: str) -> bool:
    """Whether the text has the form of a job id, `<name>-<16 hex digits>`."""
    return _JOB.fullmatch(text) is not None


def image_key(image_id: str, sha256: str, extension: str) -> str:
    """`images/<id[:2]>/<id>-<first 16 of the bytes' sha256>.<ext>`: a key never changes its content."""
    return f"images/{image_id[:2]}/{image_id}-{sha256[:16]}.{extension}"


def image_folder(prefix: str) -> str:
    """The folder of all images whose id starts with these two hex digits."""
    return f"images/{prefix[:2]}/"


def index_key(shard: str) -> str:
    """One shard of the index image id -> key."""
    return f"index/images/{shard}.parquet"


def job_folder(job: str) -> str:
    """All of one job, with a trailing `/`."""
    return f"jobs/{job}/"


def job_key(job: str) -> str:
    """What is rendered, frozen, create-only."""
    return f"jobs/{job}/job.json"


def settings_key(job: str, number: int) -> str:
    """Nodes, budget, deadline, notify; the highest number holds."""
    return f"jobs/{job}/settings/{number:06d}.json"


def requests_key(job: str, number: int) -> str:
    """A row per manifest row and image, in manifest order."""
    return f"jobs/{job}/requests/{number:05d}.parquet"


def records_prefix(job: str, task: str = "") -> str:
    """All records of a job, or of one of its tasks."""
    return f"jobs/{job}/records/{task}-" if task else f"jobs/{job}/records/"


def record_key(job: str, name: str) -> str:
    """One record, by its name `<task>-<attempt>-<sequence>`."""
    return f"jobs/{job}/records/{name}.json"


def record_task(key: str) -> str:
    """The task id in a record's key."""
    return key.rpartition("/")[2].partition("-")[0]


def record_name(key: str) -> str:
    """The record's name in its key."""
    return key.rpartition("/")[2].removesuffix(".json")


def packed_prefix(job: str) -> str:
    """Where clean-up keeps the records that it took out of their own objects."""
    return f"jobs/{job}/packed/"


def packed_key(job: str, bucket: str) -> str:
    """All records of one ledger bucket in one object, word for word."""
    return f"jobs/{job}/packed/{bucket}.parquet"


def status_key(job: str, fence: int) -> str:
    """Progress as one driver tells it; readers take the highest fence."""
    return f"jobs/{job}/status/{fence:08d}.json"


def lease_key(job: str) -> str:
    """Who drives the job."""
    return f"jobs/{job}/lease.json"


def control_key(job: str) -> str:
    """What a user asked of a running job: pause, cancel, or nothing."""
    return f"jobs/{job}/control.json"


def node_key(job: str, node_session: str, fence: int) -> str:
    """One node's life inside this job, as one driver tells it; readers take the highest fence."""
    return f"jobs/{job}/nodes/{node_session}/{fence:08d}.json"


def report_key(job: str) -> str:
    """What the job cost, as a page."""
    return f"jobs/{job}/report.html"


def delivered_key(job: str) -> str:
    """Where the job's images were delivered to, once that is done."""
    return f"jobs/{job}/delivered.json"


def failures_key(job: str) -> str:
    """A valid manifest of the images that failed, with the cause in a tag."""
    return f"jobs/{job}/failures.jsonl"


def log_key(job: str, name: str) -> str:
    """One log of a job."""
    return f"jobs/{job}/logs/{name}"


def memory_key(name: str) -> str:
    """What was learned of one model, shape and GPU: the batch size that fits."""
    return f"memory/{name}.json"


def compiled_key(name: str, extension: str) -> str:
    """What was compiled (`bin`) of one model and shape for one kind of GPU, or measured of that (`json`)."""
    return f"memory/compiled/{name}.{extension}"


def sweep_key() -> str:
    """How far the clean-up is that goes on now; drivers that begin look at it."""
    return "memory/clean-up.json"


SWEEPER = ".gc"
"""Stands in the place of a job id in the key of the lease that a clean-up holds: `jobs/.gc/lease.json`."""


def collected_key(shard: str) -> str:
    """Files of images that clean-up removed, by the first digit of their ids: what is missing and not lost."""
    return f"index/collected/{shard}.parquet"


def probe_key(token: str) -> str:
    """Where a driver leaves the token by which workers know that they see the same store."""
    return f"jobs/.probe/{token}"


def ledger_images_key(date: str, job: str, bucket: str) -> str:
    """One bucket of the images ledger; `date` is the day of the submit, `YYYY-MM-DD`, UTC."""
    return f"ledger/images/date={date}/job={job}/{bucket}.parquet"


def ledger_nodes_key(date: str, job: str, bucket: str) -> str:
    """One bucket of the node sessions' ledger."""
    return f"ledger/nodes/date={date}/job={job}/{bucket}.parquet"


def price_key(source: str, region: str, name: str) -> str:
    """What a provider told of the prices of one kind of node."""
    return f"prices/{source}/{region}/{name}.json"


def nightly_key(entry: str) -> str:
    """What is known of the runs of one entry of a nightly file."""
    return f"nightly/{entry}.json"


def model_blob_key(sha256: str) -> str:
    """One file of some models, under the hash of its content."""
    return f"models/blobs/{sha256}"


MODEL_BLOBS = "models/blobs/"
"""All files of all models."""

MODELS = "models/"
"""Files and manifests of all models."""


def model_manifests_folder(name: str) -> str:
    """The manifests of one model; `name` is a slug, and not `blobs`."""
    return f"models/{name}/"


def model_manifest_key(name: str, revision: str) -> str:
    """Which files make one revision of a model, create-only."""
    return f"models/{name}/{revision}.json"

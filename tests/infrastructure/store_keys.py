"""A key of each kind that the store's layout knows, from the functions that name them."""

from collections.abc import Mapping

from pipeline import layout

JOB = f"night-{'0' * 16}"

KEYS: Mapping[str, str] = {
    "image": layout.image_key("a" * 64, "b" * 64, "png"),
    "index": layout.index_key("a"),
    "job": layout.job_key(JOB),
    "settings": layout.settings_key(JOB, 0),
    "requests": layout.requests_key(JOB, 0),
    "record": layout.record_key(JOB, "0001-0a-0000"),
    "packed": layout.packed_key(JOB, "0"),
    "delivered": layout.delivered_key(JOB),
    "sweep": layout.sweep_key(),
    "collected": layout.collected_key("a"),
    "status": layout.status_key(JOB, 1),
    "lease": layout.lease_key(JOB),
    "control": layout.control_key(JOB),
    "node": layout.node_key(JOB, "i-1", 1),
    "report": layout.report_key(JOB),
    "failures": layout.failures_key(JOB),
    "log": layout.log_key(JOB, "00000001-000000.jsonl"),
    "worker log": layout.log_key(JOB, "worker-0a-0-000000.jsonl"),
    "memory": layout.memory_key("0" * 32),
    "compiled": layout.compiled_key("0" * 32, "bin"),
    "probe": layout.probe_key("0" * 32),
    "ledger images": layout.ledger_images_key("2026-11-21", JOB, "0"),
    "ledger nodes": layout.ledger_nodes_key("2026-11-21", JOB, "0"),
    "price": layout.price_key("ec2", "us-east-1", "g6e.xlarge-any"),
    "nightly": layout.nightly_key("night"),
    "model file": layout.model_blob_key("0" * 64),
    "model": layout.model_manifest_key("sdxl", "0" * 16),
}
"""Kind -> key."""

LAYOUT = sorted(KEYS)

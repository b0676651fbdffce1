"""Stands in for a driver whose workers have GPUs: tells their figures to a Ray cluster until its stdin ends.

`python -m tests.infrastructure.gpu_teller ADDRESS` first prints the ports at which the cluster's nodes serve metrics.
"""

import json
import logging
import select
import sys

import ray

from infra.compute.metric_recorder import Recorder
from infra.compute.ray_metrics import RayExport

JOB = "gpus-0123456789abcdef"
WHERE = {"job": JOB, "node_type": "g6.xlarge", "market": "spot"}


def main() -> None:
    """Tell, once a second."""
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
    print(json.dumps([node["MetricsExportPort"] for node in ray.nodes()]), flush=True)  # noqa: T201 - the answer
    recorder = Recorder()
    export = RayExport(recorder)
    while not select.select([sys.stdin], [], [], 1.0)[0]:
        recorder.add("gpu_seconds_total", 0.9, **WHERE)
        recorder.add("gpu_busy_seconds_total", 0.8, **WHERE)
        recorder.add("gpu_energy_joules_total", 60.0, **WHERE)
        recorder.set("gpu_memory_peak_bytes", 14 << 30, **WHERE)
        export.export()


if __name__ == "__main__":
    main()

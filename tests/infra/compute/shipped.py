"""A driver that sends its code along: `python -m tests.infra.compute.shipped ADDRESS STORE`; says `ready`."""

import sys
from pathlib import Path

from infra.compute.ray_cluster import RayCompute
from pipeline.clock import SystemClock
from pipeline.events import WorkerReady
from tests.infra.compute.jobs import Listener, cluster_offer, spec


def main() -> None:
    """Start one worker; that it gets ready means that it runs this driver's code."""
    address, store = sys.argv[1:]
    compute = RayCompute(spec(Path(store), address=address, offers=(cluster_offer(),)), clock=SystemClock())
    compute.start()
    Listener(compute).first(WorkerReady)
    compute.close()
    print("ready")  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()

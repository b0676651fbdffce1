"""A real Ray cluster, shared by the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.infra.compute.real_cluster import RayCluster, running_cluster


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster that has only its head."""
    with running_cluster() as cluster:
        yield cluster

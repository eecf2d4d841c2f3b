"""Real SLURM clusters for the tests of this room, one of each kind per test worker."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cluster import Cluster, missing_programs


def _cluster(folder: Path, **settings) -> Iterator[Cluster]:
    if missing := missing_programs():
        message = f"no SLURM here ({', '.join(missing)} missing): .ci/run installs Debian's packages"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    if os.geteuid() != 0:
        pytest.skip("a SLURM cluster of one's own takes root")
    cluster = Cluster(folder, **settings)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of eight GPUs, with accounting."""
    yield from _cluster(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="session")
def cluster_without_accounting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node of eight GPUs, without slurmdbd: sacct knows nothing."""
    yield from _cluster(tmp_path_factory.mktemp("plain"), nodes=1, accounting=False)

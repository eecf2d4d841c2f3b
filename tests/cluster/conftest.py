"""Real SLURM clusters for the tests of this room, one of each kind per test worker."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cluster import Cluster, missing_programs


def _cluster(**settings) -> Iterator[Cluster]:
    lacking = [*missing_programs(), *(["root's rights"] if os.geteuid() else [])]
    if lacking:
        message = f"no SLURM cluster can be made here, {', '.join(lacking)} missing: .ci/run installs Debian's packages"
        if os.environ.get("CI"):
            pytest.fail(message)  # there nothing but GPU tests is skipped
        pytest.skip(message)
    # Not below pytest's own temporary folder, which only root may enter.
    with tempfile.TemporaryDirectory(prefix="winnow-slurm-") as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder), **settings)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes of eight GPUs, with accounting."""
    yield from _cluster()


@pytest.fixture(scope="session")
def cluster_without_accounting() -> Iterator[Cluster]:
    """One node of eight GPUs, without slurmdbd: sacct knows nothing."""
    yield from _cluster(nodes=1, accounting=False)


@pytest.fixture(scope="module")
def cluster_to_break() -> Iterator[Cluster]:
    """Four nodes and accounting, for one file alone: its tests take nodes away."""
    yield from _cluster(nodes=4)

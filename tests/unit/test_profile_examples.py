"""The worked examples of profiles/README.md: each site's partitions take every kind of job of the main study."""

import re
from types import SimpleNamespace

import pytest
import yaml
from snakemake_executor_plugin_slurm.partitions import read_partition_file

from winnow.core.config.studies import Gpus
from workflow import ROOT

README = (ROOT / "profiles" / "README.md").read_text(encoding="utf-8")
SITES = re.split(r"(?m)^### ", README)[1:]
JOBS = {
    "ingest": {"mem_mb": 4000, "runtime": 60},
    "judge": {"gpu": 2, "mem_mb": 64000, "runtime": 240},
    "train": {"gpu": 8, "mem_mb": 256000, "runtime": 720},
    "evaluate": {"gpu": 1, "mem_mb": 64000, "runtime": 240},
}
THREADS = {"ingest": 1, "judge": 8, "train": 64, "evaluate": 8}


def blocks(site):
    """File → settings, for the YAML blocks of a site."""
    found = re.findall(r"```yaml\n# ([\w./]+\.yaml).*\n((?:.*\n)*?)```", site)
    return {file: yaml.safe_load(text) for file, text in found}


@pytest.mark.parametrize("site", SITES, ids=[site.partition("\n")[0] for site in SITES])
def test_every_job_finds_a_partition_and_gpu_jobs_one_with_gpus(tmp_path, site):
    settings = blocks(site)
    file = tmp_path / "partitions.yaml"
    file.write_text(yaml.safe_dump(settings["profiles/slurm/partitions.yaml"]))
    partitions = read_partition_file(file)
    for kind, needs in JOBS.items():
        threads = min(THREADS[kind], settings["profiles/slurm/config.yaml"].get("cores", 64))
        job = SimpleNamespace(name=kind, threads=threads, resources=needs)
        scores = {p.name: score for p in partitions if (score := p.score_job_fit(job)) is not None}
        best = max(scores, key=scores.get)
        limits = next(p.limits for p in partitions if p.name == best)
        assert (limits.max_gpu > 0) == bool(needs.get("gpu")) or len(partitions) == 1, (kind, scores)
    if "config.yaml" in settings:
        Gpus.model_validate(settings["config.yaml"]["gpus"])


def test_there_are_three():
    assert len(SITES) == 3

"""What the profiles ask of a scheduler, as a dry run shows it."""

import re
import shutil
from collections import Counter

import pytest
import yaml

from workflow import ROOT, copy_checkout, planned, snakemake, touch_raw_files

# The main study on a cluster: what a job does, how many there are → what each asks for. Written down by hand.
TRAINING = "gpu=8 cpu=64 mem_mb=256000 runtime=720"
JUDGING = "gpu=2 cpu=8 mem_mb=64000 runtime=240"
PUBLISHED = {
    ("Reading the corpus", 1): "cpu=1 mem_mb=4000 runtime=60",
    ("Splitting the prompts", 1): "cpu=1 mem_mb=4000 runtime=60",
    ("Drawing the images", 2): "cpu=4 mem_mb=8000 runtime=240",
    ("Judging", 19): JUDGING,
    ("Choosing the checklist", 1): "cpu=1 mem_mb=4000 runtime=120",
    ("Gathering the scores", 1): "cpu=1 mem_mb=4000 runtime=60",
    ("Selecting", 1): "cpu=1 mem_mb=4000 runtime=30",
    ("Pairing", 1): "cpu=1 mem_mb=4000 runtime=30",
    ("Rendering", 9): "cpu=1 mem_mb=6000 runtime=60",
    ("Aligning", 9): "cpu=1 mem_mb=4000 runtime=30",
    ("Validating", 6): "cpu=1 mem_mb=6000 runtime=60",
    ("Exporting", 2): "cpu=1 mem_mb=4000 runtime=30",
    ("Training", 6): TRAINING,
    ("Generating", 9): "gpu=1 cpu=8 mem_mb=64000 runtime=480",
    ("Evaluating", 9): "gpu=1 cpu=8 mem_mb=64000 runtime=240",
    ("Reading the generated responses", 1): "cpu=1 mem_mb=4000 runtime=30",
    ("Measuring", 1): "cpu=1 mem_mb=6000 runtime=120",
    ("Comparing", 1): "cpu=1 mem_mb=4000 runtime=30",
    ("Writing the report", 1): "cpu=1 mem_mb=4000 runtime=30",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = copy_checkout(tmp_path_factory.mktemp("profiles") / "checkout")
    touch_raw_files(folder)
    (folder / "data/iclr_reviews/pdfs/p0.pdf").write_bytes(b"%PDF-1.7\n")
    return folder


def test_the_published_study_asks_a_cluster_for_what_it_needs(checkout):
    options = ("--profile", "profiles/slurm", "--config", 'interpreters={"judge": "sh"}', "--")
    jobs = [job for job in planned(checkout, *options, "results/peer_review/report.html") if job[1]]
    kinds = {start: asked for (start, _), asked in PUBLISHED.items()}
    found = Counter((next(start for start in kinds if job.startswith(start)), asked) for job, asked in jobs)
    assert found == {(start, asked): count for (start, count), asked in PUBLISHED.items()}


def test_the_readme_shows_that_plan():
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for asked in (TRAINING, JUDGING):
        assert f"[{asked}]" in shown


@pytest.mark.parametrize("profile", ["slurm", "profiles/slurm", "profiles/local"])
def test_a_profile_works_from_a_fresh_checkout(checkout, profile):
    jobs = planned(checkout, "--profile", profile, "--", "results/demo/runs/dpo_clean-beta0.1/manifest.json")
    assert ("Training sft_clean of demo (SFT)", "gpu=0 cpu=1 mem_mb=16000 runtime=240") in jobs


def test_every_job_that_is_submitted_says_what_it_asks_for():
    for file in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"(?m)^(?=rule )", file.read_text(encoding="utf-8"))[1:]:
            is_local = "localrule: True" in rule
            asks = all(
                key in rule for key in ("mem_mb=each_attempt(", "runtime=each_attempt(", "message:\n        asking(")
            )
            assert is_local != asks, f"{file.name}: {rule.splitlines()[0]}"
            # Made inside the SLURM job, with what its first attempt asked for.
            assert "retries:" not in rule, f"{file.name}: {rule.splitlines()[0]}"


def test_profiles_name_rules_that_exist():
    """Snakemake ignores a rule in set-resources that there is none of."""
    rules = set(
        re.findall(
            r"(?m)^(?:use )?rule (?:\w+ as )?(\w+)", "".join(f.read_text() for f in (ROOT / "rules").glob("*.smk"))
        )
    )
    for profile in (ROOT / "profiles").glob("*/config.yaml"):
        named = set(yaml.safe_load(profile.read_text()).get("set-resources", {}))
        assert named <= rules, profile


def test_without_slurm_the_cluster_profile_is_refused(checkout, tmp_path, monkeypatch):
    for program in ("bash", "sh", "which"):
        (tmp_path / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PATH", str(tmp_path))
    target = "results/demo/corpus/papers/prompts.parquet"
    done = snakemake(checkout, "--profile", "slurm", "--", target, check=False)
    assert done.returncode == 1
    assert "There is no SLURM here: sbatch is not on PATH." in done.stdout + done.stderr
    assert not (checkout / target).exists()

"""What `make status` says of a folder of results whose state is known, because it was made up."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.core.locks import held
from winnow.core.study import load_site, load_study, read_yaml
from winnow.reporting.following import State, follow
from winnow.reporting.overview import WIDTH, overview
from winnow.reporting.steps import STEPS

ROOT = Path(__file__).parents[2]
NOW = 2_000_000_000.0


def write(file, text, *, age=0.0):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text if isinstance(text, str) else json.dumps(text))
    os.utime(file, (NOW - age, NOW - age))


def counts(read, kept, **dropped):
    return {"read": read, "kept": kept, "dropped": dropped, "notes": {}}


@pytest.fixture
def study():
    return load_study(ROOT / "studies/demo.yaml", load_site(read_yaml(ROOT / "config.yaml")), ROOT)


@pytest.fixture
def root(tmp_path):
    """A checkout in the middle of the demo."""
    results, checkpoints = tmp_path / "results/demo", tmp_path / "checkpoints/demo"
    ingest = {"prompts": counts(120, 120), "responses": counts(480, 473, placeholder=3, refusal=4)}
    write(results / "corpus/papers/ingest.manifest.json", {"counts": ingest | {"by_year": {"none": ingest}}})
    # Judging: one shard done, one half-way, the writer of a retest killed.
    write(results / "judged/corpus-papers/0-of-2.jsonl", "")
    half = "[     1.0 s] 40 judgements in cache\n[    31.0 s] judged: 90 of 236 (3.0/s, 49 s left)\n"
    write(results / "logs/judge_responses/corpus-papers/1-of-2.log", half, age=600)
    write(results / "logs/judge_responses/retest-papers/0-of-1.log", "[     1.0 s] waiting\n", age=700)
    holder = {"token": "a", "host": "elsewhere", "pid": 1}
    write(tmp_path / "cache/judge/key/retest-papers-0-of-1.jsonl.lock", holder | {"pid": 77})
    os.utime(tmp_path / "cache/judge/key/retest-papers-0-of-1.jsonl.lock", (1, 1))
    # Choosing: one dataset is done, one failed; a file of the same name must not count for the other step.
    write(results / "datasets/sft/choose.manifest.json", {"counts": {"responses": counts(473, 88, cut=385)}})
    write(results / "logs/select_responses/sft.log", "[     1.0 s] 88 chosen\n")
    failed = "[     1.0 s] reading\nerror: studies/demo.yaml, key datasets.dpo: no pair is left\n  fix: ask for less\n"
    write(results / "logs/pair_responses/dpo.log", failed, age=30)
    # Rendering says nothing for ten minutes; another job's last word is a traceback.
    write(results / "logs/render_dataset/sft-clean_images.log", "[     2.0 s] train\n", age=600)
    crash = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nRuntimeError: it broke\n'
    write(results / "logs/render_dataset/sft-clean.log", crash, age=3600)
    # A training at step 30 of 60, resumed at 20 a hundred seconds before the last step.
    log = "[     5.0 s] training sft_clean on from step 20 of 60\n[    30.0 s] step 20: validation loss 1.0\n"
    write(results / "logs/train/sft_clean.log", log, age=5)
    starts = [
        {"event": "start", "from_step": 0, "identity": "old", "processes": 1},
        {"event": "start", "from_step": 20, "identity": "new", "processes": 1},
    ]
    write(checkpoints / "sft_clean/starts.jsonl", "".join(json.dumps(line) + "\n" for line in starts), age=104)
    rows = [{"kind": "train", "step": step, "loss": 3.0 - step / 25} for step in range(1, 31)]
    rows += [{"kind": "eval", "step": 30, "loss": 9.0}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write(checkpoints / "sft_clean/new/metrics.jsonl", text + '{"kind": "tr', age=4)  # a line is being written
    write(checkpoints / "sft_clean/old/metrics.jsonl", '{"kind": "train", "step": 59, "loss": 0}\n')
    return tmp_path


@pytest.fixture
def followed(root, study):
    locks = root / "cache/judge/key/corpus-papers-1-of-2.jsonl.lock", root / "checkpoints/demo/sft_clean/writer.lock"
    with held(locks[0]), held(locks[1]):
        yield follow("demo", study, root, NOW)


def jobs(followed, title):
    found = next(step for step in followed if step.step.title == title)
    return {" ".join(value for _, value in job.names): job for job in found.jobs}


def test_what_is_done_is_counted_from_manifests(followed):
    done = next(step for step in followed if step.step.title == "Reading corpora")
    assert [job.state for job in done.jobs] == [State.DONE]
    assert done.counts["responses"] == {"read": 480, "kept": 473, "dropped": 7}
    assert set(done.counts) == {"prompts", "responses"}


def test_shards_are_done_half_way_or_cut_off(followed):
    found = jobs(followed, "Judging")
    assert {name: job.state for name, job in found.items()} == {
        "corpus-papers 0 2": State.DONE,
        "corpus-papers 1 2": State.RUNNING,  # silent for ten minutes, but its lock is held
        "retest-papers 0 1": State.CUT_OFF,
    }
    assert found["corpus-papers 1 2"].told == "judged: 90 of 236 (3.0/s, 49 s left) (10 min ago)"
    assert "process 77 on elsewhere, is gone" in found["retest-papers 0 1"].told


def test_a_training_tells_its_step_loss_and_time_left(followed):
    """Ten steps took 100 seconds, 30 are left: 300 s, of which 4 have passed."""
    job = jobs(followed, "Training")["sft_clean"]
    assert job.state is State.RUNNING
    assert job.told == "step 30 of 60, loss 1.8, about 4.9 min left (last step 4 s ago)"
    assert jobs(followed, "Training")["sft_vision"].state is State.TO_DO


def test_failures_are_told_in_the_words_of_their_logs(followed):
    failed = jobs(followed, "Pairing responses")
    assert list(failed) == ["dpo"]
    assert failed["dpo"].state is State.FAILED
    assert failed["dpo"].told == "studies/demo.yaml, key datasets.dpo: no pair is left"
    rendering = jobs(followed, "Rendering datasets")
    assert (rendering["sft clean"].state, rendering["sft clean"].told) == (State.FAILED, "RuntimeError: it broke")
    assert rendering["sft clean_images"].state is State.SILENT
    assert rendering["dpo vision"].state is State.TO_DO


def test_a_file_of_one_step_counts_for_no_other(followed):
    assert {name: job.state for name, job in jobs(followed, "Selecting responses").items()} == {"sft": State.DONE}


def test_the_text_is_short_and_names_the_last_failure(followed):
    lines = overview("demo", followed)
    assert max(map(len, lines)) <= WIDTH
    assert re.fullmatch(r"demo: 3 of \d+ jobs done, 2 FAILED, 1 cut off, 1 silent, 2 running, \d+ to do", lines[0])
    assert (
        lines[-1] == "  failed last: results/demo/logs/pair_responses/dpo.log"
    )  # the newest, although not the last in order
    assert any("Reading corpora" in line and "473 responses, 7 dropped" in line for line in lines)
    total = sum(len(step.jobs) for step in followed)
    assert f"3 of {total} jobs" in lines[0]


def test_without_settings_only_what_has_begun_is_told(root):
    found = follow("demo", None, root, NOW)
    assert {step.step.title for step in found} == {
        "Reading corpora",
        "Judging",
        "Selecting responses",
        "Pairing responses",
        "Rendering datasets",
        "Training",
    }


def test_every_rule_with_a_log_is_a_step():
    rules = "".join(file.read_text() for file in sorted((ROOT / "rules").rglob("*.smk")))
    named = set(re.findall(r'"results/\{study\}/(.+)"', rules))
    assert {name for name in named if name.startswith("logs/")} == {step.log_file for step in STEPS}
    assert {step.done for step in STEPS} <= named


def status(root, *studies):
    script = ROOT / "workflow_scripts/show_status.py"
    command = [sys.executable, str(script), "--root", str(root), *studies]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_nothing_is_told_of_an_empty_checkout(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/demo.yaml").touch()
    assert status(tmp_path).stdout == "nothing has been made yet: make demo\n"
    assert status(tmp_path, "demo").stdout.startswith("demo: nothing has been made yet: snakemake ")
    unknown = status(tmp_path, "demmo")
    assert unknown.returncode == 2
    assert "demmo: is no study, and has no results" in unknown.stderr


def test_a_study_that_cannot_be_read_is_told_as_far_as_it_goes(root):
    said = status(root)
    assert said.returncode == 0, said.stderr
    assert "demo: what remains is not known" in said.stdout
    assert "no pair is left" in said.stdout


def test_no_slow_library_is_loaded():
    asked = "import sys, show_status; sys.exit(any(name in sys.modules for name in ('torch', 'pyarrow', 'numpy')))"
    subprocess.run([sys.executable, "-c", asked], cwd=ROOT / "workflow_scripts", check=True)

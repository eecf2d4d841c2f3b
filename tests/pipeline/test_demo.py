"""The demo study, run for real: what its results must be true of."""

import hashlib
import json
import math
import re
import shutil
from collections import Counter

import pytest

from winnow.core.config.studies import ResolvedStudy
from winnow.core.files import read_json
from winnow.core.ids import sha256_file
from winnow.core.tables import count_rows, read_rows
from winnow.reporting.following import State, follow
from winnow.reporting.lineage import lineage
from winnow.reporting.overview import overview
from winnow.reporting.provenance import all_manifests
from winnow.reporting.sources import Results
from winnow.scoring.gather import merged_rows
from workflow import snakemake

MODALITIES = ("clean", "clean_images", "vision")
RUNS = {
    **{f"sft_{modality}": "sft" for modality in MODALITIES},
    **{f"dpo_{modality}-beta0.1": "dpo" for modality in MODALITIES},
    "sft_lora_clean": "sft",
    "dpo_clean-beta0.05": "dpo",
}


@pytest.fixture(scope="module")
def results(finished_demo):
    return finished_demo / "results" / "demo"


def test_a_second_run_has_nothing_to_do(finished_demo):
    done = snakemake(finished_demo, "--cores", "2", "--", "results/demo/report.html")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_its_state_has_nothing_left_and_nothing_unknown(finished_demo, results):
    study = ResolvedStudy.model_validate(read_json(results / "study.json"))
    found = follow("demo", study, finished_demo)
    jobs = [job for step in found for job in step.jobs]
    assert {job.state for job in jobs} == {State.DONE}
    assert overview("demo", found)[0] == f"demo: {len(jobs)} of {len(jobs)} jobs done"
    logs = {file.relative_to(results).as_posix() for file in (results / "logs").rglob("*.log")}
    assert logs == {step.step.log_file.format(**dict(job.names)) for step in found for job in step.jobs}


def test_every_raw_record_is_a_row_or_a_ledger_line(results):
    counts = read_json(results / "corpus/papers/ingest.manifest.json")["counts"]
    corpus = results / "corpus" / "papers"
    rejected = [row["kind"] for row in read_rows(corpus / "rejected.parquet", ["kind"])]
    for kind, table in (("prompt", "prompts"), ("response", "responses")):
        tally = counts[table]
        assert (
            tally["read"]
            == count_rows(corpus / f"{table}.parquet") + rejected.count(kind)
            == tally["kept"] + sum(tally["dropped"].values())
        )


def test_selection_takes_exactly_the_stated_fraction(results):
    scores = [json.loads(line) for line in (results / "scores/review_evaluations.jsonl").read_text().splitlines()]
    split = {row["prompt_id"]: row["split"] for row in read_rows(results / "corpus/papers/splits.parquet")}
    eligible = [
        row
        for row in scores
        if row["rating"] is not None
        and split[row["prompt_id"]] != "test"
        and row["checkmark_max"] >= 0.9 * len(row["answers"])
    ]
    assert count_rows(results / "datasets/sft/chosen.parquet") == math.floor(0.2 * len(eligible)) > 0
    assert count_rows(results / "datasets/sft/chosen.parquet") + count_rows(
        results / "datasets/sft/ledger.parquet"
    ) == len(scores)


def test_pairs_hold_their_thresholds_recomputed_from_answers(results):
    scores = {}
    for line in (results / "scores/review_evaluations.jsonl").read_text().splitlines():
        row = json.loads(line)
        scores[row["response_id"]] = row | {"yes": sum(answer == "yes" for answer in row["answers"].values())}
    pairs = list(read_rows(results / "datasets/dpo/chosen.parquet"))
    assert len(pairs) >= 20
    for pair in pairs:
        chosen, rejected = scores[pair["chosen_id"]], scores[pair["rejected_id"]]
        assert chosen["prompt_id"] == rejected["prompt_id"] == pair["prompt_id"]
        assert chosen["decision"] == "accept"
        assert chosen["rating"] - rejected["rating"] >= 2
        assert chosen["yes"] - rejected["yes"] >= 2
        assert chosen["rating"] > 5 >= rejected["rating"]


def test_no_prompt_is_in_two_splits(results):
    seen = {}
    for dataset in ("sft", "dpo"):
        for split in ("train", "val"):
            for row in read_rows(results / f"datasets/{dataset}/clean/{split}.parquet", ["prompt_id", "split"]):
                assert row["split"] == split
                assert seen.setdefault(row["prompt_id"], split) == split


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("dataset", ["sft", "dpo"])
def test_validation_passed_and_checked_something(results, dataset, modality):
    report = read_json(results / f"datasets/{dataset}/{modality}/validation.json")
    assert report["ok"] is True
    assert sum(rule["checked"] for rule in report["rules"] if rule["status"] == "pass") > 0
    common = {"C2", "C3", "C4", "C5", "C7", "C8a", "C8b", "C9", "C10"}
    assert common | ({"C1", "C8c"} if dataset == "dpo" else set()) <= {rule["id"] for rule in report["rules"]}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_what_its_manifest_says(finished_demo, results, run):
    manifest = read_json(results / f"runs/{run}/manifest.json")
    folder = finished_demo / "checkpoints" / "demo" / run / ("adapter" if "lora" in run else "model")
    assert manifest["weights"]
    for name, digest in manifest["weights"].items():
        assert sha256_file(folder / name) == digest
    assert (finished_demo / "checkpoints" / "demo" / run / "model" / "config.json").is_file()
    if RUNS[run] == "dpo":
        assert manifest["first_loss"] == pytest.approx(math.log(2), abs=1e-5)
    metrics = [json.loads(line) for line in (results / f"runs/{run}/metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in metrics if row["kind"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] == manifest["steps"]


def test_training_teaches_something(results):
    """On synthetic reviews a tiny model must at least learn their vocabulary: the held-out loss falls by a lot."""
    losses = {
        run: read_json(results / f"evaluation/heldout/{run}/metrics.json")["heldout"]
        for run in ("base_clean", "sft_clean")
    }
    assert losses["sft_clean"]["loss_interval"][1] < losses["base_clean"]["loss_interval"][0]


def test_the_base_loss_is_that_of_a_random_model(results):
    """A random model knows nothing: its loss is near the logarithm of its vocabulary."""
    loss = read_json(results / "evaluation/heldout/base_clean/metrics.json")["heldout"]["loss"]
    assert loss == pytest.approx(math.log(2048), rel=0.1)


def test_the_report_stands_alone(results):
    page = (results / "report.html").read_text()
    assert 'src="http' not in page
    assert "synthetic" in page.lower()
    for run in RUNS:
        assert run in page


def test_the_cost_counts_every_job_once(results):
    usage = read_json(results / "usage.json")
    files = list((results / "benchmarks").rglob("*.jsonl"))
    total = usage["total"]
    assert total["jobs"] == len(files) == sum(row["jobs"] for row in usage["rules"]) > 30
    seconds = [json.loads(file.read_text()) for file in files]
    assert total["cpu_hours"] == pytest.approx(sum(row["s"] * row["threads"] for row in seconds) / 3600)
    jobs = {row["rule"]: row["jobs"] for row in usage["rules"]}
    assert {stage: jobs[f"train_{stage}"] for stage in ("sft", "dpo")} == dict(Counter(RUNS.values()))
    assert {
        row["run"]: (row["jobs"], row["starts"], row["unfinished_starts"]) for row in usage["runs"]
    } == dict.fromkeys(RUNS, (1, 1, 0))
    assert all(row["tokens_per_second"] > 0 for row in usage["runs"])
    assert all(row["asked_mib"] > row["peak_mib"] > 0 for row in usage["runs"])


def test_snakemakes_own_report_works(finished_demo, tmp_path):
    snakemake(finished_demo, "--report", str(tmp_path / "snakemake.html"), "--", "results/demo/report.html")
    assert (tmp_path / "snakemake.html").stat().st_size > 100_000


def test_deleted_weights_are_noticed_by_who_reads_them(demo):
    (demo / "checkpoints/demo/sft_clean/model/model.safetensors").unlink()
    (demo / "results/demo/evaluation/heldout/sft_clean/metrics.json").unlink()
    done = snakemake(demo, "--cores", "1", "--", "results/demo/evaluation/heldout/sft_clean/metrics.json", check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "model.safetensors" in said
    assert "--forcerun" in said


@pytest.fixture(scope="module")
def study(results):
    return ResolvedStudy.model_validate(read_json(results / "study.json"))


def test_every_model_follows_back_to_raw_files_by_hashes(finished_demo, results, study):
    """No gap, and what came from outside is what lies in the checkout: the checklist, the template, the verdicts."""
    at_hand = {sha256_file(file) for file in (finished_demo / "resources").rglob("*") if file.is_file()}
    for batch in (results / "judged").iterdir():
        digest = hashlib.sha256()
        for _, line, _ in merged_rows(sorted(batch.glob("*.jsonl"))):
            digest.update(line.encode())
        at_hand.add(digest.hexdigest())
    for modality in MODALITIES[1:]:  # the generator's own drawings: there are no files
        at_hand.add(read_json(results / f"corpus/papers/images/{modality}.manifest.json")["sources_sha256"])
    for run in RUNS:
        found = lineage(Results(results), study, run)
        assert found.gaps == []
        assert {"corpus/papers/ingest.manifest.json", "models/text/manifest.json"} < set(found.manifests)
        assert {one.sha256 for one in found.raw} <= at_hand
        assert len(found.raw) >= 3
    assert "runs/sft_clean/manifest.json" in lineage(Results(results), study, "dpo_clean-beta0.1").manifests


def hashes_in(value, place=()):
    """Every SHA-256 below a JSON value, with the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from hashes_in(inner, (*place, key))
    elif isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        yield place


def value_at(content, keys):
    for key in keys:
        content = content[key]
    return content


def test_a_changed_hash_anywhere_on_the_way_is_noticed(results, study, tmp_path):
    """Each hash of each manifest on a LoRA run's way is changed in turn: the chain breaks, or a raw file is another."""
    run = "sft_lora_clean"
    whole = lineage(Results(results), study, run)
    copy = tmp_path / "demo"
    for name in all_manifests(study):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(results / name, copy / name)
    assert lineage(Results(copy), study, run) == whole
    unnoticed, tried = [], 0
    # What nobody reads from there on the way to this run: ledgers, reports, other tables, hashes of settings.
    unread = {"ledger", "rejected", "report", "spec", "metrics_sha256", "prompt_sha", "checklist_sha"}
    made = Counter(
        value_at(content, keys)
        for content in (read_json(copy / name) for name in all_manifests(study))
        for keys in hashes_in(content)
        if keys[0] in ("outputs", "weights")
    )
    for name in whole.manifests:
        content = read_json(copy / name)
        for keys in hashes_in(content):
            if keys[-1] in unread or (name, keys[0]) == (whole.manifests[0], "weights"):
                continue  # the end of the chain
            if keys[0] in ("outputs", "weights") and made[value_at(content, keys)] > 1:
                continue  # the same bytes were made twice: a file that is also a weight, the two models' tokenizer
            changed = json.loads(json.dumps(content))
            here = changed
            for key in keys[:-1]:
                here = here[key]
            here[keys[-1]] = "0" * 64
            (copy / name).write_text(json.dumps(changed))
            found = lineage(Results(copy), study, run)
            tried += 1
            if not found.gaps and found.raw == whole.raw:
                unnoticed.append((name, keys))
        shutil.copyfile(results / name, copy / name)
    assert tried > 60
    assert unnoticed == []


@pytest.mark.parametrize("run", RUNS)
def test_every_model_has_its_card(finished_demo, results, run):
    card = results / "runs" / run / "model_card.md"
    text = card.read_text()
    assert (finished_demo / "checkpoints" / "demo" / run / "model" / "README.md").read_text() == text
    assert "is synthetic" in text
    assert "Broken" not in text
    last = read_json(results / "runs" / run / ("merge.json" if "lora" in run else "manifest.json"))
    assert all(sha256 in text for sha256 in last["weights"].values())


@pytest.mark.parametrize("dataset", ["sft", "dpo"])
def test_every_dataset_has_its_card(results, dataset):
    folder = results / "datasets" / dataset / "clean"
    text = (folder / "dataset_card.md").read_text()
    for split in ("train", "val"):
        rows = count_rows(folder / f"{split}.parquet")
        assert f"| {split} | {rows} | `{split}.parquet` | `{sha256_file(folder / f'{split}.parquet')}` |" in text
    assert "none failed" in text

"""The main study as planned: every command of its six trainings has the published settings (DESIGN, section 5)."""

import json
import shlex

import pytest

from winnow.core.files import read_json
from workflow import ROOT, copy_checkout, snakemake, touch_raw_files

MODALITIES = ("clean", "clean_images", "vision")
TEXT = {"name": "Qwen/Qwen2.5-3B-Instruct", "revision": "aa8e72537993ba99e69dfaafa59ed015b17504d1"}
VISION = {"name": "Qwen/Qwen2.5-VL-3B-Instruct", "revision": "66285546d2b821cf421d4f5eb2576359d3770cd3"}
JUDGE = {"name": "Qwen/Qwen2.5-7B-Instruct", "revision": "a09a35458c702b33eeacc393d103063234e8bc28"}

COMMON = {
    "effective_batch_size": 16,
    "optim": "adamw_torch",
    "lr_scheduler_type": "cosine",
    "bf16": True,
    "use_peft": False,
    "deepspeed": "resources/deepspeed/zero3.json",
}
RECIPES = {
    "sft": COMMON | {"learning_rate": 1e-5, "num_train_epochs": 3},
    "dpo": COMMON | {"learning_rate": 5e-6, "num_train_epochs": 2, "beta": 0.1, "loss_type": ["sigmoid"]},
}
RUNS = {f"sft_{name}": ("sft", name, None) for name in MODALITIES} | {
    f"dpo_{name}-beta0.1": ("dpo", name, f"sft_{name}") for name in MODALITIES
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The jobs of a dry run over small stand-ins for the raw files: rule → jobs, each its command's options."""
    checkout = copy_checkout(tmp_path_factory.mktemp("main") / "checkout")
    touch_raw_files(checkout)
    (checkout / "data/iclr_reviews/pdfs/p0.pdf").write_bytes(b"%PDF-1.7\n")
    options = ["--dry-run", "--printshellcmds", "--cores", "64", "--config", 'interpreters={"judge": "sh"}']
    done = snakemake(checkout, *options, "--", "results/peer_review/report.html")
    return list(jobs(done.stdout + done.stderr))


def jobs(printed):
    """Read each job's message, and its command's script and options, from what a dry run prints."""
    block = {}
    for line in printed.splitlines():
        if line.startswith("Job "):
            block = {"message": line.partition(": ")[2]}
        elif "workflow_scripts/" in line and " --" in line and "message" in block:
            words = shlex.split(line.partition(" > ")[0])
            scripts = [i for i, word in enumerate(words) if word.startswith("workflow_scripts/")]
            first, at = scripts[0], scripts[-1]  # two where a launcher stands before the script
            script = {"script": words[at].removeprefix("workflow_scripts/"), "launched": words[first:at]}
            yield block | script | options(words[at + 1 :])
            block = {}


def options(words):
    """Return option → value; what follows several values is a list."""
    found, name = {}, ""
    for word in words:
        if word.startswith("--"):
            name = word[2:]
            found[name] = []
        else:
            found[name].append(word)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def of(planned, script, **wanted):
    """The one job of a script whose spec has these values."""
    found = [
        job | {"spec": spec}
        for job in planned
        if job["script"] == f"{script}.py" and wanted.items() <= (spec := json.loads(job["spec"])).items()
    ]
    assert len(found) == 1, [job["message"] for job in found]
    return found[0]


def test_the_six_trainings_are_planned_and_no_other(planned):
    trained = [json.loads(job["spec"])["name"] for job in planned if job["script"].startswith("train_")]
    assert sorted(trained) == sorted(RUNS)


@pytest.mark.parametrize("run", RUNS)
def test_a_training_has_the_published_settings(planned, run):
    stage, modality, parent = RUNS[run]
    job = of(planned, f"train_{stage}", name=run)
    spec = job["spec"]
    assert (spec["stage"], spec["modality"], spec["parent"], spec["dataset"]) == (stage, modality, parent, stage)
    assert {key: spec["recipe"][key] for key in RECIPES[stage]} == RECIPES[stage]
    assert (spec["gpu"], spec["processes"], spec["nodes"]) == (8, 8, 1)
    assert job["launched"] == ["workflow_scripts/launch.py", "--processes", "8"]
    assert read_json(ROOT / spec["recipe"]["deepspeed"])["zero_optimization"]["stage"] == 3
    assert job["message"].endswith(" [gpu=8 cpu=64 mem_mb=256000 runtime=720]")
    accumulation = spec["recipe"]["effective_batch_size"] / (8 * spec["recipe"]["per_device_train_batch_size"])
    assert accumulation == 2
    folder = f"results/peer_review/datasets/{stage}/{modality}"
    assert (job["train"], job["val"]) == (f"{folder}/train.parquet", f"{folder}/val.parquet")
    # The reference of DPO is the SFT model of the same modality.
    assert job.get("parent") == (f"checkpoints/peer_review/{parent}/model" if parent else None)
    model = "text" if modality == "clean" else "vision"
    assert spec["model"] == model
    assert job["model"] == f"results/peer_review/models/{model}"


@pytest.mark.parametrize(
    ("name", "wanted"), [("text", TEXT), ("vision", VISION), ("judge", JUDGE)], ids=["text", "vision", "judge"]
)
def test_base_models_are_asked_for_at_their_commits(planned, name, wanted):
    job = of(planned, "prepare_model", **wanted)
    assert job["out"] == f"results/peer_review/models/{name}"


@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_rows_are_rendered_to_the_published_contexts_and_pixels(planned, stage, modality):
    job = of(planned, "render_dataset", stage=stage, modality=modality)
    spec = job["spec"]
    assert spec["context"] == (28_000 if modality == "clean" else 16_384)
    assert spec["response_tokens"] == 2048
    assert spec["prompt_fields"] == ["title", "abstract", "body"]
    if modality == "clean":
        assert "images" not in spec
        assert "images" not in job
        return
    assert spec["images"] == {"max_pixels": 250_880, "min_pixels": 196, "max_images": 10, "with_text": False}
    assert job["images"] == f"results/peer_review/corpus/iclr/images/{modality}.parquet"


def test_selection_and_pairs_follow_the_published_rules(planned):
    chosen = of(planned, "select_responses", stage="sft")["spec"]
    assert (chosen["policy"], chosen["fraction"], chosen["corpus"]) == ("top_fraction", 0.2, "iclr")
    pairs = of(planned, "pair_responses", stage="dpo")["spec"]
    published = {"policy": "contrastive", "decision": "accept", "min_rating_diff": 2, "min_checkmark_diff": 2}
    published |= {"neutral": 5, "max_pairs_per_prompt": 2, "corpus": "iclr"}
    assert {key: pairs[key] for key in published} == published


def test_papers_are_divided_as_published_and_the_judge_has_two_gpus(planned):
    (split,) = [json.loads(job["spec"]) for job in planned if job["script"] == "split.py"]
    shares = split["splits"]
    assert (shares["val"], shares["test"], shares["optimize"]) == (0.1, 0.1, 0.2)
    judging = [job for job in planned if job["script"] == "judge_responses.py"]
    assert {json.loads(job["spec"])["judge"]["gpu"] for job in judging} == {2}
    second = {job["out"] for job in judging if "/models/second_judge" in job["model"]}
    assert {job["model"] for job in judging if job["out"] not in second} == {"results/peer_review/models/judge"}
    # What is trained on is chosen by the published judge; another family judges a sample, and what models write.
    folder = "results/peer_review/judged"
    assert second == {f"{folder}/{kind}-iclr/0-of-1.jsonl" for kind in ("second", "generated_second")}


@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_waits_for_what_the_others_leave_out(planned, stage, modality):
    folder = f"results/peer_review/datasets/{stage}"
    (job,) = [
        job
        for job in planned
        if job["script"] == "align_modalities.py" and job["rendered"] == f"{folder}/{modality}/rendered.parquet"
    ]
    others = [name for name in MODALITIES if name != modality]
    assert job["others"] == [f"{name}={folder}/{name}/left_out.parquet" for name in others]
    (check,) = [
        job
        for job in planned
        if job["script"] == "validate_dataset.py" and job["train"] == f"{folder}/{modality}/train.parquet"
    ]
    expected = {
        f"{name}/{file}={folder}/{name}/{file}.parquet" for name in others for file in ("train", "val", "left_out")
    }
    assert set(check["modalities"]) == expected


def test_llama_factory_gets_the_sizes_of_images(planned):
    (job,) = [job for job in planned if job["script"] == "export_dataset.py" and job["format"] == "llama_factory"]
    spec = json.loads(job["spec"])
    sizes = {"max_pixels": 250_880, "min_pixels": 196}
    assert spec["pixels"] == {"clean_images": sizes, "vision": sizes}
    assert spec["context"] == {"clean": 28_000, "clean_images": 16_384, "vision": 16_384}
    names = {
        f"{stage}/{modality}/{split}"
        for stage in ("sft", "dpo")
        for modality in MODALITIES
        for split in ("train", "val")
    }
    assert {word.partition("=")[0] for word in job["datasets"]} == names
    assert len(names) == 12

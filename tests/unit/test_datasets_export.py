"""Exports: what each trainer's loader would read is what TRL reads, and each trap of the loaders is caught."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.tables import read_rows, write_table
from winnow.datasets import export_verl, llama_factory_loader
from winnow.datasets.export_tables import RenderedTable

RECIPES = Path(__file__).parents[2] / "recipes"
MODEL = {"name": "Qwen/Qwen2.5-3B-Instruct", "revision": "a" * 40}


def run(name, recipe, parent=None, gpu=0, **changes):
    stage = recipe.partition("_")[0]
    keys = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text()) | changes
    common = {"modality": "clean", "model": "text", "seed": 7, "threads": 1, "mem_mb": 1, "runtime": 1}
    return {"name": name, "stage": stage, "dataset": stage, "parent": parent, "recipe": keys, "gpu": gpu} | common


RUNS = [
    run("sft_clean", "sft_full", gpu=8),
    run("sft_lora_clean", "sft_lora", packing=True, loss_normalization="per_token"),
    run("dpo_clean", "dpo_full", "sft_clean", gpu=8, beta=0.05),
    run("dpo_lora_clean", "dpo_lora", "sft_lora_clean"),
]
SPEC = {"study": "demo", "models": {"text": MODEL}, "runs": RUNS, "context": {"clean": made.BUDGET["context"]}}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Both datasets, rendered, with control marks in their texts."""
    folder = tmp_path_factory.mktemp("rendered")
    corpus = made.Corpus(folder)
    corpus.responses = [row | {"text": row["text"] + ' <image> "quoted" \u2028 line'} for row in corpus.responses]
    paths, model = corpus.write(), made.make_tokenizer(folder / "model")
    for stage in ("sft", "dpo"):
        chosen = made.choose(stage, paths, folder / stage)["chosen"]
        made.render(stage, paths, chosen, model, folder / stage)
    return folder


def export(folder, rendered, form, spec=SPEC):
    names = [
        f"{stage}/clean/{split}={rendered / stage / split}.parquet" for stage in ("sft", "dpo") for split in SPLITS
    ]
    out = folder / form
    made.run_script("export_dataset", format=form, spec=spec, datasets=names, out=out, manifest=out / "manifest.json")
    return out


SPLITS = ("train", "val")


@pytest.fixture
def exported(tmp_path, rendered):
    return export(tmp_path, rendered, "llama_factory")


def table(rendered, stage="sft", split="train"):
    path = rendered / stage / f"{split}.parquet"
    return RenderedTable(stage, "clean", split, stage, path, made.BUDGET["context"])


def texts(rendered, stage, split):
    return list(read_rows(rendered / stage / f"{split}.parquet"))


def test_llama_factory_gets_every_row_under_its_name(exported, rendered):
    info = json.loads((exported / "dataset_info.json").read_text())
    assert sorted(info) == [f"training_checklist_{s}_clean_{p}" for s in ("dpo", "sft") for p in SPLITS]
    for stage in ("sft", "dpo"):
        for split in SPLITS:
            entry = info[f"training_checklist_{stage}_clean_{split}"]
            assert entry["file_name"] == f"{stage}_clean_{split}/data.json"
            rows = json.loads((exported / entry["file_name"]).read_text())
            wanted = texts(rendered, stage, split)
            assert len(rows) == len(wanted) > 0
            for row, source in zip(rows, wanted, strict=True):
                assert [turn["from"] for turn in row["conversations"][:2]] == ["system", "human"]
                assert [turn["value"] for turn in row["conversations"][:2]] == [m["content"] for m in source["prompt"]]
                if stage == "sft":
                    assert row["conversations"][2] == {"from": "gpt", "value": source["completion"][0]["content"]}
                else:
                    assert row["chosen"] == {"from": "gpt", "value": source["chosen"][0]["content"]}
                    assert row["rejected"] == {"from": "gpt", "value": source["rejected"][0]["content"]}
                    assert len(row["conversations"]) == 2


def test_each_folder_holds_its_data_alone(exported):
    for folder in exported.iterdir():
        if folder.is_dir():
            assert [file.name for file in folder.iterdir()] == ["data.json"]


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_the_json_reader_of_datasets_reads_the_files(exported, rendered, stage, tmp_path):
    from datasets import load_dataset

    file = exported / f"{stage}_clean_train" / "data.json"
    loaded = load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    key = "response_id" if stage == "sft" else "pair_id"
    assert loaded["id"] == [row[key] for row in texts(rendered, stage, "train")]


def test_training_files_say_what_the_recipes_say(exported):
    files = {run["name"]: yaml.safe_load((exported / f"{run['name']}.yaml").read_text()) for run in RUNS}
    sft, dpo, lora = files["sft_clean"], files["dpo_clean"], files["dpo_lora_clean"]
    assert sft["model_name_or_path"] == MODEL["name"]
    assert sft["model_revision"] == MODEL["revision"]
    assert (sft["stage"], sft["finetuning_type"], sft["template"]) == ("sft", "full", "qwen")
    assert sft["dataset"] == "training_checklist_sft_clean_train"
    assert sft["eval_dataset"] == "training_checklist_sft_clean_val"
    assert sft["cutoff_len"] == made.BUDGET["context"]
    assert (sft["learning_rate"], sft["num_train_epochs"], sft["seed"], sft["warmup_ratio"]) == (1e-5, 3, 7, 0.03)
    assert sft["gradient_accumulation_steps"] == 2  # 16 / (8 GPUs * 1)
    assert files["sft_lora_clean"]["gradient_accumulation_steps"] == 16
    assert (dpo["pref_beta"], dpo["pref_loss"], dpo["stage"]) == (0.05, "sigmoid", "dpo")
    assert dpo["model_name_or_path"] == dpo["ref_model"] == sft["output_dir"]
    assert (lora["finetuning_type"], lora["lora_rank"], lora["lora_target"]) == (
        "lora",
        16,
        "q_proj,k_proj,v_proj,o_proj",
    )
    merge = yaml.safe_load((exported / "sft_lora_clean-merge.yaml").read_text())
    assert merge["adapter_name_or_path"] == files["sft_lora_clean"]["output_dir"]
    assert lora["model_name_or_path"] == merge["export_dir"]
    assert not any("deepspeed" in settings for settings in files.values())
    assert (files["sft_lora_clean"]["packing"], files["sft_lora_clean"]["neat_packing"]) == (True, True)
    assert "no counterpart: dtype, loss_normalization." in (exported / "sft_lora_clean.yaml").read_text()
    full = (exported / "sft_clean.yaml").read_text()
    assert "no counterpart: dtype." in full
    assert "add `deepspeed: resources/deepspeed/zero3.json`, a path of your own" in full


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss_type": ["sigmoid", "sft"]}, "has no counterpart in LLaMA-Factory"),
        ({"effective_batch_size": 10}, "is not a multiple of 8"),
    ],
)
def test_a_run_that_cannot_be_expressed_is_left_out_with_the_reason(tmp_path, rendered, changes, said):
    spec = SPEC | {"runs": [RUNS[0], run("dpo_clean", "dpo_full", "sft_clean", gpu=8, **changes)]}
    out = export(tmp_path, rendered, "llama_factory", spec)
    assert not (out / "dpo_clean.yaml").exists()
    assert said in json.loads((out / "manifest.json").read_text())["runs_left_out"]["dpo_clean"]


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ({"path": "/models/qwen"}, {"model_name_or_path": "/models/qwen"}),
        ({"tiny": {}}, {"model_name_or_path": "../../models/text"}),
    ],
)
def test_base_models_that_are_not_on_the_hub(tmp_path, rendered, model, place):
    out = export(tmp_path, rendered, "llama_factory", SPEC | {"models": {"text": model}, "runs": RUNS[:1]})
    settings = yaml.safe_load((out / "sft_clean.yaml").read_text())
    assert place.items() <= settings.items()
    assert "model_revision" not in settings


def edit_info(out, change):
    info = json.loads((out / "dataset_info.json").read_text())
    change(info)
    (out / "dataset_info.json").write_text(json.dumps(info))


def edit_rows(out, stage, change):
    file = out / f"{stage}_clean_train" / "data.json"
    rows = json.loads(file.read_text())
    change(rows)
    file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


NAME = "training_checklist_{}_clean_train"
ENTRY_FAULTS = {
    "a column that is not named is read as none": (
        "dpo",
        lambda entry: entry["columns"].pop("chosen"),
        "would be read as one answer",
    ),
    "tags without all names lose the others": (
        "sft",
        lambda entry: entry.update(tags={"role_tag": "from"}),
        "of system",
    ),
    "ranking makes an answer one turn too many": ("sft", lambda entry: entry.update(ranking=True), "parity"),
    "no ranking makes a pair lack its answer": ("dpo", lambda entry: entry.pop("ranking"), "parity"),
    "alpaca is another format": ("sft", lambda entry: entry.pop("formatting"), "formatting is None"),
    "openai adds words": ("sft", lambda entry: entry.update(formatting="openai"), "adds words"),
    "a folder loads all its files": ("sft", lambda entry: entry.update(file_name="sft_clean_train"), "is not a file"),
    "an unknown key": ("sft", lambda entry: entry.update(filename="x"), "unknown keys"),
}


@pytest.mark.parametrize("fault", ENTRY_FAULTS)
def test_a_wrong_entry_is_caught(exported, rendered, fault):
    stage, change, said = ENTRY_FAULTS[fault]
    edit_info(exported, lambda info: change(info[NAME.format(stage)]))
    with pytest.raises(WinnowError, match=said):
        llama_factory_loader.check_table(exported, table(rendered, stage))


ROW_FAULTS = {
    "chosen as a text": (
        "dpo",
        lambda rows: [row.update(chosen=row["chosen"]["value"]) for row in rows],
        "not objects",
    ),
    "one chosen as a text": ("dpo", lambda rows: rows[1].update(chosen="x"), "another type"),
    "chosen by human": ("dpo", lambda rows: rows[0]["chosen"].update({"from": "human"}), "not said by gpt"),
    "roles turned": ("sft", lambda rows: rows[0]["conversations"].reverse(), "would be skipped"),
    "no human turn": ("sft", lambda rows: rows[0]["conversations"].pop(1), "would be skipped"),
    "answer missing": ("sft", lambda rows: rows[0]["conversations"].pop(), "parity"),
    "empty answer": ("sft", lambda rows: rows[0]["conversations"][2].update(value=""), "no text"),
    "a place for an image": ("sft", lambda rows: rows[0]["conversations"][1].update(value="<image>"), "is not there"),
    "a number among texts": ("sft", lambda rows: rows[1].update(id=5), "another type"),
    "a row lost": ("sft", lambda rows: rows.pop(), "differs"),
    "a row lost at the start": ("sft", lambda rows: rows.pop(0), "differs"),
    "a row too many": ("sft", lambda rows: rows.append(rows[-1]), "more than"),
    "a word changed": ("dpo", lambda rows: rows[2]["rejected"].update(value="other"), "differs"),
    "sides turned": (
        "dpo",
        lambda rows: rows[0].update(chosen=rows[0]["rejected"], rejected=rows[0]["chosen"]),
        "differs",
    ),
    "another id": ("sft", lambda rows: rows[0].update(id="other"), "differs"),
    "no system turn": ("sft", lambda rows: rows[0]["conversations"].pop(0), "differs"),
}


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_wrong_row_is_caught(exported, rendered, fault):
    stage, change, said = ROW_FAULTS[fault]
    edit_rows(exported, stage, change)
    with pytest.raises(WinnowError, match=said):
        llama_factory_loader.check_table(exported, table(rendered, stage))


def test_a_context_that_would_cut_rows_is_caught(exported, rendered):
    short = RenderedTable("sft", "clean", "train", "sft", rendered / "sft" / "train.parquet", 500)
    with pytest.raises(WinnowError, match="cutoff_len 500 would cut it"):
        llama_factory_loader.check_table(exported, short)


@pytest.mark.parametrize(
    ("line", "said"),
    [("val_dataset: x", "unknown keys"), ("max_pixels: 5", "unknown keys"), ("eval_dataset: x", "not registered")],
)
def test_a_key_that_llama_factory_does_not_know_is_caught(exported, line, said):
    path = exported / "sft_clean.yaml"
    text = "".join(part for part in path.read_text().splitlines(keepends=True) if not part.startswith("eval_dataset"))
    path.write_text(text + line + "\n")
    with pytest.raises(WinnowError, match=said):
        llama_factory_loader.check_training_file(path, {"training_checklist_sft_clean_train": 3})


def test_a_split_without_rows_is_counted_and_not_registered(tmp_path, rendered):
    copy = Path(shutil.copytree(rendered, tmp_path / "copy"))
    empty = copy / "sft" / "val.parquet"
    write_table(empty, [], pq.read_schema(empty), ["response_id"])
    out = export(tmp_path, copy, "llama_factory")
    name = "training_checklist_sft_clean_val"
    assert json.loads((out / "manifest.json").read_text())["counts"][name] == 0
    assert name not in json.loads((out / "dataset_info.json").read_text())
    settings = yaml.safe_load((out / "sft_clean.yaml").read_text())
    assert "eval_dataset" not in settings
    assert "eval_steps" not in settings


def test_verl_gets_prompt_response_and_messages_of_sft(tmp_path, rendered):
    out = export(tmp_path, rendered, "verl")
    manifest = json.loads((out / "manifest.json").read_text())
    assert sorted(file.name for file in out.glob("*.parquet")) == ["sft_clean_train.parquet", "sft_clean_val.parquet"]
    assert manifest["tables_left_out"] == {f"dpo_clean_{split}": export_verl.NO_PAIRS for split in SPLITS}
    for split in SPLITS:
        rows, wanted = list(read_rows(out / f"sft_clean_{split}.parquet")), texts(rendered, "sft", split)
        assert manifest["counts"][f"sft_clean_{split}.parquet"] == len(rows) == len(wanted) > 0
        for row, source in zip(rows, wanted, strict=True):
            system, user = (message["content"] for message in source["prompt"])
            assert row["id"] == source["response_id"]
            assert row["prompt"] == f"{system}\n\n{user}"
            assert row["response"] == source["completion"][0]["content"]
            assert row["messages"] == source["prompt"] + source["completion"]


def test_verls_options_leave_room_for_its_default_system_turn(tmp_path, rendered):
    """As SFTDataset tokenises: one user turn through the chat template, then the response and the end."""
    from winnow.datasets.render import load_tokenizer

    out = export(tmp_path, rendered, "verl")
    options = json.loads((out / "manifest.json").read_text())["options"]["sft_clean_train.parquet"]
    assert (options["data.prompt_key"], options["data.response_key"]) == ("prompt", "response")
    chat = load_tokenizer(rendered / "model")
    longest = 0
    for row in read_rows(out / "sft_clean_train.parquet"):
        prompt = chat.prompt_lengths([[{"role": "user", "content": row["prompt"]}]])[0]
        longest = max(longest, prompt + chat.plain_lengths([row["response"] + "<|im_end|>"])[0])
    assert options["data.max_length"] - export_verl.DEFAULT_SYSTEM_TOKENS < longest <= options["data.max_length"]


VERL_FAULTS = {
    "a word": (lambda rows: rows[0].update(response="other"), "differs"),
    "prompt": (lambda rows: rows[0].update(prompt="other"), "differs"),
    "id": (lambda rows: rows[0].update(id="a"), "differs"),
    "turns": (lambda rows: rows[0]["messages"].reverse(), "has turns of"),
    "no text": (lambda rows: rows[0].update(response=""), "has no text"),
    "a row lost": (lambda rows: rows.pop(), "differs"),
    "a row too many": (lambda rows: rows.append(rows[0] | {"id": "zz"}), "more than"),
}


@pytest.mark.parametrize("fault", VERL_FAULTS)
def test_a_wrong_verl_file_is_caught(tmp_path, rendered, fault):
    change, said = VERL_FAULTS[fault]
    out = export(tmp_path, rendered, "verl")
    path = out / "sft_clean_train.parquet"
    rows = list(read_rows(path))
    change(rows)
    write_table(path, rows, export_verl.SCHEMA, ["id"])
    with pytest.raises(WinnowError, match=said):
        export_verl.check_table(out, table(rendered))


def test_a_verl_file_without_a_column_is_caught(tmp_path, rendered):
    out = export(tmp_path, rendered, "verl")
    path = out / "sft_clean_train.parquet"
    pq.write_table(pq.read_table(path).rename_columns(["id", "question", "response", "messages"]), path)
    with pytest.raises(WinnowError, match="column prompt"):
        export_verl.check_table(out, table(rendered))


@pytest.mark.parametrize("form", ["llama_factory", "verl"])
def test_equal_work_gives_equal_bytes_and_no_absolute_path(tmp_path, rendered, form):
    first, second = export(tmp_path / "a", rendered, form), export(tmp_path / "b", rendered, form)
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert files
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()
        assert str(tmp_path).encode() not in (first / file).read_bytes()


@pytest.mark.parametrize("name", ["sft/clean=x", "sft/other/train=x", "sft/clean/test=x", "sft", "=x"])
def test_a_wrong_name_of_a_table_is_an_error(tmp_path, name):
    out = tmp_path / "out"
    with pytest.raises(WinnowError):
        made.run_script("export_dataset", format="verl", spec=SPEC, datasets=[name], out=out, manifest=out / "m.json")

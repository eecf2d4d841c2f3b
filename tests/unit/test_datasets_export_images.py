"""Exports of rows with images: each loader, by its own rules, gets the same turns and the same files as TRL."""

import json
import os
from pathlib import Path

import pytest
import yaml

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.tables import read_rows, write_table
from winnow.datasets import export_verl, llama_factory_loader
from winnow.datasets.export_tables import Pixels, RenderedTable
from winnow.datasets.llama_factory_images import image_tokens
from winnow.models import images, processors

ROOT = Path(__file__).parents[2]
MODALITIES = {"clean": None, "clean_images": "figure", "vision": "page"}
STAGES, SPLITS = ("sft", "dpo"), ("train", "val")
PIXELS = Pixels(**{name: made.IMAGE_BUDGET[name] for name in ("max_pixels", "min_pixels")})
CONTEXT = 6000


def run(stage, modality, parent=None):
    recipe = yaml.safe_load((ROOT / "recipes" / f"{stage}_full.yaml").read_text())
    facts = {"modality": modality, "model": "text" if modality == "clean" else "vision", "seed": 7, "gpu": 8}
    return {"name": f"{stage}_{modality}", "stage": stage, "dataset": stage, "parent": parent, "recipe": recipe} | facts


SPEC = {
    "study": "demo",
    "models": {"text": {"name": "Qwen/Qwen2.5-3B-Instruct"}, "vision": {"name": "Qwen/Qwen2.5-VL-3B-Instruct"}},
    "runs": [run(stage, name, f"sft_{name}" if stage == "dpo" else None) for name in MODALITIES for stage in STAGES],
    "context": dict.fromkeys(MODALITIES, CONTEXT),
    "pixels": {name: PIXELS.model_dump() for name, kind in MODALITIES.items() if kind},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A working folder with both datasets rendered in all three modalities, and both exports."""
    folder = tmp_path_factory.mktemp("checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        corpus = made.Corpus(folder, prompts=20)
        corpus.responses = [row | {"text": row["text"] + " <image> as in Figure 1"} for row in corpus.responses]
        paths, model = corpus.write(), made.make_vision_model(folder / "model")
        prompts = [row["prompt_id"] for row in corpus.prompts]
        for stage in STAGES:
            chosen = made.choose(stage, paths, folder / stage)["chosen"]
            for modality, kind in MODALITIES.items():
                changes = {"context": CONTEXT}
                if kind:
                    paths[modality] = made.draw_images(prompts, folder / f"{modality}.parquet", kind)
                    changes |= {"modality": modality, "images": made.IMAGE_BUDGET}
                made.render(stage, paths, chosen, model, folder / stage / modality, **changes)
        for form in ("llama_factory", "verl"):
            export(form)
    return folder


def export(form, out=None):
    names = [f"{s}/{m}/{p}={s}/{m}/{p}.parquet" for s in STAGES for m in MODALITIES for p in SPLITS]
    out = out or Path("results/demo/exports") / form
    made.run_script("export_dataset", format=form, spec=SPEC, datasets=names, out=out, manifest=out / "manifest.json")
    return out


@pytest.fixture
def here(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    return checkout


def table(stage, modality, split="train"):
    path = Path(stage) / modality / f"{split}.parquet"
    return RenderedTable(stage, modality, split, stage, path, CONTEXT, PIXELS if MODALITIES[modality] else None)


FACTORY = Path("results/demo/exports/llama_factory")
VERL = Path("results/demo/exports/verl")


def test_llama_factory_knows_the_twelve_names(here):
    info = json.loads((FACTORY / "dataset_info.json").read_text())
    expected = {f"training_checklist_{s}_{m}_{p}" for s in STAGES for m in MODALITIES for p in SPLITS}
    assert len(expected) == 12
    assert set(info) == expected
    for name, entry in info.items():
        assert entry["columns"].get("images") == (None if "_clean_t" in name or "_clean_v" in name else "images")
        assert "tags" not in entry


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("modality", ["clean_images", "vision"])
def test_llama_factory_gets_a_mark_in_front_for_each_image_and_its_file(here, stage, modality):
    rows = json.loads((FACTORY / f"{stage}_{modality}_train" / "data.json").read_text())
    wanted = list(read_rows(table(stage, modality).path))
    assert len(rows) == len(wanted) > 0
    for row, source in zip(rows, wanted, strict=True):
        said = [turn["value"] for turn in row["conversations"][:2]]
        assert said[0] == source["prompt"][0]["content"][0]["text"]
        assert said[1] == "<image><image>" + source["prompt"][1]["content"][-1]["text"]
        answers = [row["conversations"][2]] if stage == "sft" else [row["chosen"], row["rejected"]]
        sides = ["completion"] if stage == "sft" else ["chosen", "rejected"]
        assert [a["value"] for a in answers] == [source[side][0]["content"][0]["text"] for side in sides]
        assert sum(text.count("<image>") for text in [*said, *(a["value"] for a in answers)]) == len(row["images"])
        # media_dir is the folder of the datasets unless someone says otherwise.
        files = [os.path.join(FACTORY, path) for path in row["images"]]  # noqa: PTH118 - as its loader does it
        assert [Path(file).resolve() for file in files] == [Path(path).resolve() for path in source["images"]]


def test_training_files_of_image_runs_say_template_and_pixels(here):
    for modality in MODALITIES:
        for stage in STAGES:
            settings = yaml.safe_load((FACTORY / f"{stage}_{modality}.yaml").read_text())
            images = {"image_max_pixels": PIXELS.max_pixels, "image_min_pixels": PIXELS.min_pixels}
            if modality == "clean":
                assert settings["template"] == "qwen"
                assert not images.keys() & settings.keys()
            else:
                assert settings["template"] == "qwen2_vl"
                assert images.items() <= settings.items()
            assert settings["cutoff_len"] >= CONTEXT
            assert settings["dataset"] == f"training_checklist_{stage}_{modality}_train"
            assert settings["eval_dataset"] == f"training_checklist_{stage}_{modality}_val"


def edited(name, change):
    """Change the rows of an export, call the loader's check, and put the rows back."""
    file = FACTORY / name / "data.json"
    before = file.read_text()
    rows = json.loads(before)
    change(rows)
    file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    try:
        stage, _, rest = name.partition("_")
        llama_factory_loader.check_table(FACTORY, table(stage, rest.removesuffix("_train")))
    finally:
        file.write_text(before)


ROW_FAULTS = {
    "one mark too few": (lambda rows: _said(rows[0], lambda text: text.removeprefix("<image>")), "1 places for 2"),
    "a mark in the answer": (lambda rows: _answered(rows[0], lambda text: text + "<image>"), "3 places for 2"),
    "no images": (lambda rows: rows[0].pop("images"), "2 places for 0"),
    "an image that is not there": (lambda rows: rows[0]["images"].__setitem__(0, "gone.png"), "is not a file"),
    "images turned": (lambda rows: rows[0]["images"].reverse(), "differs"),
    "images of another row": (lambda rows: rows[0].update(images=rows[-1]["images"]), "differs"),
    "a mark behind the text": (
        lambda rows: _said(rows[0], lambda text: text.replace("<image>", "", 1) + "<image>"),
        "differs",
    ),
    "a place for sound": (lambda rows: _said(rows[0], lambda text: text + "<audio>"), "is not there"),
}


def _said(row, change):
    row["conversations"][1]["value"] = change(row["conversations"][1]["value"])


def _answered(row, change):
    row["conversations"][2]["value"] = change(row["conversations"][2]["value"])


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_wrong_row_is_caught(here, fault):
    change, said = ROW_FAULTS[fault]
    edited("sft_vision_train", list.copy)  # unchanged it passes
    with pytest.raises(WinnowError, match=said):
        edited("sft_vision_train", change)


def test_an_entry_that_does_not_name_the_images_is_caught(here):
    file = FACTORY / "dataset_info.json"
    before = file.read_text()
    info = json.loads(before)
    del info["training_checklist_sft_vision_train"]["columns"]["images"]
    file.write_text(json.dumps(info))
    try:
        with pytest.raises(WinnowError, match="2 places for 0 images"):
            llama_factory_loader.check_table(FACTORY, table("sft", "vision"))
    finally:
        file.write_text(before)


def test_verl_gets_images_with_their_limits_and_no_column_for_the_blind_loader(here):
    manifest = json.loads((VERL / "manifest.json").read_text())
    assert sorted(manifest["counts"]) == sorted(f"sft_{m}_{p}.parquet" for m in MODALITIES for p in SPLITS)
    rows, wanted = list(read_rows(VERL / "sft_vision_train.parquet")), list(read_rows(table("sft", "vision").path))
    assert len(rows) == len(wanted) > 0
    for row, source in zip(rows, wanted, strict=True):
        assert set(row) == {"id", "messages", "images"}
        assert row["images"] == [{"image": path} | PIXELS.model_dump() for path in source["images"]]
        assert row["messages"][1]["content"].startswith("<image><image>")
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    options = manifest["options"]["sft_vision_train.parquet"]
    assert options["data.image_key"] == "images"
    assert "data.prompt_key" not in options
    assert options["data.max_length"] > max(row["prompt_tokens"] + row["completion_tokens"] for row in wanted)


VERL_FAULTS = {
    "a mark too few": (
        lambda row: row["messages"][1].update(content=row["messages"][1]["content"].removeprefix("<image>")),
        "1 places for 2",
    ),
    "an image lost": (lambda row: row["images"].pop(), "2 places for 1"),
    "images turned": (lambda row: row["images"].reverse(), "differs"),
    "other pixels": (lambda row: row["images"][0].update(max_pixels=5), "differs"),
    "a mark behind the text": (
        lambda row: row["messages"][1].update(
            content=row["messages"][1]["content"].removeprefix("<image>") + "<image>"
        ),
        "differs",
    ),
    "a file out of the cache": (lambda row: row["images"][0].update(image="../x.png"), "is no image of cache/images"),
}


@pytest.mark.parametrize("fault", VERL_FAULTS)
def test_a_wrong_verl_file_is_caught(here, tmp_path, fault):
    change, said = VERL_FAULTS[fault]
    rows = list(read_rows(VERL / "sft_vision_train.parquet"))
    change(rows[0])
    write_table(tmp_path / "sft_vision_train.parquet", rows, export_verl.SCHEMA_IMAGES, ["id"])
    with pytest.raises(WinnowError, match=said):
        export_verl.check_table(tmp_path, table("sft", "vision"))


@pytest.mark.parametrize("form", ["llama_factory", "verl"])
def test_equal_work_gives_equal_bytes_and_no_absolute_path(here, form):
    first, second = Path("results/demo/exports") / form, export(form, Path("results/twin/exports") / form)
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert files
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()
        assert str(here).encode() not in (first / file).read_bytes()


def as_llama_factory(width, height, pixels):
    """The size that its plugin gives to the model's processor, and what the real processor makes of it."""
    from PIL import Image
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    if width * height > pixels.max_pixels:
        factor = (pixels.max_pixels / (width * height)) ** 0.5
        width, height = int(width * factor), int(height * factor)
    image = Image.new("RGB", (max(width, 28), max(height, 28)))
    grid = Qwen2VLImageProcessorPil()(images=[image], return_tensors="np")["image_grid_thw"]
    return int(grid.prod()) // 4


@pytest.mark.parametrize(
    ("width", "height"), [(1600, 900), (612, 792), (28, 28), (20, 500), (57, 43), (1000, 999), (30, 31)]
)
def test_image_tokens_are_those_of_the_processor_behind_the_plugin(width, height):
    pixels = Pixels(max_pixels=250_880, min_pixels=196)
    assert image_tokens(width, height, pixels) == as_llama_factory(width, height, pixels)


def test_a_row_that_is_longer_there_raises_the_cutoff(here, monkeypatch):
    """Sides that round up there and down here: the file's cutoff_len has room for the difference."""
    from winnow.datasets.llama_factory_images import cutoff_of

    rows = list(read_rows(table("sft", "vision").path))
    lengths = []
    for row in rows:
        sizes = [images.image_size(path)[::-1] for path in row["images"]]
        theirs = sum(image_tokens(*size, PIXELS) for size in sizes)
        ours = sum(processors.image_tokens(h, w, **PIXELS.model_dump()) for w, h in sizes)
        lengths.append(row["prompt_tokens"] + row["completion_tokens"] - ours + theirs)
    assert any(
        length != row["prompt_tokens"] + row["completion_tokens"] for row, length in zip(rows, lengths, strict=True)
    )
    assert cutoff_of([table("sft", "vision")], 10) == max(lengths)
    assert cutoff_of([table("sft", "vision")], 10**6) == 10**6
    assert cutoff_of([table("sft", "clean")], 10) == 10


def test_pixels_go_with_the_modalities_that_show_images(here):
    spec = SPEC | {"pixels": {}}
    name = "sft/vision/train=sft/vision/train.parquet"
    with pytest.raises(WinnowError, match="key pixels"):
        made.run_script(
            "export_dataset", format="verl", spec=spec, datasets=[name], out=Path("x"), manifest=Path("x/m.json")
        )

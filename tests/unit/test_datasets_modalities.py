"""The same rows in every modality, and validation of rows with images: a sound world passes, each fault is caught."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import datasets_fixtures as made
from modality_faults import FAULTS
from validation_world import World, failures
from winnow.core.errors import WinnowError
from winnow.core.tables import LEFT_OUT, RENDERED_SFT, read_rows, write_table

BOTH = ("clean", "vision")
CHANGES = {"clean": {}, "vision": {"modality": "vision", "images": made.IMAGE_BUDGET}}


def build(folder, stages=("sft", "dpo")):
    """Choose, render in two modalities, and align: three prompts have no pages."""
    corpus = made.Corpus(folder, prompts=30)
    paths, model = corpus.write(), made.make_vision_model(folder / "model")
    with_pages = [row["prompt_id"] for row in corpus.prompts[3:]]
    paths["vision"] = made.draw_images(with_pages, folder / "vision.parquet", "page")
    for stage in stages:
        chosen = made.choose(stage, paths, folder / stage)["chosen"]
        files = {}
        for modality in BOTH:
            out = folder / stage / modality
            files[modality] = made.render(stage, paths, chosen, model, out, **CHANGES[modality])
        for modality, other in (BOTH, BOTH[::-1]):
            others = {other: files[other]["left_out"]}
            made.align(stage, files[modality], folder / stage / modality, modality, **others)
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return build(folder)


class ImageWorld(World):
    """A copy of the sound folder, validated in one modality against the other."""

    def __init__(self, folder, stage, modality):
        super().__init__(folder, stage)
        self.modality, self.other = modality, BOTH[1 - BOTH.index(modality)]
        self.spec = CHANGES[modality]
        self.compared = True

    def path(self, name):
        if name in ("train", "val", "left_out", "rendered"):
            return self.folder / self.stage / self.modality / f"{name}.parquet"
        return super().path(name)

    def options(self):
        images = {"images": self.folder / "vision.parquet"} if self.modality == "vision" else {}
        other = self.folder / self.stage / self.other
        names = ("train", "val", "left_out")
        compared = [f"{self.other}/{name}={other / f'{name}.parquet'}" for name in names] if self.compared else []
        return images | ({"modalities": compared} if compared else {})

    def images(self):
        return list(read_rows(self.folder / "vision.parquet"))

    def put_images(self, rows):
        table = self.folder / "vision.parquet"
        write_table(table, rows, pq.read_schema(table), ["prompt_id", "number"])


@pytest.fixture
def world(sound, tmp_path, monkeypatch, request):
    folder = Path(shutil.copytree(sound, tmp_path / "world"))
    monkeypatch.chdir(folder)
    return ImageWorld(folder, *request.param)


WORLDS = [(stage, modality) for stage in ("sft", "dpo") for modality in BOTH]


@pytest.mark.parametrize("world", WORLDS, indirect=True, ids="-".join)
def test_a_sound_study_of_two_modalities_passes_in_both(world):
    report = world.validate()
    assert report["ok"]
    rules = {rule["id"]: rule for rule in report["rules"]}
    assert rules["C10b"]["status"] == "pass"
    assert rules["C10b"]["checked"] > 0
    assert (rules["C6"]["status"] == "pass") == (world.modality == "vision")
    reason = "no_images" if world.modality == "vision" else "left out in vision: no_images"
    assert [rules["C10"]["measured"].get(name) for name in (reason, f"left out: {reason}")] != [None, None]
    assert any(name.startswith("modalities/") for name in report["inputs"])


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_every_modality_has_the_same_ids_in_the_same_splits(sound, stage):
    key = "response_id" if stage == "sft" else "pair_id"
    ids = {}
    for modality in BOTH:
        folder = sound / stage / modality
        ids[modality] = {
            split: [row[key] for row in read_rows(folder / f"{split}.parquet")] for split in ("train", "val")
        }
        counts = json.loads((folder / "align.json").read_text())["counts"]
        for split in ("train", "val"):
            assert counts[split]["kept"] == len(ids[modality][split])
            assert counts[split]["read"] == counts[split]["kept"] + sum(counts[split]["dropped"].values())
    assert ids["clean"] == ids["vision"]
    dropped = json.loads((sound / stage / "clean" / "align.json").read_text())["counts"]["train"]["dropped"]
    assert dropped == {"left out in vision: no_images": dropped["left out in vision: no_images"]}
    rendered = {row[key] for row in read_rows(sound / stage / "clean" / "rendered.parquet")}
    assert rendered > set(ids["clean"]["train"])


@pytest.mark.parametrize(
    ("world", "rule", "fault"),
    [
        pytest.param(where, rule, fault, id=f"{rule}-{'-'.join(where)}-{fault.__name__}")
        for rule, where, faults in FAULTS
        for fault in faults
    ],
    indirect=["world"],
)
def test_each_rule_catches_its_fault(world, rule, fault):
    fault(world)
    assert rule in failures(world)


@pytest.mark.parametrize("world", [("sft", "clean")], indirect=True)
def test_without_others_nothing_is_compared(world):
    world.compared = False
    made.align("sft", {"rendered": world.path("rendered")}, world.path("train").parent)
    report = world.validate()
    assert report["ok"]
    assert {rule["status"] for rule in report["rules"] if rule["id"] == "C10b"} == {"not_applicable"}


def test_a_row_that_several_leave_out_is_counted_once(tmp_path):
    rows = [
        dict.fromkeys(RENDERED_SFT.names) | {"response_id": name, "split": "train"} for name in ("a", "b", "c", "d")
    ]
    write_table(tmp_path / "rendered.parquet", rows, RENDERED_SFT, ["response_id"])
    others = {}
    for modality, reasons in (("vision", {"a": "no_images", "b": "no_images"}), ("clean_images", {"b": "too"})):
        left_out = [{"id": name, "split": "train", "reason": reason} for name, reason in reasons.items()]
        others[modality] = tmp_path / f"{modality}.parquet"
        write_table(others[modality], left_out, LEFT_OUT, ["id"])
    files = made.align("sft", {"rendered": tmp_path / "rendered.parquet"}, tmp_path, **others)
    assert [row["response_id"] for row in read_rows(files["train"])] == ["c", "d"]
    counts = json.loads(files["aligned"].read_text())["counts"]["train"]
    assert counts["dropped"] == {"left out in clean_images: too": 1, "left out in vision: no_images": 1}


def test_no_common_row_is_an_error_that_says_who_left_them_out(tmp_path):
    row = dict.fromkeys(RENDERED_SFT.names) | {"response_id": "a", "split": "train"}
    write_table(tmp_path / "rendered.parquet", [row], RENDERED_SFT, ["response_id"])
    write_table(tmp_path / "v.parquet", [{"id": "a", "split": "train", "reason": "no_images"}], LEFT_OUT, ["id"])
    with pytest.raises(WinnowError, match="left out in vision: no_images removed 1") as error:
        made.align("sft", {"rendered": tmp_path / "rendered.parquet"}, tmp_path, vision=tmp_path / "v.parquet")
    assert "same_rows: false" in str(error.value)


def test_tables_go_to_two_splits_or_to_one_of_held_out_rows(tmp_path):
    with pytest.raises(SystemExit):
        made.run_script(
            "align_modalities",
            spec={"stage": "sft", "modality": "clean"},
            rendered=tmp_path / "rendered.parquet",
            train=tmp_path / "train.parquet",
            manifest=tmp_path / "m.json",
        )

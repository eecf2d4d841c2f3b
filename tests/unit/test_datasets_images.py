"""Rendering with images: which are shown, what gives way to them, and that TRL makes of a row what it says."""

import json
from pathlib import Path

import pytest

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.tables import IMAGES, RENDERED_DPO_IMAGES, RENDERED_SFT_IMAGES, read_rows, write_table

MODALITIES = ("clean_images", "vision")
CONTEXT = made.BUDGET["context"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made.make_vision_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus in a working folder of its own, with figures and pages for all its prompts."""
    monkeypatch.chdir(tmp_path)
    return made.Corpus(tmp_path, prompts=20)


def draw(corpus, **prompts):
    """Write the images tables; `prompts` names those of a modality, all by default."""
    every = [row["prompt_id"] for row in corpus.prompts]
    kinds = {"clean_images": "figure", "vision": "page"}
    return {
        modality: made.draw_images(prompts.get(modality, every), corpus.folder / f"{modality}.parquet", kind)
        for modality, kind in kinds.items()
    }


def rendered(stage, corpus, model, modality="vision", images=None, tables=None, **changes):
    """Every row of train and val, and the manifest."""
    paths, out = corpus.write() | (tables or draw(corpus)), corpus.folder / stage / modality
    chosen = made.choose(stage, paths, corpus.folder / stage)["chosen"]
    changes |= {"modality": modality, "images": made.IMAGE_BUDGET | (images or {})}
    files = made.render(stage, paths, chosen, model, out, **changes)
    rows = [row for split in ("train", "val") for row in read_rows(files[split])]
    return rows, json.loads(files["manifest"].read_text())


def parts(row, kind):
    return [part for part in row["prompt"][1]["content"] if part["type"] == kind]


def shown_text(row):
    (text,) = parts(row, "text")
    return text["text"]


def test_vision_shows_title_abstract_and_pages_and_the_body_only_when_asked(corpus, model):
    rows, _ = rendered("sft", corpus, model)
    prompts = {row["prompt_id"]: row for row in corpus.prompts}
    table = {(row["prompt_id"], row["number"]): row["path"] for row in read_rows(corpus.folder / "vision.parquet")}
    assert rows
    for row in rows:
        assert set(row) == set(RENDERED_SFT_IMAGES.names)
        assert [part["type"] for part in row["prompt"][1]["content"]] == ["image", "image", "text"]
        assert row["images"] == [table[row["prompt_id"], number] for number in (0, 1)]  # the first two of three
        text, prompt = shown_text(row), prompts[row["prompt_id"]]
        assert prompt["title"] in text
        assert text.endswith(prompt["abstract"])
        assert "## Full text" not in text
    with_text, _ = rendered("sft", corpus, model, images={"with_text": True})
    assert all("## Full text" in shown_text(row) for row in with_text)
    assert [row["response_id"] for row in with_text] == [row["response_id"] for row in rows]


def test_clean_images_shows_what_clean_shows_behind_its_figures(corpus, model):
    rows, _ = rendered("dpo", corpus, model, "clean_images", context=6000)
    paths = corpus.write()
    chosen = corpus.folder / "dpo" / "chosen.parquet"
    clean = made.render("dpo", paths, chosen, model, corpus.folder / "dpo" / "clean", context=6000)
    plain = {row["pair_id"]: row for split in ("train", "val") for row in read_rows(clean[split])}
    assert len(rows) == len(plain) > 0
    for row in rows:
        assert set(row) == set(RENDERED_DPO_IMAGES.names)
        other = plain[row["pair_id"]]
        assert shown_text(row) == other["prompt"][1]["content"]
        assert row["prompt"][0]["content"] == [{"type": "text", "text": other["prompt"][0]["content"]}]
        for side in ("chosen", "rejected"):
            assert row[side][0]["content"] == [{"type": "text", "text": other[side][0]["content"]}]
            assert row[f"{side}_tokens"] == other[f"{side}_tokens"]
        assert row["prompt_tokens"] > other["prompt_tokens"] + len(row["images"])


def test_the_body_gives_way_and_images_never(corpus, model):
    whole, _ = rendered("sft", corpus, model, "clean_images", context=6000)
    longest = max(row["prompt_tokens"] for row in whole)
    context = longest - 60 + made.BUDGET["response_tokens"]
    rows, manifest = rendered("sft", corpus, model, "clean_images", context=context)
    assert [row["images"] for row in rows] == [row["images"] for row in whole]
    cut = [row for row in rows if row["prompt_tokens_cut"]]
    assert cut
    for row, before in zip(rows, whole, strict=True):
        assert row["prompt_tokens"] <= context - made.BUDGET["response_tokens"]
        assert row["prompt_tokens"] + row["prompt_tokens_cut"] == before["prompt_tokens"]
        assert shown_text(before).startswith(shown_text(row))
    assert manifest["counts"]["train"]["dropped"] == {}


def test_images_that_leave_no_room_take_their_row_with_them(corpus, model):
    tables = draw(corpus)
    large = next(row["prompt_id"] for row in rendered("sft", corpus, model, tables=tables)[0])
    images = [row for row in read_rows(tables["vision"]) if row["prompt_id"] != large]
    images += [made.image_row(large, number, "page", 700, 700) for number in range(2)]
    write_table(tables["vision"], images, IMAGES, ["prompt_id", "number"])
    rows, _ = rendered("sft", corpus, model, tables=tables, images={"max_pixels": 490_000})  # 2 * 625 tokens
    left_out = list(read_rows(corpus.folder / "sft" / "vision" / "left_out.parquet"))
    chosen = list(read_rows(corpus.folder / "sft" / "chosen.parquet"))
    assert {row["id"] for row in left_out} == {row["response_id"] for row in chosen if row["prompt_id"] == large}
    assert {row["reason"] for row in left_out} == {"images_leave_no_room"}
    assert {len(row["images"]) for row in rows} == {2}
    with pytest.raises(WinnowError, match="images_leave_no_room removed"):
        rendered("sft", corpus, model, tables=tables, context=420)


def test_rows_without_images_or_with_one_too_narrow_are_left_out_with_their_reason(corpus, model):
    every = [row["prompt_id"] for row in corpus.prompts]
    tables = draw(corpus, vision=every[:-4])
    images = list(read_rows(tables["vision"]))
    narrow = images[0]["prompt_id"]
    images[0] = made.image_row(narrow, 0, "page", 402, 2)
    write_table(tables["vision"], images, IMAGES, ["prompt_id", "number"])
    rows, manifest = rendered("sft", corpus, model, tables=tables)
    chosen = list(read_rows(corpus.folder / "sft" / "chosen.parquet"))
    expected = {row["response_id"]: "no_images" for row in chosen if row["prompt_id"] in every[-4:]}
    expected |= {row["response_id"]: "image_too_narrow" for row in chosen if row["prompt_id"] == narrow}
    left_out = list(read_rows(corpus.folder / "sft" / "vision" / "left_out.parquet"))
    assert {row["id"]: row["reason"] for row in left_out} == expected
    assert "no_images" in expected.values()
    counts = manifest["counts"].values()
    assert sum(sum(count["dropped"].values()) for count in counts) == len(expected)
    assert {row["response_id"] for row in rows} == {row["response_id"] for row in chosen} - expected.keys()


def test_an_image_that_is_gone_is_an_error_with_its_remedy(corpus, model):
    tables = draw(corpus)
    rendered("sft", corpus, model, tables=tables)
    shown = next(read_rows(corpus.folder / "sft" / "vision" / "train.parquet"))["images"][0]
    Path(shown).unlink()
    with pytest.raises(WinnowError, match="--forcerun draw_images"):
        rendered("sft", corpus, model, tables=tables)


@pytest.mark.parametrize("path", ["../elsewhere.png", "/etc/hostname", "cache/images/../../secret.png", "link"])
def test_an_image_outside_the_cache_is_refused(corpus, model, path):
    tables = draw(corpus)
    rows = list(read_rows(tables["vision"]))
    if path == "link":
        secret = corpus.folder / "secret.png"
        secret.write_bytes(b"x")
        for row in rows:
            Path(row["path"]).unlink()
            Path(row["path"]).symlink_to(secret)
    else:
        rows = [row | {"path": path} for row in rows]
        write_table(tables["vision"], rows, IMAGES, ["prompt_id", "number"])
    with pytest.raises(WinnowError, match=r"is no image of cache/images|outside cache/images"):
        rendered("sft", corpus, model, tables=tables)


def test_a_model_of_text_cannot_be_shown_images(corpus, tmp_path):
    text = made.make_tokenizer(tmp_path / "text")
    with pytest.raises(WinnowError, match="is a model of text, the modality vision shows images"):
        rendered("sft", corpus, text)


def test_a_budget_has_images_if_its_modality_shows_any(corpus, model):
    paths = corpus.write() | draw(corpus)
    chosen = made.choose("sft", paths, corpus.folder)["chosen"]
    for changes in ({"modality": "vision"}, {"images": made.IMAGE_BUDGET}):
        with pytest.raises(WinnowError, match="images are given for every modality but clean"):
            made.render("sft", paths, chosen, model, corpus.folder / "out", **changes)


def loaded(rows_file, columns):
    """Rows as a trainer gets them: paths become images when they are read."""
    from datasets import Dataset, Image, List

    return Dataset.from_parquet(str(rows_file), columns=columns).cast_column("images", List(Image()))


@pytest.fixture
def processor(model):
    from winnow.models.processors import load_processor

    sizes = {name: made.IMAGE_BUDGET[name] for name in ("max_pixels", "min_pixels")}
    return load_processor(model, **sizes)


@pytest.mark.parametrize("modality", MODALITIES)
def test_trl_prepares_sft_rows_and_finds_as_many_tokens_as_they_say(corpus, model, processor, modality):
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    rows, _ = rendered("sft", corpus, model, modality, context=6000)
    file = corpus.folder / "sft" / modality / "train.parquet"
    examples = loaded(file, ["prompt", "completion", "images"])
    collate = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
    train = [row for row in rows if row["split"] == "train"]
    assert len(examples) == len(train) > 3
    for index, row in enumerate(train[:4]):
        batch = collate([examples[index]])
        assert batch["input_ids"].shape == (1, row["prompt_tokens"] + row["completion_tokens"])
        assert int((batch["labels"] != -100).sum()) == row["completion_tokens"]
        assert len(batch["image_grid_thw"]) == len(row["images"]) == 2
        pads = int((batch["input_ids"] == processor.image_token_id).sum())
        assert pads == int(batch["image_grid_thw"].prod(-1).sum()) // 4


def test_trl_prepares_dpo_rows_and_finds_as_many_tokens_as_they_say(corpus, model, processor):
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    rows, _ = rendered("dpo", corpus, model, context=6000)
    examples = loaded(corpus.folder / "dpo" / "vision" / "train.parquet", ["prompt", "chosen", "rejected", "images"])
    collate = DataCollatorForVisionPreference(processor)
    train = [row for row in rows if row["split"] == "train"]
    assert len(examples) == len(train) > 1
    for index, row in enumerate(train[:3]):
        batch = collate([examples[index]])
        lengths = batch["attention_mask"].sum(-1).tolist()
        assert lengths == [row["prompt_tokens"] + row[f"{side}_tokens"] for side in ("chosen", "rejected")]
        assert batch["completion_mask"].sum(-1).tolist() == [row["chosen_tokens"], row["rejected_tokens"]]


def test_equal_work_gives_equal_bytes(corpus, model):
    first, _ = rendered("sft", corpus, model)
    files = [corpus.folder / "sft" / "vision" / name for name in ("rendered.parquet", "train.parquet", "render.json")]
    before = [file.read_bytes() for file in files]
    assert rendered("sft", corpus, model)[0] == first
    assert [file.read_bytes() for file in files] == before

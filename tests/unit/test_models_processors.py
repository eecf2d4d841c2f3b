"""The processor of images against transformers' own, and the count of an image's tokens against the processor."""

import random
import shutil
from pathlib import Path

import pytest
from PIL import Image

from training import fixtures, images
from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.models.images import check_images, image_size
from winnow.models.processors import copy_settings, expand_images, image_tokens, load_processor

LIMITS = {"max_pixels": 250_880, "min_pixels": 196}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    return images.make_model(root / "vision", fixtures.write_texts(root / "corpus"))


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [(512, 512, 289), (1600, 900, 299), (28, 28, 1), (10, 10, 1), (29, 41, 1), (42, 28, 2), (196, 4, 4)],
)
def test_tokens_of_an_image(width: int, height: int, tokens: int) -> None:
    assert image_tokens(height, width, **LIMITS) == tokens


def test_tokens_are_those_that_the_processor_makes(folder: Path) -> None:
    rng = random.Random(4)
    sizes = [(rng.randint(3, 900), rng.randint(3, 900)) for _ in range(25)]
    for limits in (LIMITS, {"max_pixels": 3136, "min_pixels": 1600}):
        processor = load_processor(folder, **limits)
        for size in (size for size in sizes if max(size) / min(size) <= 200):
            made = processor(text=["<|image_pad|>"], images=[Image.new("RGB", size)], return_tensors="pt")
            assert made["input_ids"].shape[1] == image_tokens(size[1], size[0], **limits), size


def test_an_image_too_narrow_for_the_model() -> None:
    with pytest.raises(WinnowError, match=r"an image of 2010 x 10 pixels: .*aspect ratio"):
        image_tokens(10, 2010, **LIMITS)


def test_expanded_ids_are_those_of_the_processor(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [images.draw(tmp_path, colour, size, 3) for colour, size in (("red", (84, 40)), ("blue", (30, 30)))]
    check_images(paths)
    assert image_size(paths[0]) == (40, 84)
    processor = load_processor(folder, **LIMITS)
    text = "one <|image_pad|> two <|image_pad|> three"
    made = processor(text=[text], images=[Image.open(path) for path in paths])["input_ids"][0]
    assert expand_images(processor.tokenizer(text)["input_ids"], processor, paths) == tuple(made)
    with pytest.raises(ValueError, match="2 image tokens for 1 images"):
        expand_images(processor.tokenizer(text)["input_ids"], processor, paths[:1])


def test_folders_that_are_no_qwen_vl(folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "model"))
    write_json(broken / "preprocessor_config.json", read_json(folder / "preprocessor_config.json") | {"patch_size": 16})
    with pytest.raises(WinnowError, match="has patches of 16 pixels"):
        load_processor(broken, **LIMITS)
    (broken / "preprocessor_config.json").unlink()
    with pytest.raises(WinnowError, match="holds no processor of images"):
        load_processor(broken, **LIMITS)
    shutil.copy(folder / "preprocessor_config.json", broken)
    (broken / "chat_template.jinja").write_text("{% for m in messages %}{{ m['role'] }}{% endfor %}")
    with pytest.raises(WinnowError, match="its chat template shows no images"):
        load_processor(broken, **LIMITS)


def test_settings_are_copied_with_the_sizes_of_the_run(folder: Path, tmp_path: Path) -> None:
    """Older folders have one file, newer ones a group of keys in another; what is not about size stays."""
    old = read_json(folder / "preprocessor_config.json")
    base = tmp_path / "base"
    write_json(base / "preprocessor_config.json", old)
    write_json(base / "processor_config.json", {"processor_class": "X", "image_processor": old})
    (tmp_path / "out").mkdir()
    copy_settings(base, tmp_path / "out", **LIMITS)
    sizes = LIMITS | {"size": {"shortest_edge": 196, "longest_edge": 250_880}}
    assert read_json(tmp_path / "out" / "preprocessor_config.json") == old | sizes
    assert read_json(tmp_path / "out" / "processor_config.json") == {
        "processor_class": "X",
        "image_processor": old | sizes,
    }

"""Qwen2.5-VL's processor, with and without torchvision, and how many tokens an image becomes.

transformers' own processor wants a video processor, which wants torchvision. Nothing here shows videos,
so it is left out, and images are prepared by Pillow in either case: the same pixels on every machine.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoTokenizer, Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.models.images import image_size, open_images

PATCH = 14  # pixels of a patch's side
MERGED = 2  # patches of a token's side
FACTOR = PATCH * MERGED

# What a processor is loaded from, besides the tokenizer's files. Older folders have the first, newer ones the second.
SETTINGS_FILES = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
IMAGE_SETTINGS = "preprocessor_config.json"


class ImageTextProcessor(Qwen2_5_VLProcessor):
    """Qwen2.5-VL's processor for text and images, without videos."""

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Return the parts that are checked and saved."""
        return [name for name in super().get_attributes() if name != "video_processor"]


def load_processor(folder: Path, *, max_pixels: int, min_pixels: int) -> Any:
    """Load the processor of a prepared Qwen2.5-VL from its folder, offline and without remote code.

    Its chat template is the tokenizer's own, the only one there is.

    Args:
        folder: with tokenizer and preprocessor_config.json.
        max_pixels: the area to which larger images are scaled down.
        min_pixels: the area to which smaller images are scaled up.

    Raises:
        WinnowError: if the folder has no such processor, or its template shows no images.
    """
    remedy = "use a Qwen2.5-VL, and have prepare_model make the model's folder again"
    try:
        images = Qwen2VLImageProcessorPil.from_pretrained(
            str(folder), local_files_only=True, max_pixels=max_pixels, min_pixels=min_pixels
        )
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise WinnowError(folder, f"holds no processor of images ({str(error).splitlines()[0]})", remedy) from error
    if images.patch_size != PATCH or images.merge_size != MERGED:
        found = f"patches of {images.patch_size} pixels, {images.merge_size} to a side of a token"
        raise WinnowError(folder, f"has {found}; Qwen2.5-VL has {PATCH} and {MERGED}", remedy)
    processor = ImageTextProcessor(
        image_processor=images, tokenizer=tokenizer, video_processor=None, chat_template=tokenizer.chat_template
    )
    probe = [{"role": "user", "content": [{"type": "image", "text": None}]}]
    if not tokenizer.chat_template or processor.image_token not in tokenizer.apply_chat_template(probe, tokenize=False):
        raise WinnowError(folder, "its chat template shows no images", remedy)
    return processor


def image_tokens(height: int, width: int, *, max_pixels: int, min_pixels: int) -> int:
    """Return how many tokens an image becomes: one for each 28 x 28 pixels, once it is scaled.

    Args:
        height: of the image, in pixels, with `width` likewise.
        width: see `height`.
        max_pixels: the area to which a larger image is scaled down.
        min_pixels: the area to which a smaller image is scaled up.

    Raises:
        WinnowError: if one side is more than 200 times the other, which the model's processor refuses.
    """
    try:
        scaled = smart_resize(height, width, factor=FACTOR, min_pixels=min_pixels, max_pixels=max_pixels)
    except ValueError as error:
        raise WinnowError(f"an image of {width} x {height} pixels", str(error), "leave it out") from error
    return int(scaled[0] // FACTOR) * int(scaled[1] // FACTOR)


def row_image_tokens(processor: Any, paths: Sequence[str]) -> list[int]:
    """Return how many tokens each of a row's images becomes, from the sizes that their files state."""
    size = processor.image_processor.size
    limits = {"max_pixels": size.longest_edge, "min_pixels": size.shortest_edge}
    return [image_tokens(*image_size(path), **limits) for path in paths]


def expand_images(ids: Sequence[int], processor: Any, paths: Sequence[str]) -> tuple[int, ...]:
    """Return token ids in which every image's one token is repeated as often as the model reads it.

    Raises:
        ValueError: if there are not as many image tokens as images.
    """
    expanded: list[int] = []
    counts = iter(row_image_tokens(processor, paths))
    image = processor.image_token_id
    if sum(token == image for token in ids) != len(paths):
        raise ValueError(f"{sum(token == image for token in ids)} image tokens for {len(paths)} images")
    for token in ids:
        expanded += [token] * (next(counts) if token == image else 1)
    return tuple(expanded)


def image_inputs(processor: Any, paths: Sequence[str], ids: Tensor) -> dict[str, Tensor]:
    """Return what a model gets beside the token ids of rows with images, on the device of the ids.

    Args:
        processor: see `load_processor`.
        paths: of the images of all rows, in their order.
        ids: expanded token ids. Shape: [rows, positions].
    """
    seen = processor.image_processor(images=open_images(paths), return_tensors="pt")
    return {
        "pixel_values": seen["pixel_values"].to(ids.device),
        "image_grid_thw": seen["image_grid_thw"].to(ids.device),
        "mm_token_type_ids": (ids == processor.image_token_id).long(),
    }


def image_settings() -> dict[str, Any]:
    """Return what preprocessor_config.json of a Qwen2.5-VL holds, for a model that is built here."""
    plain = Qwen2VLImageProcessorPil()
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "image_mean": list(plain.image_mean),
        "image_std": list(plain.image_std),
        "patch_size": plain.patch_size,
        "temporal_patch_size": plain.temporal_patch_size,
        "merge_size": plain.merge_size,
        "min_pixels": plain.size["shortest_edge"],
        "max_pixels": plain.size["longest_edge"],
    }


def copy_settings(base: Path, folder: Path, *, max_pixels: int, min_pixels: int) -> None:
    """Copy a base model's processor settings to a trained model, with the sizes at which it was shown images.

    So whoever loads the trained model with AutoProcessor shows it images as training did.
    """
    limits = {
        "min_pixels": min_pixels,
        "max_pixels": max_pixels,
        "size": {"shortest_edge": min_pixels, "longest_edge": max_pixels},
    }
    for name in SETTINGS_FILES:
        if (base / name).is_file():
            content = read_json(base / name)
            for part in (content, content.get("image_processor") or {}):
                if "image_processor_type" in part:
                    part.update(limits)
            write_json(folder / name, content)

"""Tiny models for a CPU: a random Qwen2 or Qwen2.5-VL, a tokenizer trained on a study's texts. Not for results."""

import hashlib
import heapq
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from winnow.core.config.models import TinyModel, TinyVision
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.log import log
from winnow.core.tables import read_rows
from winnow.models.processors import IMAGE_SETTINGS, MERGED, PATCH, image_settings

TEXT_CHARACTERS = 20_000_000  # of all texts, drawn by hash; a small vocabulary learns nothing from more
SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
# How Qwen2 divides text before merging: contractions, words, single digits, punctuation, line ends, spaces.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEXT_COLUMNS = ("title", "abstract", "body", "text")


def _texts(files: Sequence[Path]) -> Iterator[str]:
    """Yield every text of prompt and response tables, a batch of rows in memory at a time."""
    for file in files:
        columns = [name for name in _TEXT_COLUMNS if name in pq.read_schema(file).names]
        if not columns:
            raise WinnowError(file, f"has none of the columns {', '.join(_TEXT_COLUMNS)}", "give prompts and responses")
        for row in read_rows(file, columns):
            yield from (row[name] for name in columns if row[name])


def draw_texts(files: Sequence[Path], limit: int = TEXT_CHARACTERS) -> list[str]:
    """Return distinct texts, `limit` characters in all: those with the smallest hashes, in the order of their hashes.

    The draw depends on the texts alone, not on files or the order of rows; only the draw is held in memory.
    """
    heap: list[tuple[int, str]] = []  # the largest hash first, as a negative number
    held: set[int] = set()
    size = 0
    for text in _texts(files):
        key = -int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), "big")
        if key in held or (size >= limit and key < heap[0][0]):
            continue
        heapq.heappush(heap, (key, text))
        held.add(key)
        size += len(text)
        while len(heap) > 1 and size - len(heap[0][1]) >= limit:
            dropped, longest = heapq.heappop(heap)
            held.remove(dropped)
            size -= len(longest)
    return [text for _, text in sorted(heap, reverse=True)]


def train_tokenizer(texts: Iterable[str], vocab_size: int, words: Sequence[str] = ()) -> Any:
    """Return a byte-level BPE tokenizer in the manner of Qwen2, with its special tokens, without a chat template.

    Args:
        texts: what the merges are learned from, in a fixed order.
        vocab_size: number of tokens, special ones and `words` included.
        words: are tokens of their own where they stand alone, whatever the texts say.

    Raises:
        WinnowError: if the vocabulary cannot hold the 256 bytes and the special tokens.
    """
    merged = vocab_size - len(SPECIAL_TOKENS) - len(words)
    if merged < 256:
        raise WinnowError(
            "models key tiny.vocab_size",
            f"{vocab_size} cannot hold 256 bytes, {len(SPECIAL_TOKENS)} special tokens and {len(words)} words",
            "use at least 512",
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=merged, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=False) for word in words])
    # Special tokens come after the merges, as in Qwen, so that they cannot shift the ids of words.
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106 - a token of text
        pad_token="<|endoftext|>",  # noqa: S106
        extra_special_tokens=SPECIAL_TOKENS,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )


def _chat_template(name: str) -> str:
    """Return a chat template of which TRL carries a copy. TRL itself is slow to import and is not."""
    package = importlib.util.find_spec("trl")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def build_tiny(settings: TinyModel, texts: Sequence[Path], folder: Path) -> None:
    """Write a tiny model into `folder`: tokenizer, configuration, safetensors, processor of images.

    Equal texts and seed give equal bytes.

    Raises:
        WinnowError: if there is no text to learn a tokenizer from.
    """
    drawn = draw_texts(texts)
    if not drawn:
        raise WinnowError("--texts", "hold no text, and a tiny model needs some", "give prompts and responses")
    log(f"training a tokenizer on {len(drawn):,} texts, {sum(map(len, drawn)):,} characters")
    tokenizer = train_tokenizer(drawn, settings.vocab_size, settings.words)
    tokenizer.chat_template = _chat_template("qwen2_5_vl" if settings.vision else "qwen2_5")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if settings.vision is None:
            model = Qwen2ForCausalLM(Qwen2Config(tie_word_embeddings=True, **_text_config(settings, tokenizer)))
        else:
            config = _vision_config(settings, settings.vision, tokenizer)
            model = Qwen2_5_VLForConditionalGeneration(config)
            write_json(folder / IMAGE_SETTINGS, image_settings())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _text_config(settings: TinyModel, tokenizer: Any) -> dict[str, Any]:
    """Return the settings of the language model."""
    return {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": settings.hidden_size,
        "intermediate_size": settings.intermediate_size,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.kv_heads,
        "max_position_embeddings": settings.max_position_embeddings,
        "initializer_range": settings.initializer_range,
        "bos_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _vision_config(settings: TinyModel, vision: TinyVision, tokenizer: Any) -> Qwen2_5_VLConfig:
    """Return the settings of a Qwen2.5-VL. Time, row and column of a position share the rotations as there, 2:3:3."""
    half = settings.hidden_size // settings.heads // 2
    time, row = half // 4, (half - half // 4) // 2
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [time, row, half - time - row]}
    tokens = {
        f"{name}_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in {
            "image_token": "image_pad",
            "video_token": "video_pad",
            "vision_start_token": "vision_start",
            "vision_end_token": "vision_end",
        }.items()
    }
    return Qwen2_5_VLConfig(
        text_config=_text_config(settings, tokenizer) | {"rope_parameters": rope},
        vision_config={
            "depth": vision.layers,
            "hidden_size": vision.hidden_size,
            "intermediate_size": vision.intermediate_size,
            "num_heads": vision.heads,
            "out_hidden_size": settings.hidden_size,
            "fullatt_block_indexes": [vision.layers - 1],
            "window_size": 4 * PATCH * MERGED,
            "patch_size": PATCH,
            "spatial_merge_size": MERGED,
            "initializer_range": settings.initializer_range,
        },
        tie_word_embeddings=True,
        **tokens,
    )

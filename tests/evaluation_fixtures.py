"""A tiny model and rendered tables, for tests of evaluation."""

import json
from pathlib import Path

from winnow.core.tables import RENDERED_DPO, RENDERED_SFT, write_table

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SENTENCE = """the paper method is novel but weak experiments lack clear baselines and strong results show promise"""
WORDS = SENTENCE.split()


def tiny_model(folder: Path, seed: int = 0) -> Path:
    """Make models/<name>/ as prepare_model does for a tiny model."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from tokenizers.decoders import ByteLevel
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    raw.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    # Large weights, so that predictions differ clearly between contexts.
    config.initializer_range = 0.5
    Qwen2ForCausalLM(config).save_pretrained(folder)
    (folder / "model.json").write_text(json.dumps({"kind": "tiny", "source": ".", "revision": None}))
    return folder


def _text(start: int, words: int) -> str:
    return " ".join(WORDS[(start + 3 * step) % len(WORDS)] for step in range(words))


def _common(index: int) -> dict:
    return {
        "prompt": [{"role": "user", "content": f"Review {_text(index, 4 + index)}"}],
        "prompt_id": f"p{index // 2}",
        "corpus": "papers",
        "decision": "accept",
        "year": 2019,
        "prompt_tokens": 10,
    }


def heldout_table(path: Path, rows: int = 6) -> Path:
    """Two responses to each prompt; the first row's prompt was cut."""

    def row(index: int) -> dict:
        return {
            **_common(index),
            "completion": [{"role": "assistant", "content": _text(index, 3 + 2 * index)}],
            "response_id": f"r{index}",
            "completion_tokens": 5,
            "rating": 6.0,
            "checkmark_count": 9,
            "checkmark_score": 0.5,
            "split": "test",
            "prompt_tokens_cut": 7 if index == 0 else 0,
        }

    write_table(path, map(row, range(rows)), RENDERED_SFT, ["response_id"])
    return path


def preference_table(path: Path, rows: int = 5) -> Path:
    """Pairs with a longer and a shorter side in turn."""

    def row(index: int) -> dict:
        lengths = (8, 4) if index % 2 else (4, 8)
        return {
            **_common(index),
            "chosen": [{"role": "assistant", "content": _text(index, lengths[0])}],
            "rejected": [{"role": "assistant", "content": _text(index + 1, lengths[1])}],
            "pair_id": f"pair{index}",
            "chosen_id": f"c{index}",
            "rejected_id": f"d{index}",
            "chosen_tokens": lengths[0],
            "rejected_tokens": lengths[1],
            "chosen_rating": 8.0,
            "rejected_rating": 4.0,
            "chosen_checkmark_count": 9,
            "rejected_checkmark_count": 5,
            "split": "val",
            "prompt_tokens_cut": 0,
        }

    write_table(path, map(row, range(rows)), RENDERED_DPO, ["pair_id"])
    return path

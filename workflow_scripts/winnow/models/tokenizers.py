"""A base model's tokenizer, the same for every engine that reads its prompts."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a prepared base model from its folder, offline and without remote code."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

"""Hashes that stand for content, and choices that follow from a hash instead of an order."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def sha256_text(text: str) -> str:
    """Return the SHA-256 of the UTF-8 bytes of `text`, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex, reading it in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, NaN refused.

    Raises:
        ValueError: if a float is NaN or infinite. Missing is `None`, never a number.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_key(parts: Iterable[str]) -> str:
    """Return one hash of several texts, kept apart so that ("ab", "c") differs from ("a", "bc")."""
    return sha256_text(canonical_json(list(parts)))


def unit_interval(key: str, salt: str = "") -> float:
    """Return a number in [0, 1) that depends on `key` and `salt` alone (52 bits of SHA-256)."""
    return int(sha256_text(f"{salt}\x1f{key}")[:13], 16) / 16**13


def shard_of(key: str, shards: int) -> int:
    """Return the shard, 0 to shards - 1, to which a row id belongs."""
    return int(sha256_text(key)[:15], 16) % shards

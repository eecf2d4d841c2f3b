"""Flags on texts that talk to a judge instead of about a paper.

A flag is counted and shown; it changes no verdict and leaves no text out. A review may quote such a
sentence for a good reason, and an attack may be worded in a hundred other ways.
"""

import pyarrow as pa

from winnow.scoring.matching import count_hits

_MODEL = r"(?:ai|llm|assistant|chatbot|(?:large )?language model)"
FLAGS: dict[str, tuple[str, ...]] = {
    "addresses_a_model": (rf"\bas an? {_MODEL}\b", rf"\byou are an? (?:\w+ )?(?:{_MODEL}|judge|grader)\b"),
    "answer_yes": (
        r"\b(?:answer|respond|reply|say|output|return|print)s? (?:with )?(?:only )?[\"'`*]?(?:yes|no)[\"'`*]? "
        r"(?:to|for|on) (?:all|every|each|any|the (?:following|above|questions?|items?|checklist))\b",
    ),
    "chat_tokens": (r"<\|[a-z_]{2,20}\|>", r"</?(?:think|system|assistant|answer|tool_call)>", r"\[/?inst\]"),
    "give_top_score": (
        r"\b(?:give|assign|award|rate) (?:\w+ ){0,4}(?:perfect|full|maximum|highest|top) (?:possible )?"
        r"(?:score|rating|mark|grade)s?\b",
    ),
    "ignore_previous": (
        r"\b(?:ignore|disregard|forget|override|bypass) (?:\w+ ){0,3}(?:previous|prior|above|preceding|earlier|former) "
        r"(?:\w+ )?(?:instruction|prompt|direction|rule|guideline|command)s?\b",
    ),
    "new_instructions": (r"\b(?:new|updated|real|actual|system) (?:instructions?|prompt) ?:", r"\bsystem prompt\b"),
    "positive_review_only": (
        r"\b(?:give|write|generate|output) (?:an? )?(?:only )?positive reviews? only\b",
        r"\bdo not (?:mention|highlight|list) any (?:negatives?|weakness(?:es)?)\b",
    ),
    # Zero-width and direction-changing characters: a person does not see the text as a judge does.
    "hidden_characters": (
        r"[\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{2066}-\x{2069}\x{E0000}-\x{E007F}]",
    ),
}


def injection_flags(lines: pa.Array) -> list[list[str]]:
    """Return, for each normalised text, the sorted names of the flags that it raises."""
    found: list[list[str]] = [[] for _ in range(len(lines))]
    for name, expressions in sorted(FLAGS.items()):
        for flags, hits in zip(found, count_hits(lines, expressions), strict=True):
            if hits:
                flags.append(name)
    return found

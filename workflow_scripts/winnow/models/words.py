"""How probable a model finds each of a few words as the beginning of its response."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from winnow.core.errors import WinnowError
from winnow.models.encoding import Messages, encode
from winnow.models.inputs import pad_left


def tokens_of_words(tokenizer: Any, words: Mapping[str, str], prompt: Messages) -> dict[str, tuple[int, ...]]:
    """Return name → the tokens of its word where a response to the prompt begins with it; no end-of-turn token.

    Args:
        tokenizer: of the base model, with a chat template.
        words: name → word.
        prompt: any prompt: what follows the assistant's header does not depend on it.

    Raises:
        WinnowError: if the tokens of one word begin those of another, whose probability would hold the other's.
    """
    found = {}
    for name, word in words.items():
        encoded = encode(tokenizer, prompt, [{"role": "assistant", "content": word}], f"the answer {word!r}")
        response = encoded.ids[encoded.prompt_tokens :]
        found[name] = tuple(token for token in response if token != tokenizer.eos_token_id)
    for name, tokens in found.items():
        for other, others in found.items():
            if name != other and others[: len(tokens)] == tokens:
                problem = f"{words[name]!r} begins as {words[other]!r} does, to this tokenizer"
                raise WinnowError("answers", problem, "choose words of which none begins another")
    return found


@torch.no_grad()
def word_logps(
    model: Any, prompts: Sequence[Sequence[int]], words: Mapping[str, Sequence[int]], pad: int
) -> list[dict[str, float]]:
    """Return for each prompt name → log-probability, in nats, that the response begins with the word.

    Words that differ in their last token alone share one forward pass: words of one token, all of them.

    Args:
        model: in evaluation mode.
        prompts: token ids, the assistant's header included; scored together, so of like length.
        words: from `tokens_of_words`.
        pad: token id; any will do.
    """
    found: list[dict[str, float]] = [{} for _ in prompts]
    for start in sorted({tuple(word[:-1]) for word in words.values()}):
        inputs = pad_left([[*prompt, *start] for prompt in prompts], pad, str(model.device))
        logits = model(**inputs, use_cache=False, logits_to_keep=len(start) + 1).logits
        for row, of_row in zip(found, logits.float().log_softmax(-1).double(), strict=True):
            for name, word in words.items():
                if tuple(word[:-1]) == start:
                    row[name] = sum(float(of_row[place, token]) for place, token in enumerate(word))
    return [dict(sorted(row.items())) for row in found]

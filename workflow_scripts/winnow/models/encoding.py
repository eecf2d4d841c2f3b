"""Messages to token ids by the tokenizer's own chat template, and where the response begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from winnow.core.errors import WinnowError
from winnow.models.processors import expand_images

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt followed by its response.

    Attributes:
        ids: the prompt's tokens, assistant header included, then the response's.
        prompt_tokens: how many of them are the prompt's.
        images: paths of the images that the prompt shows, whose tokens are among the ids.
    """

    ids: tuple[int, ...]
    prompt_tokens: int
    images: tuple[str, ...] = ()

    @property
    def response_tokens(self) -> int:
        """How many tokens are scored: the response's text and its end-of-turn token."""
        return len(self.ids) - self.prompt_tokens


def encode_prompt(tokenizer: Any, prompt: Messages) -> tuple[int, ...]:
    """Return the ids of a prompt with the assistant's header, after which a response begins."""
    ids = tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, tokenize=True, return_dict=False)
    return tuple(int(token) for token in ids)


def encode(tokenizer: Any, prompt: Messages, completion: Messages, place: str) -> Encoded:
    """Return the ids of a prompt and its response.

    What the template writes after the end-of-turn token (a line break in ChatML) is left out: no
    model has to say it, so it is no part of a response.

    Args:
        tokenizer: of the base model, with a chat template.
        prompt: messages up to the response.
        completion: the assistant's message.
        place: names the row in an error.

    Raises:
        WinnowError: if the template writes the prompt otherwise when a response follows, or no
            response token is left.
    """
    head = encode_prompt(tokenizer, prompt)
    whole = tokenizer.apply_chat_template([*prompt, *completion], tokenize=True, return_dict=False)
    ids = [int(token) for token in whole]
    if tuple(ids[: len(head)]) != head:
        raise WinnowError(
            place,
            "the chat template tokenises the prompt differently once a response follows it",
            "use a tokenizer whose template only appends, such as that of Qwen2.5",
        )
    response = ids[len(head) :]
    ends = [index for index, token in enumerate(response) if token == tokenizer.eos_token_id]
    if ends:
        response = response[: ends[-1] + 1]
    if not response:
        raise WinnowError(
            place, "the response has no tokens", "check the rendered dataset; it should have been refused"
        )
    return Encoded((*head, *response), len(head))


def expand_prompt(ids: Sequence[int], processor: Any, images: Sequence[str], place: str) -> tuple[int, ...]:
    """Return token ids with as many tokens for each image as the model reads.

    Args:
        ids: with one token for each image.
        processor: of the model; None where it is shown none.
        images: paths of the images, in the prompt's order.
        place: names the row in an error.

    Raises:
        WinnowError: if the prompt does not show as many images as the row has.
    """
    if processor is None:
        return tuple(ids)
    try:
        return expand_images(ids, processor, images)
    except ValueError as error:
        raise WinnowError(place, f"has {error}", "render the rows again") from error


def show_images(encoded: Encoded, processor: Any, images: Sequence[str], place: str) -> Encoded:
    """Return a row with as many tokens for each of its images as the model reads; see `expand_prompt`."""
    ids = expand_prompt(encoded.ids, processor, images, place)
    return Encoded(ids, len(ids) - encoded.response_tokens, tuple(images))

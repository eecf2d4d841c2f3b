"""From messages to tokens, by the tokenizer's own chat template, and what must give way for them to fit.

Runs in the train environment; transformers is imported where it is used.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from winnow.core.base_model import MODEL_FILE
from winnow.core.config.base import Modality, Positive, PromptField, Settings, Stage
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.model_folder import refuse_code
from winnow.datasets.messages import Message

# Qwen2.5-VL's chat template puts it once for an image; its processor makes it as many as the image has tokens.
IMAGE_MARK = "<|image_pad|>"

_PROBE: list[Message] = [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}]
_CONTENT = "winnow-probe"


class ShownImages(Settings):
    """Which images of a prompt are shown, and how large."""

    max_pixels: Positive
    min_pixels: Positive
    max_images: Positive
    with_text: bool


class Budget(Settings):
    """How rows of one modality are rendered; without `images` they are plain text."""

    corpus: str
    prompt_fields: tuple[PromptField, ...]
    context: Positive
    response_tokens: Positive
    modality: Modality = "clean"
    images: ShownImages | None = None
    template: str = "review"

    @model_validator(mode="after")
    def _images_where_shown(self) -> Self:
        if (self.images is None) != (self.modality == "clean"):
            raise ValueError(f"images are given for every modality but clean, and this is {self.modality}")
        return self

    @property
    def shown(self) -> tuple[PromptField, ...]:
        """The fields of a prompt that are shown: all, but in `vision`, where pages show the body."""
        if self.modality == "vision" and self.images is not None and not self.images.with_text:
            return tuple(name for name in self.prompt_fields if name != "body")
        return self.prompt_fields

    @property
    def prompt_tokens(self) -> int:
        """Tokens that a prompt may fill, the assistant's header included."""
        return self.context - self.response_tokens


class RenderSpec(Budget):
    """What render_dataset.py is told."""

    stage: Stage


class HeldoutSpec(Budget):
    """What render_heldout.py is told."""

    max_loss_rows: Positive
    choice: Literal["rated", "right"] = Field(
        "rated", description="which responses are drawn: those that people rated; right: those that the signal says are"
    )


@dataclass(frozen=True)
class ChatTokens:
    """A tokenizer with its chat template."""

    tokenizer: Any

    def texts(self, conversations: Sequence[list[Message]], *, prompt: bool) -> list[str]:
        """Return what the chat template makes of conversations; `prompt` adds the assistant's header."""
        return list(
            self.tokenizer.apply_chat_template(list(conversations), add_generation_prompt=prompt, tokenize=False)
        )

    def ids(self, conversations: Sequence[list[Message]], *, prompt: bool) -> list[list[int]]:
        """Return the token ids of conversations, as TRL takes them."""
        if not conversations:
            return []
        encoded = self.tokenizer.apply_chat_template(
            list(conversations), add_generation_prompt=prompt, tokenize=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def prompt_lengths(self, prompts: Sequence[list[Message]]) -> list[int]:
        """Return the number of tokens of prompts, the assistant's header included."""
        return [len(ids) for ids in self.ids(prompts, prompt=True)]

    def completion_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens that are trained for responses: text and end of turn.

        They are counted behind a short prompt; that they are the same behind the real one is a rule of
        validation (C5).
        """
        probe = len(self.ids([_PROBE], prompt=True)[0])
        conversations = [[*_PROBE, {"role": "assistant", "content": text}] for text in texts]
        return [len(ids) - probe for ids in self.ids(conversations, prompt=False)]

    def plain_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of bare texts, without any template."""
        return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return where each token of a bare text begins and ends, in characters."""
        return list(self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"])

    @cached_property
    def header(self) -> list[int]:
        """The tokens that open the assistant's turn; empty if the template has none."""
        bare, opened = self.ids([_PROBE], prompt=False)[0], self.ids([_PROBE], prompt=True)[0]
        return opened[len(bare) :] if opened[: len(bare)] == bare else []

    @cached_property
    def end(self) -> list[int]:
        """The tokens that close the assistant's turn."""
        text = self.texts([[*_PROBE, {"role": "assistant", "content": _CONTENT}]], prompt=False)[0]
        tail = text.rpartition(_CONTENT)[2]
        return list(self.tokenizer(tail, add_special_tokens=False)["input_ids"])

    @property
    def image_token(self) -> int:
        """The token that stands for an image, and of which the processor makes many."""
        return int(self.tokenizer.convert_tokens_to_ids(IMAGE_MARK))

    def expanded(self, ids: Iterable[int], counts: Sequence[int]) -> list[int]:
        """Return token ids with each image's token repeated, as the processor does it.

        Args:
            ids: of a conversation.
            counts: tokens of its images in their order. Places beyond them stay single.
        """
        image, remaining, whole = self.image_token, iter(counts), []
        for token in ids:
            whole += [token] * (next(remaining, 1) if token == image else 1)
        return whole

    @property
    def added_tokens(self) -> list[str]:
        """Tokens that the tokenizer recognises inside any text."""
        return list(self.tokenizer.get_added_vocab())


def _tokenizer_class(model: Path) -> Any:
    """Return what loads a model's tokenizer: the class that prepare_model noted, else AutoTokenizer.

    AutoTokenizer would choose that class again, but imports torch to do so, which takes two seconds in every process.
    """
    import transformers  # noqa: PLC0415 - slow: only where tokens are counted

    noted = read_json(model / MODEL_FILE).get("tokenizer_class") if (model / MODEL_FILE).is_file() else None
    return getattr(transformers, noted or "AutoTokenizer")


def load_tokenizer(model: Path) -> ChatTokens:
    """Load the tokenizer of a prepared base model from its folder, offline and without remote code.

    Raises:
        WinnowError: if the folder has no tokenizer, or the tokenizer no chat template.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    remedy = "have prepare_model make the model's folder again"
    if not model.is_dir():
        raise WinnowError(model, "there is no such model folder", remedy)
    refuse_code(model)
    try:
        reader = _tokenizer_class(model)
        tokenizer = reader.from_pretrained(str(model), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise WinnowError(model, f"holds no tokenizer ({error})", remedy) from error
    if not tokenizer.chat_template:
        raise WinnowError(model, "the tokenizer has no chat template", "use an instruction-tuned base model")
    chat = ChatTokens(tokenizer)
    if not chat.header or not chat.end:
        raise WinnowError(
            model, "its chat template does not mark where the assistant begins and ends", "use another base model"
        )
    return chat


def require_vision(model: Path, modality: str) -> None:
    """Check that a base model can be shown images.

    Raises:
        WinnowError: if its config.json has no `vision_config`.
    """
    config = model / "config.json"
    if not config.is_file() or "vision_config" not in read_json(config):
        raise WinnowError(
            model, f"is a model of text, the modality {modality} shows images", "name a Qwen2.5-VL as its model"
        )


@cache
def tokens_of_image(height: int, width: int, images: ShownImages) -> int:
    """Return how many tokens an image of so many pixels becomes."""
    from winnow.models.processors import image_tokens  # noqa: PLC0415 - slow: only where images are shown

    return image_tokens(height, width, max_pixels=images.max_pixels, min_pixels=images.min_pixels)


def tokenizer_files(model: Path) -> dict[str, Path]:
    """Return the files that decide how text becomes tokens, for a manifest."""
    names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    return {f"model/{name}": model / name for name in names if (model / name).is_file()}


def cut_to_fit(
    chat: ChatTokens, text: str, build: Callable[[str], list[Message]], tokens: int, budget: int
) -> tuple[str, int] | None:
    """Shorten a text from its end, by whole tokens, until the prompt built around it fits.

    Args:
        chat: the tokenizer.
        text: the field that gives way.
        build: makes the prompt's messages around a shorter text.
        tokens: of the prompt with the whole text.
        budget: tokens that the prompt may have.

    Returns:
        The shorter text and the prompt's tokens, or None if nothing of the text would be left.
    """
    offsets = chat.offsets(text)
    keep = len(offsets) - (tokens - budget)
    while keep > 0:
        shorter = text[: offsets[keep - 1][1]].rstrip()
        if not shorter:
            return None
        length = chat.prompt_lengths([build(shorter)])[0]
        if length <= budget:
            return shorter, length
        keep -= length - budget
    return None

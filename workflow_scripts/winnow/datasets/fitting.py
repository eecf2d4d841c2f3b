"""Fitting drafts to a budget of tokens: the longest field gives way, responses and images never do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from winnow.core.config.base import PromptField
from winnow.core.errors import WinnowError
from winnow.core.images import image_file
from winnow.core.manifest import Tally
from winnow.core.tables import Row
from winnow.datasets.drafts import Draft
from winnow.datasets.images import Image, read_images
from winnow.datasets.messages import Message, prompt_messages
from winnow.datasets.render import (
    Budget,
    ChatTokens,
    cut_to_fit,
    load_tokenizer,
    require_vision,
    tokens_of_image,
)
from winnow.datasets.template import (
    Template,
    cut_field,
    read_template,
    response_text,
    shown_fields,
    system_text,
    user_text,
)

BATCH = 64  # drafts that are tokenised together

RESPONSE_TOO_LONG = "response_too_long"
PROMPT_TOO_LONG = "prompt_too_long"
NO_IMAGES = "no_images"
IMAGE_TOO_NARROW = "image_too_narrow"
IMAGES_LEAVE_NO_ROOM = "images_leave_no_room"


@dataclass(frozen=True)
class Renderer:
    """What turns drafts into rows: the tokenizer, the words, the budget, and each prompt's images."""

    chat: ChatTokens
    template: Template
    budget: Budget
    gallery: Mapping[str, tuple[Image, ...]] = field(default_factory=dict)

    def images_of(self, prompt_id: str) -> tuple[Image, ...]:
        """Return the images that are shown of a prompt."""
        return self.gallery.get(prompt_id, ())

    def image_tokens(self, images: Sequence[Image]) -> list[int]:
        """Return how many tokens each of some images becomes."""
        shown = self.budget.images
        return [] if shown is None else [tokens_of_image(image.height, image.width, shown) for image in images]

    def messages(self, system: str, fields: Mapping[PromptField, str], images: Sequence[Image]) -> list[Message]:
        """Return a prompt's messages around some of its fields."""
        return self.around(system, user_text(self.template, fields), images)

    def around(self, system: str, user: str, images: Sequence[Image]) -> list[Message]:
        """Return a prompt's messages of their texts, in the form of this modality."""
        return prompt_messages(system, user, None if self.budget.images is None else len(images))

    def fields(self, prompt: Row) -> dict[PromptField, str]:
        """Return the fields that this modality shows of a prompt."""
        return shown_fields(prompt, self.budget.shown)


def read_renderer(model: Path, budget: Budget, images: Path | None) -> Renderer:
    """Read all that rendering needs.

    Args:
        model: folder of the base model, whose tokenizer counts.
        budget: how rows are rendered.
        images: the corpus's images table, for modalities that show images.

    Raises:
        WinnowError: if the budget asks for images, and there is no table of them or the model is of text alone.
    """
    chat, template = load_tokenizer(model), read_template(budget.template)
    if budget.images is None:
        return Renderer(chat, template, budget)
    if images is None:
        raise WinnowError("--images", f"is absent, and {budget.modality} shows images", "give the images table")
    require_vision(model, budget.modality)
    return Renderer(chat, template, budget, read_images(images, budget.images.max_images))


@dataclass(frozen=True)
class Fitted:
    """A draft that fits its budget; `images` is None where messages are plain text."""

    draft: Draft
    messages: list[Message]
    texts: tuple[str, ...]
    prompt_tokens: int
    prompt_tokens_cut: int
    completion_tokens: tuple[int, ...]
    images: tuple[Image, ...] | None = None


@dataclass(frozen=True)
class LeftOut:
    """A draft that this modality cannot show, and why."""

    draft: Draft
    reason: str

    @property
    def row(self) -> Row:
        """A row of LEFT_OUT."""
        return {"id": self.draft.id, "split": self.draft.source["split"], "reason": self.reason}


def _fit_prompt(
    renderer: Renderer, prompt: Row, system: str, images: Sequence[Image], tokens: int
) -> tuple[list[Message], int] | None:
    """Return a prompt's messages and tokens, its longest field cut where it must be; None if that is not enough."""
    budget, fields = renderer.budget, renderer.fields(prompt)
    if tokens <= budget.prompt_tokens:
        return renderer.messages(system, fields, images), tokens
    if not fields:
        return None
    name = cut_field(fields)

    def build(text: str) -> list[Message]:
        return renderer.messages(system, {**fields, name: text}, images)

    # Images never give way, so their tokens are taken off what the text may have. Each has one token already.
    extra = sum(renderer.image_tokens(images)) - len(images)
    fit = cut_to_fit(renderer.chat, fields[name], build, tokens - extra, budget.prompt_tokens - extra)
    return None if fit is None else (build(fit[0]), fit[1] + extra)


def _image_refusal(renderer: Renderer, images: Sequence[Image]) -> str | None:
    """Return why a prompt's images cannot be shown, None if they can."""
    if renderer.budget.images is None:
        return None
    if not images:
        return NO_IMAGES
    return IMAGE_TOO_NARROW if any(image.is_too_narrow for image in images) else None


def _fit_batch(renderer: Renderer, drafts: Sequence[Draft]) -> Iterator[Fitted | LeftOut]:
    """Yield for each draft its fitted row, or the reason why it cannot fit."""
    chat, template, budget = renderer.chat, renderer.template, renderer.budget
    texts = [tuple(response_text(template, response) for response in draft.responses) for draft in drafts]
    lengths = iter(chat.completion_lengths([text for both in texts for text in both]))
    completions = [tuple(next(lengths) for _ in both) for both in texts]
    gallery = [renderer.images_of(draft.prompt["prompt_id"]) for draft in drafts]
    refusals = [
        RESPONSE_TOO_LONG if max(counts) > budget.response_tokens else _image_refusal(renderer, images)
        for counts, images in zip(completions, gallery, strict=True)
    ]
    # Several responses to one prompt share its tokens, which are most of the work.
    keys = [(draft.prompt["prompt_id"], system_text(template, draft.responses)) for draft in drafts]
    whole = {
        key: renderer.messages(key[1], renderer.fields(draft.prompt), images)
        for key, draft, images, refusal in zip(keys, drafts, gallery, refusals, strict=True)
        if refusal is None
    }
    tokens = dict(zip(whole, chat.prompt_lengths(list(whole.values())), strict=True))
    fits: dict[tuple[str, str], tuple[list[Message], int] | None] = {}
    for key, draft, both, counts, images, refusal in zip(
        keys, drafts, texts, completions, gallery, refusals, strict=True
    ):
        if refusal is not None:
            yield LeftOut(draft, refusal)
            continue
        total = tokens[key] + sum(renderer.image_tokens(images)) - len(images)
        if key not in fits:
            fits[key] = _fit_prompt(renderer, draft.prompt, key[1], images, total)
        if (fit := fits[key]) is None:
            yield LeftOut(draft, IMAGES_LEAVE_NO_ROOM if images else PROMPT_TOO_LONG)
            continue
        shown = None if budget.images is None else images
        yield Fitted(draft, fit[0], both, fit[1], total - fit[1], counts, shown)


def outcomes(renderer: Renderer, drafts: Iterable[Draft]) -> Iterator[Fitted | LeftOut]:
    """Yield what becomes of each draft, in their order."""
    remaining = iter(drafts)
    while batch := list(islice(remaining, BATCH)):
        yield from _fit_batch(renderer, batch)


def fitted(renderer: Renderer, drafts: Iterable[Draft], tally: Tally, left_out: list[Row]) -> Iterator[Fitted]:
    """Yield the drafts that fit, their image files there; the others go to the tally and to `left_out`, with reasons.

    Raises:
        WinnowError: if an image that the images table names is gone.
    """
    for result in outcomes(renderer, drafts):
        tally.read += 1
        if isinstance(result, LeftOut):
            tally.drop(result.reason)
            left_out.append(result.row)
            continue
        tally.kept += 1
        if result.prompt_tokens_cut:
            tally.note("rows whose prompt was cut to fit")
        for image in result.images or ():
            image_file(image.path)
        yield result

"""What is asked of an engine and what it gives back, and the seed of each sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from winnow.core.ids import content_key


@dataclass(frozen=True)
class Request:
    """One response that is wanted.

    Attributes:
        prompt: token ids up to the response, the assistant's header included; an image is one token here.
        images: paths of the images that the prompt shows, in their order.
        seed: of what is drawn; None for the greedy response.
    """

    prompt: tuple[int, ...]
    images: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Sample:
    """One generated response.

    Attributes:
        token_ids: as they were generated, the end token included.
        text: without special tokens.
        stop_reason: "stop" where the model ended it, "length" where the limit did.
    """

    token_ids: tuple[int, ...]
    text: str
    stop_reason: Literal["stop", "length"]


class Backend(Protocol):
    """An engine that generates. What it makes of some prompts depends on nothing that it made before."""

    @property
    def chunk_prompts(self) -> int:
        """How many prompts are handed over at once; with others, or another order, float bits may differ."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What shapes a response besides weights, prompts and settings: software and precision, as JSON values."""

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """Return a response to each request, in their order. Requests for one prompt follow each other."""


def sample_seed(seed: int, prompt_id: str, sample: int) -> int:
    """Return the seed of one sample (60 bits): it depends on neither the run nor on what else is generated."""
    return int(content_key([str(seed), prompt_id, str(sample)])[:15], 16)


def read_sample(ids: Sequence[int], stops: Sequence[int], tokenizer: Any) -> Sample:
    """Return the response in generated ids: all up to the first end token, behind which is padding."""
    ends = [index for index, token in enumerate(ids) if token in stops]
    kept = tuple(ids[: ends[0] + 1] if ends else ids)
    return Sample(kept, tokenizer.decode(list(kept), skip_special_tokens=True), "stop" if ends else "length")

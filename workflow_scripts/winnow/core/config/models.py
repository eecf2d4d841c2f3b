"""Base models."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from winnow.core.config.base import Positive, Settings


class TinyVision(Settings):
    """The part of a tiny model that sees images. Its patches are those of Qwen2.5-VL: 28 x 28 pixels to a token."""

    layers: Positive = 2
    hidden_size: Positive = 32
    heads: Positive = 2
    intermediate_size: Positive = 64


class TinyModel(Settings):
    """A random Qwen2 with a tokenizer trained on the corpora: for a CPU, not for results."""

    vocab_size: Positive = 2048
    hidden_size: Positive = 64
    layers: Positive = 2
    heads: Positive = 4
    kv_heads: Positive = 2
    intermediate_size: Positive = 128
    max_position_embeddings: Positive = 32768
    words: tuple[str, ...] = Field((), description="tokens of their own; a tiny judge needs yes and no")
    initializer_range: Annotated[float, Field(gt=0)] = Field(
        0.02, description="standard deviation of the weights; a tiny judge needs 0.3, or all it reads is alike to it"
    )
    vision: TinyVision | None = Field(None, description="with it the model is a Qwen2.5-VL; {} gives its defaults")
    seed: int = 0


class Model(Settings):
    """A base model: exactly one of a hub name, a local folder, or a tiny one built here."""

    name: str | None = Field(None, description="hub name, safetensors only, no remote code")
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = Field(
        None, description="commit on the hub; where absent the default branch is resolved once and kept"
    )
    path: str | None = Field(None, description="a local folder with config.json and *.safetensors")
    tiny: TinyModel | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.name, self.path, self.tiny)) != 1:
            raise ValueError("give exactly one of name, path, tiny")
        if self.revision is not None and self.name is None:
            raise ValueError("revision goes with name")
        return self

"""What is trained on: which responses, shown to a model in which way."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from winnow.core.config.base import Count, Name, Positive, PositiveShare, Settings


class TopFraction(Settings):
    """SFT data: the best fraction of the eligible responses."""

    stage: Literal["sft"]
    corpus: Name
    policy: Literal["top_fraction"]
    fraction: PositiveShare = Field(0.2, description="exactly floor(fraction * N) are taken")
    require_rating: bool = Field(True, description="a response without a rating cannot teach one")

    @property
    def only_right(self) -> bool:
        """Whether a response must meet every item: they are ranked instead."""
        return False


class EveryRight(Settings):
    """SFT data: every response that the signal says is right."""

    stage: Literal["sft"]
    corpus: Name
    policy: Literal["all"]

    @property
    def require_rating(self) -> bool:
        """Whether a response must have a rating: being right is enough."""
        return False

    @property
    def only_right(self) -> bool:
        """Whether a response must meet every item."""
        return True


class Contrastive(Settings):
    """DPO data: a good and a poor response to the same prompt."""

    stage: Literal["dpo"]
    corpus: Name
    policy: Literal["contrastive"]
    decision: Literal["accept", "reject"] | None = Field("accept", description="only prompts decided so; null = any")
    min_rating_diff: Annotated[float, Field(gt=0)] = Field(2.0, description="signed: chosen minus rejected")
    min_checkmark_diff: Count = Field(2, description="signed, in checkmarks: chosen minus rejected")
    neutral: float | None = Field(5.0, description="chosen rated above it, rejected at or below; null = no such rule")
    max_pairs_per_prompt: Positive = 2
    max_similarity: PositiveShare = Field(0.9, description="pairs as alike are refused")
    length_caliper: Annotated[float, Field(ge=1)] | None = Field(
        None, description="largest ratio of the longer to the shorter response; null reports lengths without a limit"
    )
    overlap_policy: Literal["allow", "response_disjoint", "prompt_disjoint"] = Field(
        "allow", description="whether responses or prompts of SFT datasets of the same corpus may occur here"
    )

    @property
    def reads_prompts(self) -> bool:
        """Whether pairing needs the table of prompts."""
        return False


class LabelPairs(Settings):
    """What datasets of pairs by labels have in common: a response that agrees with its prompt's label is chosen."""

    stage: Literal["dpo"]
    corpus: Name
    sources: tuple[str, ...] = Field((), description="only prompts of these sources (tweet, rephrase); none named: all")
    balance: bool = Field(True, description="as many pairs of each label in train, and in val, drawn by hash")
    minimal_pairs: bool = Field(
        False, description="only prompts of a group that has both labels, one of each: a tweet and its rephrase"
    )
    max_pairs: Positive | None = Field(None, description="of train and val together, drawn by hash; null = all")
    max_pairs_per_prompt: Positive = 1
    overlap_policy: Literal["allow", "response_disjoint", "prompt_disjoint"] = Field(
        "allow",
        description="whether responses or prompts of SFT datasets of the same corpus may occur here; of policy mined:"
        " of others than `prompts`",
    )

    @property
    def reads_prompts(self) -> bool:
        """Whether pairing needs the table of prompts: for labels and sources."""
        return True


class ByLabel(LabelPairs):
    """DPO data: a response that agrees with its prompt's label, and one to the same prompt that does not."""

    policy: Literal["by_label"]
    length_caliper: Annotated[float, Field(ge=1)] | None = Field(
        1.25, description="largest ratio of the longer to the shorter response; null = no limit"
    )


class Mined(LabelPairs):
    """DPO data: the right word, and a wrong answer that a model of the study gave to the same prompt itself."""

    policy: Literal["mined"]
    prompts: Name = Field(
        description="an SFT dataset of policy all and of this corpus: the run is asked its rows of train and val"
    )
    run: str = Field(description="whose mistakes; {modality} where the study has one modality only")
    samples: Count = Field(4, description="responses drawn for each prompt, besides the greedy one")
    length_caliper: Annotated[float, Field(ge=1)] | None = Field(
        1.5, description="largest ratio of the longer to the shorter response, as of Yes and No; null = no limit"
    )


Dataset = Annotated[TopFraction | EveryRight | Contrastive | ByLabel | Mined, Field(discriminator="policy")]


class ModalitySettings(Settings):
    """How a prompt is shown to a model, and how much of it fits."""

    model: Name = Field(description="a key of models")
    context: Positive = Field(28000, description="tokens that prompt and response together may fill")
    response_tokens: Positive = Field(2048, description="of these, kept free for the response")
    max_pixels: Positive = Field(250_880, description="larger images are shrunk to this; 784 pixels are a token")
    min_pixels: Positive = Field(196, description="smaller images are enlarged to this")
    max_images: Positive = Field(10, description="images shown of a prompt: its first ones")
    with_text: bool = Field(False, description="vision: show the body's text beside its pages")

    @model_validator(mode="after")
    def _pixels_in_order(self) -> Self:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")
        return self


# Keys of ModalitySettings that say how images are shown.
IMAGE_KEYS = ("max_pixels", "min_pixels", "max_images", "with_text")

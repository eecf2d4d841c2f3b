"""Where prompts and responses come from, and how they are divided."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from winnow.core.config.base import Count, Fraction, Name, Positive, PositiveShare, PromptField, Settings

AuthorKind = Literal["human", "model", "template"]


class Splits(Settings):
    """How prompts are divided, by group and by hash, before anything is scored."""

    val: Fraction = Field(0.1, description="share of prompts for validation")
    test: Fraction = Field(0.1, description="share held out from every training; 0 only with an external test set")
    optimize: Fraction = Field(0.2, description="share of train prompts on which a checklist may be chosen")
    salt: str = Field("winnow", description="changes every draw at once; keep it for the life of a study")
    stratify: Literal["label"] | None = Field(
        None, description="label: of each label exactly its rounded share is taken; null: by hash alone"
    )

    @model_validator(mode="after")
    def _leaves_train(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError("val + test must be below 1, or nothing is left to train on")
        return self


class CorpusSettings(Settings):
    """What every adapter has in common."""

    splits: Splits = Field(default_factory=Splits)
    prompt_fields: tuple[PromptField, ...] = Field(
        ("title", "abstract", "body"), description="which columns of a prompt the model is shown, in this order"
    )
    min_prompt_chars: Count = Field(2000, description="shorter prompts go to the ledger; 2000 where there is a body")
    min_response_chars: Count = Field(100, description="shorter responses go to the ledger")
    author_kinds: tuple[AuthorKind, ...] = Field(
        ("human",), description="who may have written a response; others go to the ledger"
    )
    template: Name = Field("review", description="how prompts and responses are worded: a file of resources/prompts")
    near_duplicate_jaccard: PositiveShare = Field(
        0.8, description="prompts at least this alike share a group, and so a split"
    )
    near_duplicate_words: Annotated[int, Field(ge=3)] = Field(
        18, description="prompts of fewer words share a group only if they are equal"
    )
    exclude: tuple[Name, ...] = Field(
        (), description="corpora of this study; prompts with the text of one of theirs go to the ledger"
    )

    @property
    def words(self) -> dict[str, str] | None:
        """The word that answers a prompt of each label; None where the labels of prompts have no words."""
        return None

    @property
    def has_templates(self) -> bool:
        """Whether its responses are written by templates."""
        return False


class IllustratedCorpus(CorpusSettings):
    """Prompts that may have images: a PDF, or images in a folder of their own, found by the prompt's id."""

    pdfs: str | None = Field(None, description="folder with <prompt_id>.pdf, for vision and clean_images")
    figures: str | None = Field(None, description="folder with <prompt_id>/ of images for clean_images; before the PDF")
    pages: str | None = Field(None, description="folder with <prompt_id>/ of images for vision; before the PDF")
    anonymous_pages: bool = Field(
        True, description="paint over what gives authors or decision away on the pages of a PDF, as in body text"
    )


class OpenReviewCorpus(IllustratedCorpus):
    """Peer reviews in the layout of docs/inputs.md: a file of papers and files of reviews."""

    adapter: Literal["openreview"]
    papers: str = Field(description="papers.jsonl or .jsonl.gz")
    reviews: str | None = Field(None, description="reviews.jsonl or .jsonl.gz, one record per review")
    model_reviews: tuple[str, ...] = Field((), description="CSV files of model-written reviews, one row per paper")
    years: tuple[int, ...] | None = Field(None, description="keep only these years; null keeps all")
    rating_scales: dict[int, tuple[float, ...]] = Field(
        default_factory=lambda: {
            2017: tuple(map(float, range(1, 11))),
            2018: tuple(map(float, range(1, 11))),
            2019: tuple(map(float, range(1, 11))),
            2020: (1.0, 3.0, 6.0, 8.0),
            2021: tuple(map(float, range(1, 11))),
            2022: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
            2023: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
            2024: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
            2025: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
        },
        description="year → every legal rating; a year that is absent here is an error, never a guess",
    )

    @model_validator(mode="after")
    def _has_responses(self) -> Self:
        if self.reviews is None and not self.model_reviews:
            raise ValueError("give reviews, model_reviews or both: a corpus without responses trains nothing")
        return self


class JsonlCorpus(IllustratedCorpus):
    """Any JSONL, CSV or Parquet file (gzip read directly) with a prompt and a response column."""

    adapter: Literal["jsonl"]
    path: str = Field(description="the file; its ending says what it is: .jsonl, .csv, .parquet, each also .gz")
    prompt_key: str = Field("prompt", description="column with the prompt's text")
    response_key: str = Field("response", description="column with the response's text")
    prompt_id_key: str | None = Field(None, description="column that names the prompt; else its text does")
    response_id_key: str | None = Field(None, description="column that names the response; else its content does")
    pdf_key: str | None = Field(None, description="column with the PDF's name below `pdfs`; else <prompt_id>.pdf")
    title_key: str | None = None
    abstract_key: str | None = None
    decision_key: str | None = None
    ground_truth_key: str | None = None
    label_key: str | None = None
    year_key: str | None = None
    date_key: str | None = None
    rating_key: str | None = Field(None, description="column with a number on `rating_scale`")
    rating_scale: tuple[float, ...] = Field((), description="every legal rating; needed with rating_key")
    confidence_key: str | None = None
    author_kind: Literal["human", "model"] = "human"

    @model_validator(mode="after")
    def _has_scale(self) -> Self:
        if self.rating_key is not None and not self.rating_scale:
            raise ValueError("rating_key needs rating_scale: a rating means nothing without its scale")
        return self


class Answers(Settings):
    """What a model is to say to a prompt of each label."""

    sarcastic: str = "Yes"
    not_sarcastic: str = "No"

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        words = (self.sarcastic, self.not_sarcastic)
        if not all(re.fullmatch(r"[^\W_]+", word) for word in words) or len({word.casefold() for word in words}) < 2:
            raise ValueError("the answers must be two different words, of letters and digits alone")
        shorter, longer = sorted((word.casefold() for word in words), key=len)
        if longer.startswith(shorter):
            raise ValueError(
                f"of the answers {self.sarcastic} and {self.not_sarcastic} one begins with the other,"
                " and a response that begins with the longer would count for both"
            )
        return self


class LabelledCorpus(CorpusSettings):
    """Short texts that people labelled: the response to each is the word for its label, or both with reasons."""

    prompt_fields: tuple[PromptField, ...] = Field(("body",), description="there is no other")
    min_prompt_chars: Count = Field(1, description="shorter prompts go to the ledger")
    min_response_chars: Count = Field(1, description="shorter responses go to the ledger")
    near_duplicate_words: Annotated[int, Field(ge=3)] = Field(
        6, description="prompts of fewer words share a group only if they are equal"
    )
    author_kinds: tuple[AuthorKind, ...] = Field(("human", "template"), description="who may have written a response")
    template: Name = Field("sarcasm", description="how prompts and responses are worded: a file of resources/prompts")
    answers: Answers = Field(default_factory=Answers, description="the response to a prompt of each label")
    reasons: str | None = Field(
        None, description="file of resources/reasons: each prompt gets both answers, each with a reason; null: its own"
    )

    @property
    def words(self) -> dict[str, str] | None:
        """The word that answers a prompt of each label."""
        return self.answers.model_dump()

    @property
    def has_templates(self) -> bool:
        """Whether its responses are written by templates."""
        return self.reasons is not None


class SarcasmV2Corpus(LabelledCorpus):
    """Posts of Sarcasm Corpus V2 (Oraby et al. 2016), in one or more of its three parts."""

    adapter: Literal["sarcasm_v2"]
    path: str = Field(description="folder with <part>-sarc-notsarc.csv")
    parts: tuple[Literal["GEN", "HYP", "RQ"], ...] = Field(
        ("GEN", "HYP", "RQ"), min_length=1, description="which; of equal posts the one in the part named first is kept"
    )

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("parts names one of them twice")
        return self

    @property
    def files(self) -> dict[str, str]:
        """The file of each part."""
        return {part: f"{self.path}/{part}-sarc-notsarc.csv" for part in self.parts}


class IsarcasmCorpus(LabelledCorpus):
    """Tweets of iSarcasmEval (Abu Farha et al. 2022) and, by their authors, what the sarcastic ones mean."""

    adapter: Literal["isarcasm"]
    path: str = Field(description="the CSV file, such as train.En.csv")
    rephrases: bool = Field(True, description="whether an author's rephrase is a prompt too, one that is not sarcastic")


class DemoCorpus(CorpusSettings):
    """Synthetic papers, reviews and decisions from a seeded generator; it says so in every row's source."""

    adapter: Literal["demo"]
    papers: Positive = 60
    reviews_per_paper: Positive = 4
    seed: int = 7


Corpus = Annotated[
    OpenReviewCorpus | JsonlCorpus | SarcasmV2Corpus | IsarcasmCorpus | DemoCorpus, Field(discriminator="adapter")
]

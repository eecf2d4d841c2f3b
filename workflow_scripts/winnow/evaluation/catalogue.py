"""The metrics of generated reviews: what each is called, what it means, what counts as wrong, and which decide.

Nothing here is computed. `measure_responses` writes the metrics of single rows, `compare_runs` adds those of whole
sets of rows, and a report takes its words from here, by way of comparison.json.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"] | None
Kind = Literal["share", "mean", "set"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its key in files.
        title: its name in a table.
        unit: what one is; empty where it is a plain number.
        better: which direction is an improvement; None where neither is.
        kind: "share": a row has 0 or 1, and the mean is a share of rows; "mean": a row has any number; "set": there is
            one number for all rows of a run.
        about: what it is, what counts as wrong, and its source, for a reader of the report.
        primary: whether it belongs to the declared family from which verdicts are drawn.
    """

    name: str
    title: str
    unit: str
    better: Better
    kind: Kind
    about: str
    primary: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return all but the name, for comparison.json."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


_ALL = (
    # Whether there is a review at all.
    Metric(
        "valid_format",
        "Valid format",
        "share",
        "higher",
        "share",
        "The response ends by itself, has the heading and some text, and a rating (and confidence) that is on its "
        "paper's scale; anything else is 0 (the hit rate of ReviewMT, Tan et al. 2024).",
        primary=True,
    ),
    Metric(
        "ended",
        "Ended by itself",
        "share",
        "higher",
        "share",
        "The model stopped by its own end token; a response that was cut at the limit of tokens is 0.",
    ),
    Metric(
        "rating_parsed",
        "Rating read",
        "share",
        "higher",
        "share",
        "A rating could be read that is on the scale of the paper's human reviews; an absent or illegal one is 0.",
    ),
    # Ratings.
    Metric(
        "rating_error",
        "Rating error",
        "points",
        "lower",
        "mean",
        "Distance from the rating to the mean rating of the paper's (other) human reviews; an unread rating has the "
        "largest error that the scale allows.",
        primary=True,
    ),
    Metric(
        "rating_squared_error",
        "Squared rating error",
        "points²",
        "lower",
        "mean",
        "The square of the rating error; an unread rating has the largest one that the scale allows.",
    ),
    Metric(
        "rating_bias",
        "Rating bias",
        "points",
        None,
        "mean",
        "Rating minus the mean rating of the paper's (other) human reviews: above 0 is more generous than people. "
        "Unread ratings are left out and counted as missing.",
    ),
    Metric(
        "rating",
        "Mean rating",
        "points",
        None,
        "mean",
        "The rating as it was given; unread ratings are left out and counted as missing.",
    ),
    Metric(
        "rating_in_human_set",
        "Rating given by a human",
        "share",
        "higher",
        "share",
        "Some (other) human review of the paper gave just this rating; an unread one is 0 (OpenReviewer, Idahl and "
        "Ahmadi 2025).",
    ),
    Metric(
        "spearman",
        "Rank correlation of ratings",
        "",
        "higher",
        "set",
        "Spearman's correlation over responses between the rating and the mean of the paper's (other) human ratings, "
        "within each scale. Unread ratings are left out, so read it with the share of ratings read.",
    ),
    Metric(
        "pairwise_ranking_accuracy",
        "Pairs ranked rightly",
        "share",
        "higher",
        "set",
        "Of all pairs of responses to two papers that people rated differently, the share that the ratings order as "
        "people did; equal ratings count half, an unread one is wrong.",
    ),
    Metric(
        "rating_sd",
        "Spread of ratings",
        "points",
        None,
        "set",
        "Standard deviation of the ratings read: near 0 every paper gets the same rating. Compare it with people's.",
    ),
    Metric(
        "wasserstein_to_human",
        "Distance from people's ratings",
        "points",
        "lower",
        "set",
        "Wasserstein-1 distance between the ratings read and those of all human reviews of the same papers.",
    ),
    # Decisions.
    Metric(
        "decision_correct",
        "Decision right",
        "share",
        "higher",
        "share",
        "Accept means a rating of at least t, with t fitted on people's ratings of validation papers; right if it is "
        "the venue's decision. An unread rating is a wrong decision.",
        primary=True,
    ),
    Metric(
        "decision_correct_at_6",
        "Decision right, accept from 6",
        "share",
        "higher",
        "share",
        "The same with accept from a rating of 6 on, as is usual in the field; an unread rating is a wrong decision.",
    ),
    Metric(
        "accuracy",
        "Decision accuracy",
        "share",
        "higher",
        "set",
        "Share of responses to decided papers whose decision is right; an unread rating is wrong.",
    ),
    Metric(
        "macro_f1",
        "Macro-F1 of decisions",
        "",
        "higher",
        "set",
        "Mean of the F1 of accept and of reject; an unread rating is a third answer, which is never right.",
    ),
    Metric(
        "mcc",
        "MCC of decisions",
        "",
        "higher",
        "set",
        "Matthews' correlation of decisions with the venue's, in its form for several classes (Gorodkin 2004): 0 is "
        "chance. An unread rating is a third answer, which is never right.",
    ),
    Metric(
        "balanced_accuracy",
        "Balanced accuracy of decisions",
        "share",
        "higher",
        "set",
        "Mean of the share of accepted and of rejected papers that are decided rightly; 0.5 is chance.",
    ),
    Metric(
        "predicted_positive_rate",
        "Papers accepted",
        "share",
        None,
        "set",
        "Share of responses to decided papers that accept; compare it with the venue's share.",
    ),
    # Quality, as a checklist sees it.
    Metric(
        "checklist_pass_rate",
        "Checklist passed",
        "share",
        "higher",
        "mean",
        "Share of the checklist's answered items that the judge answers with yes; longer reviews pass more, so read it "
        "at matched length.",
        primary=True,
    ),
    Metric(
        "checklist_pass_rate_second",
        "Checklist passed, second judge",
        "share",
        "higher",
        "mean",
        "The same by the study's second judge, which had no part in choosing the training data.",
    ),
    # Likeness to the paper's human reviews.
    Metric(
        "rouge_l_mean",
        "ROUGE-L with human reviews",
        "",
        "higher",
        "mean",
        "F1 of the longest common subsequence of words (Lin 2004, without stemming), mean over the paper's (other) "
        "human reviews.",
        primary=True,
    ),
    Metric(
        "rouge_l_max",
        "ROUGE-L with the nearest human review",
        "",
        "higher",
        "mean",
        "The same with the most similar of the paper's (other) human reviews; grows with their number.",
    ),
    Metric(
        "rouge_l_shuffled",
        "ROUGE-L with another paper's reviews",
        "",
        None,
        "mean",
        "Control: the mean ROUGE-L with the human reviews of another paper. A review that is about its paper is well "
        "below its own ROUGE-L here.",
    ),
    # Whether a review speaks of its paper.
    Metric(
        "specificity",
        "Specificity",
        "per 100 words",
        "higher",
        "mean",
        "References to sections, figures, tables, equations and lines, numbers, quotations and citations, together.",
    ),
    Metric(
        "references_per_100",
        "References to the paper",
        "per 100 words",
        None,
        "mean",
        "Mentions of a numbered section, figure, table, equation, line, page, theorem or appendix, per 100 words.",
    ),
    Metric(
        "numbers_per_100",
        "Numbers",
        "per 100 words",
        None,
        "mean",
        "Numbers that are no part of a reference, a citation or a list's numbering, per 100 words.",
    ),
    Metric(
        "quotes_per_100",
        "Quotations",
        "per 100 words",
        None,
        "mean",
        "Words or passages in quotation marks, per 100 words.",
    ),
    Metric(
        "citations_per_100",
        "Citations",
        "per 100 words",
        None,
        "mean",
        "Citations such as [12], (Smith et al., 2020) or an arXiv number, per 100 words.",
    ),
    Metric(
        "similarity_to_others",
        "Likeness to its other reviews",
        "cosine",
        "lower",
        "mean",
        "Mean TF-IDF cosine of a review with the same model's reviews of other papers: high means generic.",
    ),
    Metric(
        "distinct_2",
        "Distinct pairs of words",
        "share",
        "higher",
        "set",
        "Different pairs of neighbouring words divided by all, over one review of each paper (Li et al. 2016); falls "
        "as there is more text, so compare at like length.",
    ),
    Metric(
        "self_bleu",
        "Self-BLEU",
        "",
        "lower",
        "set",
        "Mean BLEU, 0 to 100, of a review with the same model's reviews of other papers as references (Zhu et al. "
        "2018): high means that it repeats itself.",
    ),
    # Copying.
    Metric(
        "copied_from_paper",
        "Copied from the paper",
        "share",
        "lower",
        "mean",
        "Share of the review's runs of eight words that are in the paper's title, abstract or text.",
    ),
    Metric(
        "copied_from_training",
        "Copied from training reviews",
        "share",
        "lower",
        "mean",
        "Share of the review's runs of eight words that are in a review of the training data of its modality.",
    ),
    # Length, and how sure the model was.
    Metric("words", "Words", "words", None, "mean", "Words of the review without heading and ratings."),
    Metric(
        "length_ratio",
        "Length against human reviews",
        "",
        None,
        "mean",
        "Words divided by the mean words of the paper's (other) human reviews.",
    ),
    Metric("tokens", "Tokens", "tokens", None, "mean", "Tokens that the model generated, by its own tokenizer."),
    Metric(
        "mean_entropy",
        "Entropy",
        "nats",
        None,
        "mean",
        "Mean entropy of the model's next-token distribution over its own response, at temperature 1.",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
ROW_METRICS = tuple(metric.name for metric in _ALL if metric.kind != "set")
SET_METRICS = tuple(metric.name for metric in _ALL if metric.kind == "set")
PRIMARY = tuple(metric.name for metric in _ALL if metric.primary)

"""Metrics of single reviews against published examples, known implementations, and counts by hand."""

import random
from itertools import pairwise

import numpy as np
import pytest

from winnow.evaluation.review_metrics import REVIEWS
from winnow.evaluation.reviews import copying, decisions, genericness, ratings, specificity
from winnow.evaluation.reviews.decisions import RatedPaper
from winnow.evaluation.reviews.generated import pass_rate
from winnow.evaluation.reviews.similarity import other_papers, rouge_l
from winnow.evaluation.reviews.words import length_ratio, words
from winnow.evaluation.set_metrics import DECISION_FUNCTIONS, RATING_FUNCTIONS

TEN = tuple(float(rating) for rating in range(1, 11))
OF_2020 = (1.0, 3.0, 6.0, 8.0)
PAPERS = [
    "the authors propose a graph network for molecules and test it on three data sets with good baselines",
    "a new optimiser is analysed in theory but the experiments on language models are too small to convince",
    "this work prunes attention heads and shows that most of them can go without a loss of accuracy",
]


def test_the_catalogue_is_complete_and_its_family_is_short():
    wanted = """valid_format ended rating_parsed rating rating_error rating_squared_error rating_bias
        rating_in_human_set decision_correct decision_correct_at_6 checklist_pass_rate
        checklist_pass_rate_second rouge_l_max rouge_l_mean
        rouge_l_shuffled specificity references_per_100 numbers_per_100 quotes_per_100 citations_per_100
        similarity_to_others copied_from_paper copied_from_training tokens words length_ratio mean_entropy"""
    assert set(REVIEWS.row_metrics) == set(wanted.split())
    of_texts, of_labels = {"distinct_2", "self_bleu"}, {"f1_positive", "precision_positive", "recall_positive"}
    of_rows = {*DECISION_FUNCTIONS, *RATING_FUNCTIONS, "wasserstein_to_human"} - of_labels
    assert set(REVIEWS.set_metrics) == of_rows | of_texts
    assert REVIEWS.primary == (
        "valid_format",
        "rating_error",
        "decision_correct",
        "checklist_pass_rate",
        "rouge_l_mean",
    )
    assert all(REVIEWS.metrics[name].better for name in REVIEWS.primary)  # a verdict needs a direction
    for metric in REVIEWS.metrics.values():
        assert metric.about.endswith(".")
        assert REVIEWS.described_metrics()[metric.name].keys() == {
            "title",
            "unit",
            "better",
            "kind",
            "about",
            "primary",
        }


# Ratings.


def test_errors_of_ratings_by_hand():
    reference = ratings.reference_rating([3.0, 6.0, 6.0])
    assert reference == 5
    assert ratings.rating_error(8.0, reference, OF_2020) == 3
    assert ratings.rating_squared_error(8.0, reference, OF_2020) == 9
    assert ratings.rating_bias(3.0, reference) == -2
    assert ratings.rating_in_human_set(6.0, {3.0, 6.0}) == 1
    assert ratings.rating_in_human_set(8.0, {3.0, 6.0}) == 0
    assert ratings.rating_error(10.0, 8.0, TEN) == 2  # ten is ten


def test_an_unread_rating_is_the_worst_that_the_scale_allows():
    for scale in (OF_2020, TEN):
        for reference in np.linspace(scale[0], scale[-1], 29):
            worst = max(ratings.rating_error(rating, reference, scale) for rating in scale)
            assert ratings.rating_error(None, reference, scale) == worst
    assert ratings.rating_squared_error(None, 5.0, OF_2020) == 16
    assert ratings.rating_in_human_set(None, {3.0}) == 0
    assert ratings.rating_bias(None, 5.0) is None


def test_a_paper_that_nobody_rated_has_no_error():
    assert ratings.reference_rating([]) is None
    assert ratings.rating_error(None, None, TEN) is None
    assert ratings.rating_squared_error(5.0, None, TEN) is None
    assert ratings.rating_in_human_set(None, set()) is None


# Decisions.


def test_the_threshold_is_the_best_of_all_by_scikit_learns_balanced_accuracy():
    from sklearn.metrics import balanced_accuracy_score

    generator = random.Random(0)
    for _ in range(5):
        rated = [(generator.choice(TEN), generator.random() < 0.4) for _ in range(30)] + [(3.0, True), (4.0, False)]
        decided = [accepted for _, accepted in rated]
        by_cut = {t: balanced_accuracy_score(decided, [rating >= t for rating, _ in rated]) for t in sorted(set(TEN))}
        t, score = decisions.best_cut(rated)
        assert score == pytest.approx(max(by_cut.values()))
        assert by_cut[t] == pytest.approx(score)
        ties = [cut for cut in sorted({r for r, _ in rated}) if by_cut[cut] == pytest.approx(score)]
        assert t == ties[0]  # of equally good ones the smallest


def test_without_both_decisions_there_is_no_threshold():
    assert decisions.best_cut([(5.0, True)]) is None
    assert decisions.fit_thresholds([RatedPaper(5.0, TEN, True)], {TEN}) == {}
    assert decisions.decision_correct(8.0, None, "accept") is None


def test_each_scale_has_its_own_threshold_and_a_poor_one_borrows():
    of_ten = [RatedPaper(6.0, TEN, True)] * 10 + [RatedPaper(5.0, TEN, False)] * 10
    of_2020 = [RatedPaper(4.5, OF_2020, True)] * 10 + [RatedPaper(4.0, OF_2020, False)] * 10
    five = (1.0, 2.0, 3.0, 4.0, 5.0)
    found = decisions.fit_thresholds([*of_ten, *of_2020], {TEN, OF_2020, five})
    assert (found[TEN].t, found[TEN].fitted_on, found[TEN].balanced_accuracy) == (6.0, "own", 1.0)
    assert (found[OF_2020].t, found[OF_2020].papers, found[OF_2020].accepted) == (4.5, 20, 10)
    # On [0, 1] the ratings are 5/9 and 4/9, 3.5/7 and 3/7: from a half on, all are told apart.
    assert (found[five].t, found[five].fitted_on, found[five].balanced_accuracy) == (3.0, "all", 1.0)


def test_an_unread_rating_is_a_wrong_decision():
    assert decisions.decide(None, 6.0) is None
    assert decisions.decision_correct(None, 6.0, "accept") == 0
    assert decisions.decision_correct(None, 6.0, "reject") == 0
    assert decisions.decision_correct(6.0, 6.0, "accept") == 1
    assert decisions.decision_correct(5.0, 6.0, "accept") == 0
    assert decisions.decision_correct(10.0, 6.0, None) is None  # a paper that was withdrawn
    assert decisions.decide(17 / 3, sum([5.0, 6.0, 6.0]) / 3) == "accept"


def test_six_means_something_on_the_scales_that_end_at_eight_to_ten_alone():
    assert decisions.fixed_threshold(OF_2020) == decisions.fixed_threshold(TEN) == 6
    assert decisions.fixed_threshold((1.0, 2.0, 3.0, 4.0, 5.0)) is None


# Likeness.


def test_rouge_l_has_the_numbers_of_its_paper():
    """Lin 2004, section 3.1: S2 shares "police the gunman" with S1, S3 only "the gunman"."""
    first = "police killed the gunman"
    assert rouge_l("police kill the gunman", [first, "the gunman kill police"]) == [0.75, 0.5]
    assert rouge_l("the gunman kill police", [first]) == [0.5]
    assert rouge_l("", [first]) == [0.0]


def test_rouge_l_is_rouge_scores():
    from rouge_score.rouge_scorer import RougeScorer

    scorer, generator = RougeScorer(["rougeL"], use_stemmer=False), random.Random(1)
    words_used = [*"abcdefgh", "Don't", "3.2%", "naïve", "–", "state-of-the-art"]
    texts = [" ".join(generator.choices(words_used, k=generator.choice([0, 1, 5, 40, 90]))) for _ in range(40)]
    for ours in texts[:10]:
        wanted = [scorer.score(reference, ours)["rougeL"].fmeasure for reference in texts]
        assert rouge_l(ours, texts) == pytest.approx(wanted, abs=1e-12)


def test_a_review_is_less_like_another_papers_reviews():
    partner = other_papers(["a", "b", "c"])
    assert sorted(partner) == sorted(partner.values()) == ["a", "b", "c"]
    assert all(paper != other for paper, other in partner.items())
    assert partner == other_papers(["c", "b", "a"])
    assert other_papers(["a"]) == {}
    reviews = dict(zip("abc", PAPERS, strict=True))
    for paper, text in reviews.items():
        own = rouge_l(f"in short, {text}", [text])[0]
        assert own > 0.9 > 2 * rouge_l(f"in short, {text}", [reviews[partner[paper]]])[0]


# Specificity.

SPECIFIC = """# Strengths
1. The claim in Section 3.2 and Figures 2 and 3 is supported; Table 1 reports 92.5% on 4 data sets.
2. As "catastrophic forgetting" shows, Eq. (4) (see lines 120-125 and Appendix B) is not new [12, 13].
Smith et al. (2019) and (Doe, 2020) did this, cf. arXiv:1706.03762; see §4 and L17."""


def test_specificity_by_hand():
    """References: Section 3.2, Figures 2 and 3, Table 1, Eq. (4), lines 120-125, Appendix B, §4, L17 - eight.

    Numbers: 92.5 and 4 (not the list's, nor a year's). Quotations: one. Citations: [12, 13], Smith, Doe, arXiv.
    """
    found = specificity.specificity(SPECIFIC)
    count = len(words(SPECIFIC))
    assert {name: round(value * count / 100) for name, value in found.items()} == {
        "references_per_100": 8,
        "numbers_per_100": 2,
        "quotes_per_100": 1,
        "citations_per_100": 4,
        "specificity": 15,
    }
    assert found["specificity"] == pytest.approx(1500 / count)


@pytest.mark.parametrize(
    "text",
    [
        "In this section I would like to see more.",
        "In the table and the figure, a line is too thin.",
        "In summary, the paper's \"\" are empty and its mark's aren't.",
        "1. Weak.\n2) Unclear.\n(3) Wrong.\n",
        "The equation is wrong. A line. L is large. P. W. is a name.",
        "It was tested on CIFAR-10, and (2) compared with GPT-3; but 3) no more.",
    ],
)
def test_vague_words_are_not_specific(text):
    assert specificity.specificity(text)["specificity"] == 0


@pytest.mark.parametrize(
    "reference",
    ["p. 5", "p6-7", "Pg. 2", "Algo. 1", "Def. 3.2", "Sect 4.1", "Tables 1, 2 and 3", "eqn (12)", "Theorem 2.1b",
     "Section C.2", "Supplementary Section S2", "paragraph 3", "L123"],
)  # fmt: skip
def test_a_place_in_the_paper_is_one_reference_and_no_number(reference):
    found = specificity.specificity(f"As {reference} says, this is wrong.")
    assert found["references_per_100"] == found["specificity"] > 0


def test_specificity_of_nothing_is_none_and_of_garbage_is_quick():
    assert set(specificity.specificity(" \n").values()) == {0}
    for garbage in (
        "A" * 60_000,
        "Figure " * 8_000,
        "1," * 30_000,
        "A and " * 8_000,
        '"' * 50_000,
        "(" * 50_000,
        "p. " * 20_000,
    ):
        specificity.specificity(garbage)


# Genericness.


def test_similarity_is_scikit_learns_mean_cosine_with_texts_about_other_papers():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import cosine_similarity

    texts = [*PAPERS, PAPERS[0][:60], PAPERS[1][20:], "the experiments are good and the baselines are new"]
    prompts, background = list("abcabc"), ["the theory is deep", "the experiments are small"]
    vectorizer = TfidfVectorizer().fit([*texts, *background])
    cosines = cosine_similarity(vectorizer.transform(texts))
    wanted = [np.mean([cosines[i, j] for j in range(6) if prompts[i] != prompts[j]]) for i in range(6)]
    assert genericness.similarity_to_others(texts, prompts, background) == pytest.approx(wanted)


def test_a_model_that_always_says_the_same_is_as_generic_as_can_be():
    assert genericness.similarity_to_others([PAPERS[0]] * 3, list("abc"), PAPERS) == pytest.approx([1, 1, 1])
    found = genericness.similarity_to_others([PAPERS[0], "", PAPERS[0]], list("abb"), PAPERS)
    assert found[1] is None  # no words: like nothing, which is no virtue
    assert found[0] == pytest.approx(0.5)
    assert genericness.similarity_to_others(["good", "bad"], ["a", "a"], []) == [None, None]
    assert genericness.similarity_to_others(["", ""], ["a", "b"], []) == [None, None]


def test_distinct_pairs_by_hand():
    # good paper, paper good, good paper; good paper: two different ones of four, over both texts
    assert genericness.distinct_2(["good paper good paper", "Good paper"]) == 0.5
    assert genericness.distinct_2(["one"]) is None
    assert genericness.distinct_2(PAPERS) > genericness.distinct_2([PAPERS[0]] * 3) == pytest.approx(1 / 3)


def test_self_bleu_is_bleu_by_another_implementation():
    """NLTK counts BLEU apart from sacrebleu; without smoothing they agree where every order has a match."""
    from nltk.translate.bleu_score import sentence_bleu

    common = "we thank the authors for this work and we recommend that it be"
    texts = [f"{common} accepted as {PAPERS[0]}", f"{common} rejected as {PAPERS[1]}", f"{common} improved {PAPERS[2]}"]
    each = [
        sentence_bleu([other.split() for other in texts if other != text], text.split(), weights=(0.25,) * 4)
        for text in texts
    ]
    assert genericness.self_bleu(texts) == pytest.approx(100 * np.mean(each))
    assert genericness.self_bleu([PAPERS[0]] * 4) == pytest.approx(100)
    assert genericness.self_bleu(PAPERS) < 15
    assert genericness.self_bleu(PAPERS[:1]) is genericness.self_bleu([PAPERS[0], "", ""]) is None


# Copying, words, checkmarks.


def test_a_planted_run_of_eight_words_is_found_and_seven_are_not():
    paper = copying.known_runs(PAPERS)
    mine = "Well now, as it happens to be, "
    eight, seven = " ".join(PAPERS[0].split()[3:11]), " ".join(PAPERS[0].split()[3:10])
    runs = copying.runs_of_words(mine + eight.upper() + "!")
    assert len(runs) == 15 - 7
    assert copying.copied_share(runs, paper) == pytest.approx(1 / 8)
    assert copying.copied_share(copying.runs_of_words(mine + seven), paper) == 0
    assert copying.copied_share(copying.runs_of_words(seven), paper) is None
    assert copying.copied_share(copying.runs_of_words(eight), copying.known_runs([])) == 0


def test_copied_runs_agree_with_sets_of_words(monkeypatch):
    monkeypatch.setattr(copying, "_MERGE_AT", 50)  # so that merging happens often
    generator = random.Random(2)
    texts = [" ".join(generator.choices("ab", k=40)) for _ in range(9)]

    def plain(text):
        found = text.split()
        return [tuple(found[i : i + 8]) for i in range(len(found) - 7)]

    known = {run for text in texts[1:] for run in plain(text)}
    hashes = copying.known_runs(texts[1:])
    assert len(hashes) == len(known)
    assert all(low < high for low, high in pairwise(hashes))
    wanted = np.mean([run in known for run in plain(texts[0])])
    assert 0 < copying.copied_share(copying.runs_of_words(texts[0]), hashes) == wanted < 1


def test_words_and_their_ratio():
    assert words("The state-of-the-art's 3.2 is (not) GOOD…") == [
        "the",
        "state-of-the-art's",
        "3.2",
        "is",
        "not",
        "good",
    ]
    assert length_ratio(30, [10, 20]) == 2
    assert length_ratio(30, []) is None


def test_an_unanswered_item_is_neither_a_checkmark_nor_a_missing_one():
    assert pass_rate({"a": "yes", "b": "no", "c": None, "d": "yes"}) == pytest.approx(2 / 3)
    assert pass_rate({"a": None}) is None
    assert pass_rate(None) is None

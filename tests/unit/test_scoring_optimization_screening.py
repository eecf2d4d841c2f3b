"""Candidates: how they are measured, which are dropped and why, and which stands for its doubles."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import cohen_kappa_score, matthews_corrcoef

from scoring_fixtures import ICLR
from winnow.core.config.signals import ChecklistOptimization
from winnow.core.errors import WinnowError
from winnow.scoring.checklist import Item, load_checklist
from winnow.scoring.optimization.matrix import Labelled, Matrix
from winnow.scoring.optimization.screening import screen
from winnow.scoring.optimization.similarity import answer_phi, text_similarity

WORDS = (
    "novelty",
    "proofs",
    "typos",
    "money",
    "figures",
    "baselines",
    "history",
    "weather",
    "kernels",
    "zebras",
    "jam",
)
ANSWER = {1: "yes", 0: "no", -1: None}


def matrix(answers, labels=None, *, texts=None, ratings=None, tokens=None, repeats=None):
    rows, items = answers.shape
    texts = texts or [f"{WORDS[n]} {WORDS[-n]} {WORDS[n]}?" for n in range(items)]
    columns = [Item(id=f"i{n:02d}", category="c", text=text) for n, text in enumerate(texts)]
    labels = np.arange(rows) % 2 == 0 if labels is None else labels
    return Matrix.of(
        [
            Labelled(
                id=f"r{n:04d}",
                paper=f"p{n // 2}",
                group=f"p{n // 2}",
                label=bool(labels[n]),
                answers={item.id: ANSWER[int(answer)] for item, answer in zip(columns, answers[n], strict=True)},
                tokens=100 + 7 * n % 50 if tokens is None else int(tokens[n]),
                rating=None if ratings is None else float(ratings[n]),
            )
            for n in range(rows)
        ],
        columns,
        repeats,
    )


def coins(seed=0, rows=400, items=10):
    return (np.random.default_rng(seed).random((rows, items)) < 0.5).astype(int)


def screened(data, **changes):
    return screen(data, ChecklistOptimization(**changes))


def reasons(found):
    return {one.item: one.reason for one in found.dropped}


def test_text_similarity_is_that_of_scikit_learn():
    texts = [item.text for item in load_checklist(ICLR).questions] + ["Two  Spaces, and   Capitals?", "ab"]
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(3, 5)).fit_transform(texts)
    assert text_similarity(texts) == pytest.approx((vectors @ vectors.T).toarray(), abs=1e-9)


def test_phi_is_the_correlation_of_the_responses_that_answer_both():
    answers = np.random.default_rng(0).integers(-1, 2, (300, 4)).astype(np.int8)
    answers[:, 1] = np.where(np.random.default_rng(1).random(300) < 0.7, answers[:, 0], answers[:, 1])
    answers[:, 3] = 1
    found = answer_phi(answers)
    both = (answers[:, 0] >= 0) & (answers[:, 1] >= 0)
    assert found[0, 1] == pytest.approx(matthews_corrcoef(answers[both, 0], answers[both, 1]))
    assert found[0, 3] == 0  # an item that never varies goes with none
    assert (found == found.T).all()


def test_ordinary_items_pass():
    found = screened(matrix(coins(), ratings=np.random.default_rng(1).random(400)))
    assert (found.survivors, found.dropped) == (tuple(range(10)), ())
    assert found.clusters == tuple(range(1, 11))


def test_items_that_never_vary_are_dropped():
    answers = coins(items=11)
    answers[:, 3], answers[:, 5] = 1, 0
    answers[:, 7] = np.arange(400) < 16  # 4 % say yes
    answers[:, 2] = np.arange(400) < 20  # 5 %: just enough
    lost = reasons(screened(matrix(answers)))
    assert lost.keys() == {3, 5, 7}
    assert "prevalence 1.000" in lost[3]
    assert "prevalence 0.040" in lost[7]


def test_items_often_unanswered_are_dropped_and_null_is_not_no():
    answers = coins()
    answers[:48, 0] = -1
    answers[:40, 1] = -1  # a tenth: just allowed
    answers[:, 2] = -1
    found = screened(matrix(answers))
    assert reasons(found) == {
        0: "null rate 0.120 is above 0.1",
        2: "null rate 1.000 is above 0.1; it was never answered",
    }
    assert found.measured[1].prevalence == pytest.approx(answers[40:, 1].mean())
    assert found.measured[2].prevalence is None


def test_items_that_do_not_hold_are_dropped():
    answers = coins()
    ids = [f"i{n:02d}" for n in range(10)]
    generator = np.random.default_rng(5)
    again = answers.copy()
    again[:, 0] = generator.permutation(again[:, 0])
    again[:40, 1] = 1 - again[:40, 1]
    pairs = [
        ({i: ANSWER[a] for i, a in zip(ids, one, strict=True)}, {i: ANSWER[b] for i, b in zip(ids, two, strict=True)})
        for one, two in zip(answers, again, strict=True)
    ]
    found = screened(matrix(answers, repeats=pairs))
    assert list(reasons(found)) == [0]
    assert found.measured[1].kappa == pytest.approx(cohen_kappa_score(answers[:, 1], again[:, 1]))
    assert found.measured[2].kappa == 1
    assert screened(matrix(answers, repeats=pairs), screening={"min_retest_kappa": None}).dropped == ()
    assert screened(matrix(answers)).measured[0].kappa is None  # nothing judged twice is nothing known


def test_meters_of_length_and_of_rating_are_dropped():
    answers = coins()
    generator = np.random.default_rng(6)
    tokens = np.exp(answers[:, 0] * 2 + generator.normal(size=400)) * 100 + 1
    ratings = answers[:, 1] + generator.normal(size=400)
    found = screened(matrix(answers, tokens=tokens, ratings=ratings))
    assert list(reasons(found)) == [0, 1]
    assert found.measured[0].corr_len == pytest.approx(np.corrcoef(answers[:, 0], np.log(tokens.astype(int)))[0, 1])
    assert found.measured[1].corr_rating == pytest.approx(np.corrcoef(answers[:, 1], ratings)[0, 1])
    # What goes with the rating may help to predict a decision.
    assert list(reasons(screened(matrix(answers, tokens=tokens, ratings=ratings), target="decision"))) == [0]


def test_of_doubles_the_one_that_tells_more_is_kept():
    answers = coins(items=12)
    labels = coins(7, items=1)[:, 0] == 1
    answers[:, 4] = np.where(np.arange(400) % 5, labels, answers[:, 4])  # tells much
    answers[:, 2] = np.where(np.arange(400) % 20 != 1, answers[:, 4], 1 - answers[:, 4])  # its double, a little less so
    answers[:, 9] = answers[:, 2]
    texts = [f"{WORDS[n % 11]} {WORDS[-n % 11]} and {WORDS[n * 3 % 11]}{n}?" for n in range(12)]
    texts[1] = "Does the review say how clearly the paper is written or explained?"
    texts[0] = "Does the review say how clearly the paper is written and explained?"
    found = screened(matrix(answers, labels, texts=texts))
    lost = {one.item: one for one in found.dropped}
    assert set(lost) - {0, 1} == {2, 9}
    assert lost[2].reason.startswith("double of i04: phi")
    clusters = dict(zip(found.survivors, found.clusters, strict=True))
    assert lost[2].cluster == lost[9].cluster == clusters[4]
    (worded_alike,) = set(lost) & {0, 1}
    assert "text similarity" in lost[worded_alike].reason
    assert sorted(clusters.values()) == list(range(1, 10))


def test_equal_doubles_go_by_id():
    answers = coins()
    answers[:, 6] = answers[:, 3]
    assert list(reasons(screened(matrix(answers)))) == [6]


def test_an_opposite_is_no_double():
    answers = coins()
    answers[:, 6] = 1 - answers[:, 3]
    assert screened(matrix(answers)).dropped == ()


def test_too_few_survivors_are_an_error_that_names_the_dropped():
    answers = coins(items=10)
    answers[:, [1, 2]], answers[:, 4] = 1, answers[:, 3]
    with pytest.raises(WinnowError) as error:
        screened(matrix(answers))
    for words in ("7 of 10 items are left", "8 are needed", "i01: prevalence", "i02: prevalence", "i04: double of i03"):
        assert words in str(error.value)


def test_nothing_at_all_is_left():
    with pytest.raises(WinnowError, match="0 of 10 items are left"):
        screened(matrix(np.ones((40, 10), int)))

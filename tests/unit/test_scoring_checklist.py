"""Checklists: what they may hold, what is refused and how, and when a change of the file rejudges."""

import json

import pytest
import yaml

from scoring_fixtures import ICLR, checklist, checklist_file, items
from winnow.core.errors import WinnowError
from winnow.scoring.annotations import ASPECTS
from winnow.scoring.checklist import load_checklist
from winnow.scoring.lexical import Lexical


def refused(path):
    with pytest.raises(WinnowError) as error:
        load_checklist(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_the_checklist_of_the_house():
    found = load_checklist(ICLR)
    assert len(found.questions) >= 20
    assert len({item.category for item in found.questions}) >= 5
    assert all(item.cues and item.source for item in found.questions)
    assert {item.aspect for item in found.questions} - {None} == ASPECTS
    # What a judge is asked is what the review does, never whether the paper is good.
    assert all(item.text.startswith(("Does the review", "Does the reviewer")) for item in found.questions)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cues": ["(unclosed"]}, "(unclosed"),
        ({"cues": ["a(?=b)"]}, "a(?=b)"),  # look-ahead: Python knows it, RE2 does not
        ({"cues": ["x*"]}, "matches empty text"),
        ({"cue": ["x"]}, "did you mean 'cues'"),
        ({"min_hits": 0}, "min_hits"),
        ({"aspect": "XYZ"}, "aspect"),
        ({"text": "Says w0, it does"}, "must be a question"),
        ({"id": "Says-W0"}, "item Says-W0"),
        ({"cues": [], "cues_against": ["x"]}, "cues_against without cues"),
    ],
)
def test_a_bad_item_is_named(tmp_path, changes, said):
    message = refused(checklist_file(tmp_path / "c.yaml", **changes))
    assert said in message
    assert f"item {changes.get('id', 'says_w0')}" in message


def test_ids_that_occur_twice_are_refused(tmp_path):
    assert "says_w1" in refused(checklist_file(tmp_path / "c.yaml", id="says_w1"))


def test_fewer_than_eight_items_are_refused(tmp_path):
    assert "at least 8" in refused(checklist_file(tmp_path / "c.yaml", count=7))


def test_an_unknown_key_beside_the_items_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"version": 1, "questions": items(), "threshold": 3}))
    assert "threshold" in refused(tmp_path / "c.yaml")


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "c.yaml")
    refused(tmp_path / "c.json")


def optimal(path, **changes):
    """A file as the search for a good checklist writes it."""
    chosen = [
        item | {"cluster_id": 1, "weight": 1, "order": n, "stats": {"auc": 0.6}} for n, item in enumerate(items())
    ]
    chosen[0] |= changes
    path.write_text(json.dumps({"version": 1, "status": "validated", "K": 8, "questions": chosen, "seed": 0}))
    return path


def test_an_optimal_checklist_is_the_same_type(tmp_path):
    assert load_checklist(optimal(tmp_path / "c.json")) == checklist()


def test_an_optimal_checklist_is_checked_as_well(tmp_path):
    assert "(unclosed" in refused(optimal(tmp_path / "c.json", cues=["(unclosed"]))
    assert "colour" in refused(optimal(tmp_path / "d.json", colour="red"))
    (tmp_path / "e.json").write_text('{"version": 1}')
    assert "questions" in refused(tmp_path / "e.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "Is it another question?"},
        {"cues": [r"\bother\b"]},
        {"cues_against": ["x"]},
        {"min_hits": 2},
        {"id": "says_other"},
    ],
)
def test_what_changes_a_verdict_changes_the_hash(changes):
    assert checklist(**changes).sha256 != checklist().sha256


@pytest.mark.parametrize("changes", [{"category": "other"}, {"source": "a guideline"}, {"aspect": "NOV"}])
def test_what_changes_no_verdict_keeps_the_hash(changes):
    assert checklist(**changes).sha256 == checklist().sha256


def test_the_order_of_items_keeps_the_hash():
    turned = checklist().model_copy(update={"questions": checklist().questions[::-1]})
    assert turned.sha256 == checklist().sha256


def test_a_cue_that_moves_to_the_other_side_changes_the_hash():
    assert checklist(cues=["a"], cues_against=["b"]).sha256 != checklist(cues=["a", "b"]).sha256


# One text that meets the item and one that does not, for every item of the house.
EXAMPLES = {
    "summarizes_paper": ("This paper proposes a way to train networks.", "More data, and more plots of it."),
    "states_strengths": ("The idea is elegant.", "It is unclear what was done."),
    "states_weaknesses": ("The main weakness is the theory.", "I liked every part of it."),
    "judges_motivation": ("The approach is well motivated.", "The tables are long."),
    "judges_novelty": ("The novelty is limited.", "The tables are long."),
    "judges_significance": ("This is an important problem.", "The tables are long."),
    "judges_fit": ("It does not fit the scope of ICLR.", "The tables are long."),
    "compares_prior_work": ("Related work is ignored.", "The tables are long."),
    "names_references": ("See Smith et al. for that.", "Somebody did that."),
    "asks_for_comparison": ("The authors should compare with a simple model.", "The tables are long."),
    "examines_soundness": ("The proof of the theorem is wrong.", "The tables are long."),
    "examines_experiments": ("The experiments use three datasets and the results vary.", "The tables are long."),
    "asks_for_ablation": ("An ablation is needed.", "The tables are long."),
    "examines_statistics": ("There are no error bars.", "The tables are long."),
    "judges_substance": ("More experiments are needed.", "The tables are long."),
    "judges_clarity": ("The paper is hard to follow.", "The tables are long."),
    "corrects_presentation": ("There is a typo in the title.", "The theory is deep."),
    "examines_reproducibility": ("I could not reproduce it.", "The theory is deep."),
    "discusses_limits": ("It will not scale to large graphs.", "The theory is deep."),
    "asks_questions": ("What is x? How was it set?", "It is what it is."),
    "points_to_places": ("In Section 3 and Table 2 this differs.", "It differs in places."),
    "suggests_improvements": ("I suggest more plots. Please add them.", "It is what it is."),
    "gives_recommendation": ("I vote to reject it.", "Rejection sampling is slow."),
    "explains_recommendation": ("I recommend to reject because the proof is wrong.", "I vote to reject it."),
    "states_own_limits": ("I am not an expert in this area.", "The tables are long."),
}


@pytest.mark.parametrize("item", load_checklist(ICLR).questions, ids=lambda item: item.id)
def test_the_cues_tell_an_example_from_its_counterpart(item):
    met, unmet = EXAMPLES[item.id]
    # Words that make it English prose and meet nothing.
    padding = " It is on the one hand and on the other hand with that of the others."
    answers = [found.answers[item.id] for found in Lexical().judge([met + padding, unmet + padding], [item])]
    assert answers == ["yes", "no"]

"""The candidate items of the house: those of iclr.yaml as they are, and more, each with cues that work."""

import numpy as np
import pytest

from scoring_fixtures import ICLR
from winnow.scoring.checklist import load_checklist
from winnow.scoring.lexical import Lexical
from winnow.scoring.optimization.similarity import text_similarity

CANDIDATES = load_checklist(ICLR.with_name("iclr_candidates.yaml")).questions
KNOWN = load_checklist(ICLR).questions
NEW = CANDIDATES[len(KNOWN) :]

# One text that meets the item and one that does not, for every item that iclr.yaml does not have.
EXAMPLES = {
    "checks_claims": ("The claim of speed is not supported.", "The tables are long."),
    "questions_assumptions": ("It assumes independent noise.", "The tables are long."),
    "examines_theory": ("The proof of Theorem 2 skips a step.", "The tables are long."),
    "examines_data": ("MNIST is too small, and real-world datasets are needed.", "The proof is long."),
    "examines_metrics": ("BLEU is a poor metric here.", "The proof is long."),
    "examines_fairness_of_comparison": ("The comparison is unfair to the baseline.", "The tables are long."),
    "interprets_results": ("It is surprising that depth hurts.", "The tables are long."),
    "examines_cost": ("What is the memory cost of this?", "The theory is deep."),
    "names_what_is_unexplained": ("The symbol beta is never defined.", "The theory is deep."),
    "comments_on_figures": ("In Figure 3 the curves cross.", "The theory is deep."),
    "quotes_the_paper": ('The paper has "we are the first to do this" in it.', 'A "novel" idea.'),
    "gives_examples": ("For example, depth; for instance, width.", "For one, depth."),
    "numbers_its_points": ("1) The idea. 2) The proof. 3) The tables.", "The idea, the proof, the tables."),
    "ranks_its_points": ("My main concern is the theory.", "A concern is the theory."),
    "asks_for_further_experiment": ("I would like to see more experiments.", "The tables are long."),
    "names_alternatives": ("A linear layer could be used instead of it.", "The tables are long."),
    "takes_up_the_response": ("After reading the rebuttal I raise my score.", "The tables are long."),
    "is_courteous": ("I thank the authors for the care they took.", "More plots would be appreciated."),
    "considers_ethics": ("The privacy of patients is at risk.", "The tables are long."),
}


def test_there_are_enough_and_the_known_ones_are_as_they_are():
    assert len(CANDIDATES) >= 38
    assert CANDIDATES[: len(KNOWN)] == KNOWN
    assert {item.id for item in NEW} == EXAMPLES.keys()
    assert all(item.cues and item.source for item in CANDIDATES)
    assert all(item.text.startswith(("Does the review", "Does the reviewer")) for item in CANDIDATES)


def test_no_two_are_worded_alike():
    alike = text_similarity([item.text for item in CANDIDATES])
    np.fill_diagonal(alike, 0)
    assert alike.max() < 0.85


@pytest.mark.parametrize("item", NEW, ids=lambda item: item.id)
def test_the_cues_tell_an_example_from_its_counterpart(item):
    met, unmet = EXAMPLES[item.id]
    # Words that make it English prose and meet nothing.
    padding = " It is on the one hand and on the other hand with that of the others."
    answers = [found.answers[item.id] for found in Lexical().judge([met + padding, unmet + padding], [item])]
    assert answers == ["yes", "no"]

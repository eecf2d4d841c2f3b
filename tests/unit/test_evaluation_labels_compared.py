"""Answers that are labels compared: against scikit-learn and by hand, and reviews' words nowhere."""

import json
import random
from math import comb

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, precision_recall_fscore_support
from test_evaluation_comparison import run

from labels_measured import CLASSES, TASK, measured, row, study_rows
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.ids import canonical_json
from winnow.evaluation.comparison import runs_alike
from winnow.evaluation.decisions_compared import baselines, decided
from winnow.evaluation.estimates import failures, values
from winnow.evaluation.measured import read_responses
from winnow.evaluation.plots import draw_decisions, draw_differences
from winnow.evaluation.responses_compared import compare_responses
from winnow.evaluation.verdicts import to_reference

RUNS = [run("sft_clean"), run("dpo_clean", stage="dpo", parent="sft_clean", recipe={"beta": 0.1})]


def compared(rows, runs=RUNS):
    return compare_responses(measured(rows), modalities=["clean"], runs=runs, alike=runs_alike(runs))


@pytest.fixture(scope="module")
def found():
    """DPO is right nearly always, the other two and the baseline three times in five."""
    return compared(study_rows(prompts=120, right={"dpo_clean": 0.95}))


def line(found, name, decoding="logprob"):
    return next(one for one in found["responses"]["clean"][decoding]["rows"] if one["run"] == name)


@pytest.mark.parametrize("seed", range(4))
def test_decisions_are_scikit_learns_with_unparsed_as_a_third_answer(seed):
    draw = random.Random(seed)
    rows = [
        row(
            "a", f"p{number % 25:02}", draw.choice(CLASSES), draw.choice([*CLASSES, None]), decoding="sampled", sample=1
        )
        for number in range(40)
    ]
    truth, said = [one["decision"] for one in rows], [one["predicted"] or "unparsed" for one in rows]
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, said, labels=[*CLASSES, "unparsed"], zero_division=0.0
    )
    expected = {
        "accuracy": accuracy_score(truth, said),
        "macro_f1": f1_score(truth, said, labels=list(CLASSES), average="macro"),
        "mcc": matthews_corrcoef(truth, said),
        "f1_positive": f1[0],
        "precision_positive": precision[0],
        "recall_positive": recall[0],
        "balanced_accuracy": (recall[0] + recall[1]) / 2,
        "predicted_positive_rate": said.count("sarcastic") / len(said),
    }
    of_decisions, of_run = decided(rows, TASK), values(rows, [], {}, TASK)
    for name, value in expected.items():
        assert of_decisions[name]["value"] == of_run[name]["value"] == pytest.approx(value, abs=1e-6), name
        assert of_decisions[name]["interval"][0] < value < of_decisions[name]["interval"][1]
    for place, name in enumerate(CLASSES):
        numbers = {"precision": precision[place], "recall": recall[place], "f1": f1[place]}
        assert {key: one["value"] for key, one in of_decisions["per_class"][name].items()} == pytest.approx(
            numbers, abs=1e-6
        )
    assert sum(count for part in of_decisions["confusion"].values() for count in part.values()) == len(rows)


def test_the_confusion_and_the_classes_by_hand():
    said = [("sarcastic", "sarcastic")] * 3 + [("sarcastic", None)] + [("not_sarcastic", "sarcastic")] * 2
    said += [("not_sarcastic", "not_sarcastic")] * 4
    rows = [row("a", f"p{number}", *one) for number, one in enumerate(said)]
    found = decided(rows, TASK)
    assert found["confusion"] == {
        "sarcastic": {"sarcastic": 3, "not_sarcastic": 0, "unparsed": 1},
        "not_sarcastic": {"sarcastic": 2, "not_sarcastic": 4, "unparsed": 0},
    }
    by_class = {name: {key: one["value"] for key, one in found["per_class"][name].items()} for name in CLASSES}
    assert by_class["sarcastic"] == {"precision": 0.6, "recall": 0.75, "f1": pytest.approx(2 / 3, abs=1e-6)}
    assert by_class["not_sarcastic"] == {"precision": 1.0, "recall": pytest.approx(2 / 3, abs=1e-6), "f1": 0.8}
    # What is the same in every draw tells nothing of the spread.
    assert found["per_class"]["not_sarcastic"]["precision"]["interval"] is None
    assert "f1_sarcastic" not in found


def test_a_class_that_is_never_answered_has_no_precision():
    found = decided([row("a", "p0", "sarcastic", None), row("a", "p1", "not_sarcastic", "not_sarcastic")], TASK)
    assert found["precision_positive"] == {"value": None, "interval": None}
    assert (found["f1_positive"]["value"], found["recall_positive"]["value"]) == (0.0, 0.0)


@pytest.mark.parametrize("positives", [3, 5, 8])
def test_always_the_positive_class_and_the_commoner_one(positives):
    known = [CLASSES[number >= positives] for number in range(10)]
    rows = [row("a", f"p{number}", decision, "not_sarcastic") for number, decision in enumerate(known)]
    found, p = baselines(rows, [], TASK), positives / 10
    always = found["always_positive"]
    assert always["f1_positive"]["value"] == always["per_class"]["sarcastic"]["f1"]["value"]
    assert always["f1_positive"]["value"] == pytest.approx(2 * p / (1 + p), abs=1e-6)
    assert (always["accuracy"]["value"], always["mcc"]["value"]) == (p, 0.0)
    assert found["majority"]["answer"] == CLASSES[positives <= 5]
    assert found["majority"]["accuracy"]["value"] == max(p, 1 - p)
    assert list(found) == ["majority", "always_positive", "tfidf_logistic"]


def test_mcnemar_against_the_baseline_by_hand():
    """Of twenty posts nine are right for the model alone and two for the baseline alone."""
    model = [True] * 9 + [False] * 2 + [True] * 6 + [False] * 3
    other = [False] * 9 + [True] * 2 + [True] * 6 + [False] * 3

    def rows(name, right, decoding):
        return [
            row(name, f"p{number:02}", "sarcastic", CLASSES[not is_right], decoding=decoding)
            for number, is_right in enumerate(right)
        ]

    entry = to_reference("a", rows("a", model, "logprob"), rows("tfidf_logistic", other, "reference"), TASK)
    entry = entry["decision_correct"]
    p = 2 * sum(comb(11, k) for k in range(3)) / 2**11
    assert (entry["test"], entry["only_ours"], entry["only_theirs"]) == ("mcnemar", 9, 2)
    assert (entry["p"], entry["value"]) == (pytest.approx(p, abs=1e-6), 0.35)
    assert 0.05 < p < 0.07
    assert entry["verdict"] == "no difference shown"
    # One more prompt that only the model gets right, and it is shown.
    more = to_reference("a", rows("a", [*model, True], "logprob"), rows("b", [*other, False], "reference"), TASK)
    assert (more["decision_correct"]["verdict"], more["decision_correct"]["only_ours"]) == ("better", 10)
    less = to_reference("a", rows("a", [*other, False], "logprob"), rows("b", [*model, True], "reference"), TASK)
    assert (less["decision_correct"]["verdict"], less["decision_correct"]["n"]) == ("worse", 21)


def test_every_run_stands_against_the_baseline_outside_of_the_family(found):
    for decoding, of_one in found["responses"]["clean"].items():
        assert of_one.keys() == {"reference", "rows"}
        for one in of_one["rows"]:
            entry = one["to_reference"]["decision_correct"]
            assert {"n", "prompts", "value", "interval", "p", "test", "verdict", "mde"} <= entry.keys()
            assert "p_holm" not in entry
            assert entry["test"].startswith("sign_flip" if decoding == "sampled" else "mcnemar")
    assert line(found, "dpo_clean")["to_reference"]["decision_correct"]["verdict"] == "better"
    right = found["responses"]["clean"]["logprob"]["reference"]["decision_correct"]["value"]
    ours = line(found, "dpo_clean")["values"]["decision_correct"]["value"]
    assert line(found, "dpo_clean")["to_reference"]["decision_correct"]["value"] == pytest.approx(
        ours - right, abs=2e-6
    )


def test_ways_to_answer_are_never_mixed(found):
    assert [line(found, "sft_clean", one)["n"] for one in ("logprob", "greedy", "sampled")] == [120, 20, 40]
    for name in ("margin", "tokens"):
        known = [line(found, "sft_clean", one)["values"][name]["n"] for one in ("logprob", "greedy", "sampled")]
        assert known == ([120, 0, 0] if name == "margin" else [0, 20, 40])
    decisions = found["decisions"]["clean"]
    for decoding, n, prompts in (("logprob", 120, 120), ("greedy", 20, 20), ("sampled", 40, 20)):
        assert decisions[decoding]["rows"]["sft_clean"]["n"] == n
        # The baselines answer just the prompts that the runs of the table answer.
        for of_one in decisions[decoding]["baselines"].values():
            assert of_one["n"] == prompts
        assert found["responses"]["clean"][decoding]["reference"]["accuracy"]["n"] == prompts
    assert list(found["responses"]["clean"]) == ["logprob", "greedy", "sampled"]


def test_the_family_is_of_single_answers_only(found):
    # One primary metric, two decodings; SFT to base (which is its parent), DPO to SFT, DPO to base.
    assert found["family"]["tests"] == 6
    assert (found["family"]["metrics"], found["family"]["decodings"]) == (["decision_correct"], ["logprob", "greedy"])
    assert line(found, "dpo_clean")["to_parent"]["decision_correct"]["verdict"] == "better"
    drawn = line(found, "dpo_clean", "sampled")["to_parent"]["decision_correct"]
    assert (drawn["verdict"], drawn["p_holm"]) == (None, None)
    assert drawn["p"] is not None


def test_the_task_is_told_in_the_words_of_the_study(found):
    assert found["task"] == {
        "name": "labels",
        "classes": ["sarcastic", "not_sarcastic"],
        "class_titles": {"sarcastic": "sarcastic", "not_sarcastic": "not sarcastic"},
        "item": "post",
        "items": "posts",
        "reference": "tfidf_logistic",
        "reference_title": "TF-IDF and logistic regression",
        "decodings": {"logprob": "By probability", "greedy": "One greedy response", "sampled": "Drawn responses"},
        "groups": {"source": "Source", "decision": "Label"},
    }
    assert found["metrics"]["f1_positive"]["title"] == "F1 of “sarcastic”"
    told = canonical_json(found)
    for word in ("accept", "paper", "venue", "review", "human", "{positive}", "{negative}"):
        assert word not in told, word
    assert {name for name, one in found["metrics"].items() if one["primary"]} == {"decision_correct"}
    assert set(line(found, "sft_clean")["values"]) == set(found["metrics"])
    assert list(found["breakdown"]["clean"]["logprob"]) == ["source", "decision"]
    assert set(found["breakdown"]["clean"]["logprob"]["source"]["gen"]) == {
        "tfidf_logistic", "base_clean", "sft_clean", "dpo_clean",
    }  # fmt: skip
    assert found["decisions"]["clean"]["logprob"]["threshold"] is None
    assert failures([row("a", "p", "sarcastic", None, decoding="greedy", verdict_read=0.0, ended=1.0)], TASK) == {
        "unparsed": 1,
        "cut_off": 0,
    }


def test_the_order_of_rows_does_not_matter():
    rows = study_rows(prompts=12, generated=6, runs=("base_clean", "sft_clean"))
    shuffled = random.Random(1).sample(rows, len(rows))
    assert canonical_json(compared(rows, RUNS[:1])) == canonical_json(compared(shuffled, RUNS[:1]))


def test_seeds_of_one_setting_become_an_arm():
    seeds = [run(f"sft_clean-seed{seed}", seed=seed) for seed in (1, 2, 3)]
    rows = study_rows(prompts=12, generated=0, runs=("base_clean", *(one.name for one in seeds)))
    (arm,) = compared(rows, seeds)["arms"]["clean"]["logprob"]
    by_seed = [
        np.mean([one["values"]["decision_correct"] for one in rows if one["run"] == name]) for name in arm["runs"]
    ]
    assert arm["values"]["decision_correct"]["mean"] == pytest.approx(np.mean(by_seed), abs=1e-5)


@pytest.mark.parametrize(("decoding", "step"), [("logprob", "evaluate_run"), ("greedy", "generate_responses")])
def test_runs_on_other_prompts_are_refused(decoding, step):
    rows = study_rows(prompts=5, generated=5)
    lacking = [
        one for one in rows if (one["run"], one["prompt_id"], one["decoding"]) != ("dpo_clean", "p0001", decoding)
    ]
    with pytest.raises(WinnowError, match=rf"dpo_clean and base_clean: have {decoding} .* prompts: 1(.|\n)*{step}"):
        compared(lacking)


def test_a_baseline_that_lacks_a_prompt_is_refused_and_none_at_all_is_none():
    rows = [one for one in study_rows(prompts=5) if (one["run"], one["prompt_id"]) != ("tfidf_logistic", "p0001")]
    with pytest.raises(WinnowError, match="tfidf_logistic and base_clean: answer different prompts: 1"):
        compared(rows)
    found = compared([one for one in rows if one["run"] != "tfidf_logistic"])
    assert line(found, "dpo_clean")["to_reference"] is None
    assert found["decisions"]["clean"]["logprob"]["baselines"]["tfidf_logistic"]["n"] == 0


SAID = {"task": "labels", "classes": list(CLASSES), "reference": "tfidf_logistic"}


def read(folder, manifest, rows):
    write_json(folder / "measured.manifest.json", manifest)
    (folder / "measured.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return read_responses(folder / "measured.jsonl", folder / "measured.manifest.json")


def test_what_was_measured_says_of_what_task_it_is(tmp_path):
    rows = study_rows(prompts=3)
    found = read(tmp_path, SAID, rows)
    assert (found.task.name, found.task.classes, len(found.rows)) == ("labels", CLASSES, len(rows))
    assert read(tmp_path, SAID | {"classes": ["ironic", "plain"]}, []).task.title_of("ironic") == "ironic"


@pytest.mark.parametrize(
    ("manifest", "fault", "message"),
    [
        ({"sets": {}}, {}, "lacks task, classes, reference"),
        ({key: SAID[key] for key in ("task", "reference")}, {}, "lacks classes"),
        (SAID | {"task": "poems"}, {}, "cannot be compared"),
        (SAID | {"reference": "human"}, {}, "cannot be compared"),
        (SAID | {"classes": ["sarcastic", "sarcastic"]}, {}, "cannot be compared"),
        (SAID, {"predicted": "accept"}, "predicted 'accept', which is none of sarcastic, not_sarcastic"),
        (SAID, {"decision": "Yes"}, "decision 'Yes'"),
        (SAID, {"decoding": "beam"}, "decoding 'beam', which is none of logprob, greedy, sampled"),
        (SAID, {"run": "tfidf_logistic"}, "decoding 'logprob', which is none of reference"),
    ],
)
def test_what_would_be_left_out_in_silence_is_refused(tmp_path, manifest, fault, message):
    with pytest.raises(WinnowError, match=message) as raised:
        read(tmp_path, manifest, [row("a", "p0", "sarcastic", "sarcastic") | fault])
    assert "measure again" in str(raised.value)


def test_pictures_of_labels(found, tmp_path):
    for draw in (draw_differences, draw_decisions):
        for name in ("a.png", "b.png"):
            draw(found, tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        assert (tmp_path / "a.png").stat().st_size > 10_000

"""Generated reviews compared: what was planted is found, what is missing is counted, and order does not matter."""

import copy
import json
import random
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, matthews_corrcoef
from test_evaluation_comparison import run

from measured_fixtures import response, row, study_rows
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.ids import canonical_json
from winnow.evaluation.comparison import runs_alike
from winnow.evaluation.decisions_compared import baselines, decided
from winnow.evaluation.estimates import failures, row_values, values
from winnow.evaluation.measured import Measured, read_responses
from winnow.evaluation.paired import length_controlled, row_differences, set_differences
from winnow.evaluation.plots import draw_decisions, draw_differences
from winnow.evaluation.responses_compared import compare_responses
from winnow.evaluation.review_metrics import REVIEWS
from winnow.evaluation.verdicts import verdicts

RUNS = [run("sft_clean"), run("dpo_clean", stage="dpo", parent="sft_clean", recipe={"beta": 0.1})]


def compared(rows, runs=RUNS, **fields):
    return compare_responses(Measured(REVIEWS, rows, **fields), modalities=["clean"], runs=runs, alike=runs_alike(runs))


@pytest.fixture(scope="module")
def found():
    """DPO is much nearer to people than the other two, which are alike."""
    return compared(study_rows(shift={"dpo_clean": 0.8}), sets={"sft_clean": {"greedy": {"distinct_2": 0.4}}})


def line(found, name, decoding="greedy"):
    return next(one for one in found["responses"]["clean"][decoding]["rows"] if one["run"] == name)


def test_a_planted_effect_is_found_with_its_sign_and_no_other(found):
    for decoding in ("greedy", "sampled"):
        sft, dpo = line(found, "sft_clean", decoding), line(found, "dpo_clean", decoding)
        assert dpo["to_base"]["rating_error"]["verdict"] == dpo["to_parent"]["rating_error"]["verdict"] == "better"
        assert dpo["to_base"]["rating_error"]["value"] < 0 < dpo["to_base"]["decision_correct"]["value"]
        low, high = dpo["to_base"]["rating_error"]["interval"]
        assert low < high < 0
        assert {sft["to_base"][metric]["verdict"] for metric in REVIEWS.primary} == {"no difference shown"}
        assert dpo["to_base"]["spearman"]["value"] > 0
        assert dpo["to_base"]["spearman"]["verdict"] is None
        # Secondary metrics have a p, no correction and no verdict.
        assert dpo["to_base"]["rating_squared_error"]["p"] < 0.05
        assert dpo["to_base"]["rating_squared_error"]["verdict"] is None
        assert "p_holm" not in dpo["to_base"]["rating_squared_error"]
    assert line(found, "base_clean")["to_base"] is line(found, "base_clean")["to_parent"] is None


def _known(found, wanted, path=()):
    """Every number that is wanted is there; what is new beside it may be."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            _known(found[key], value, (*path, key))
    else:
        assert found == (pytest.approx(wanted, abs=1.5e-6) if isinstance(wanted, list | float) else wanted), path


def test_reviews_have_the_numbers_that_they_had_before_there_were_labels():
    """`reviews_compared.json` is of the version before tasks, from the same rows; two keys are called otherwise now."""
    rows = study_rows(prompts=12, samples=1, seed=3)
    for one in rows:
        one["rating_scale"] = [1.0, 10.0] if one["prompt_id"] < "p003" else one["rating_scale"]
        if one["prompt_id"] == "p001":
            one["decision"] = one["values"]["decision_correct"] = None
    sets = {"sft_clean": {"greedy": {"distinct_2": 0.4}}, "human": {"human": {"self_bleu": 3.0}}}
    found = compared(rows, sets=sets)
    before = json.loads(Path(__file__).with_name("reviews_compared.json").read_text(encoding="utf-8"))
    ours, decided_now = line(found, "dpo_clean"), found["decisions"]["clean"]["greedy"]
    _known(found["responses"]["clean"]["greedy"]["reference"], before["human"])
    for part in ("failures", "values", "to_base", "to_parent"):
        _known(ours[part], before[part], (part,))
    before["baselines"]["always_positive"] = before["baselines"].pop("always_accept")
    _known(decided_now["baselines"], before["baselines"])
    _known(decided_now["rows"]["dpo_clean"], before["decided"])
    for by, kinds in before["breakdown"].items():
        for kind, wanted in kinds.items():
            _known(found["breakdown"]["clean"]["greedy"][by][kind]["dpo_clean"], wanted, (by, kind))
    assert found["family"]["tests"] == before["tests"]


def test_a_worse_run_is_called_worse():
    rows = study_rows(shift={"base_clean": 0.8, "sft_clean": 0.8})
    assert line(compared(rows), "dpo_clean")["to_parent"]["rating_error"]["verdict"] == "worse"


def test_the_family_counts_each_test_once(found):
    # Five primary metrics, two decodings; SFT to base (which is its parent), DPO to SFT, DPO to base.
    assert found["family"] == {"method": "holm", "level": 0.05, "metrics": list(REVIEWS.primary), "tests": 30} | {
        "decodings": ["greedy", "sampled"]
    }
    assert line(found, "sft_clean")["to_base"] == line(found, "sft_clean")["to_parent"]


def test_identical_runs_show_no_difference():
    rows = study_rows(prompts=12, runs=("base_clean",))
    twins = [
        copy.deepcopy(one) | {"run": name, "id": one["id"].replace("base_clean", name)}
        for one in rows
        for name in ("sft_clean", "dpo_clean")
        if one["run"] == "base_clean"
    ]
    found = compared(rows + twins)
    for decoding in ("greedy", "sampled"):
        for metric in REVIEWS.primary:
            entry = line(found, "dpo_clean", decoding)["to_base"][metric]
            assert (entry["value"], entry["p"], entry["verdict"]) == (0.0, 1.0, "no difference shown")
            assert entry["interval"][0] <= 0 <= entry["interval"][1]
            assert entry["mde"] is None  # nothing varies: what could have been found is not known
    # Twelve equal pairs of zeros and ones do not show that shares are equal.
    assert line(found, "dpo_clean")["to_base"]["valid_format"]["interval"][1] > 0.2


def test_tables_do_not_depend_on_the_order_of_rows():
    rows = study_rows(prompts=10, samples=2, runs=("base_clean", "sft_clean"))
    shuffled = copy.deepcopy(rows)
    random.Random(1).shuffle(shuffled)
    assert canonical_json(compared(rows, RUNS[:1])) == canonical_json(compared(shuffled, RUNS[:1]))


def test_values_and_their_counts_by_hand():
    draw = np.random.default_rng(0)
    rows = [response("a", f"p{n}", 1, rating, draw) for n, rating in enumerate([6.0, 8.0, None])]
    rows.append(response("a", "p0", 2, 10.0, draw))
    found = row_values(rows, REVIEWS)
    assert found["rating"] == {**found["rating"], "n": 3, "missing": 1, "prompts": 2, "value": 8.0}
    # Human mean 6: errors 0, 2, 5 (the worst on the scale), 4.
    assert (found["rating_error"]["n"], found["rating_error"]["value"]) == (4, 2.75)
    assert (found["tokens"]["n"], found["tokens"]["missing"], found["tokens"]["value"]) == (0, 4, None)
    assert failures(rows, REVIEWS) == {"unparsed": 1, "cut_off": 0, "invalid": 1}


def test_an_unparsed_sample_lowers_accuracy():
    draw = np.random.default_rng(0)
    rows = [response("a", f"p{n}", 0, 8.0, draw) for n in range(10)]
    assert decided(rows, REVIEWS)["accuracy"]["value"] == 1.0
    rows[3] = response("a", "p3", 0, None, draw)
    found = decided(rows, REVIEWS)
    assert found["accuracy"]["value"] == row_values(rows, REVIEWS)["decision_correct"]["value"] == 0.9
    assert found["confusion"]["accept"] == {"accept": 9, "reject": 0, "unparsed": 1}
    assert found["predicted_positive_rate"]["value"] == 0.9


def test_what_is_missing_on_one_side_is_left_out_and_counted():
    draw = np.random.default_rng(0)
    ours = [response("a", f"p{n}", 0, None if n == 2 else 8.0, draw) for n in range(5)]
    theirs = [response("b", f"p{n}", 0, None if n in {2, 4} else 6.0, draw) for n in range(5)]
    entry = row_differences(ours, theirs, REVIEWS)["rating"]
    assert (entry["n"], entry["prompts"], entry["left_out"], entry["value"]) == (3, 3, 2, 2.0)
    assert entry["few_prompts"]
    nothing = row_differences(ours, theirs, REVIEWS)["tokens"]
    assert (nothing["value"], nothing["p"], nothing["test"], nothing["verdict"]) == (None, None, None, None)


def test_samples_of_a_prompt_are_averaged_before_pairing():
    ours = [row("a", "p0", s, {"rouge_l_mean": 1.0}) for s in range(9)] + [row("a", "p1", 0, {"rouge_l_mean": 0.0})]
    theirs = [row("b", f"p{n}", 0, {"rouge_l_mean": 0.0}) for n in range(2)]
    assert row_differences(ours, theirs, REVIEWS)["rouge_l_mean"]["value"] == 0.5  # over rows it would be 0.9


def test_decisions_equal_scikit_learns_with_unparsed_as_a_third_answer():
    rows = [one for one in study_rows(prompts=60) if one["run"] == "sft_clean" and one["decoding"] == "sampled"]
    truth, answers = [one["decision"] for one in rows], [one["predicted"] or "unparsed" for one in rows]
    found = decided(rows, REVIEWS)
    assert sum(count for part in found["confusion"].values() for count in part.values()) == found["n"] == len(rows)
    expected = {
        "accuracy": accuracy_score(truth, answers),
        "macro_f1": f1_score(truth, answers, labels=["accept", "reject"], average="macro"),
        "mcc": matthews_corrcoef(truth, answers),
        "f1_accept": f1_score(truth, answers, labels=["accept"], average="macro"),
        "predicted_positive_rate": answers.count("accept") / len(answers),
    }
    with pytest.warns(UserWarning, match="not in y_true"):
        expected["balanced_accuracy"] = balanced_accuracy_score(truth, answers)
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-6), name
        assert found[name]["interval"][0] < value < found[name]["interval"][1]


def test_choosing_without_reading():
    draw = np.random.default_rng(0)
    known = ["accept"] * 3 + ["reject"] * 7
    rows = [response("a", f"p{n}", 0, 8.0, draw, decision=decision) for n, decision in enumerate(known)]
    rows.append(response("a", "p99", 0, 8.0, draw, decision=None))
    found = baselines(rows, [], REVIEWS)
    p = 3 / 10
    assert found["always_positive"]["f1_accept"]["value"] == pytest.approx(2 * p / (1 + p), abs=1e-6)
    assert (found["majority"]["answer"], found["majority"]["accuracy"]["value"]) == ("reject", 0.7)
    assert found["majority"]["mcc"]["value"] == 0.0
    assert found["majority"]["balanced_accuracy"]["value"] == 0.5
    assert found["always_positive"]["n"] == 10


def test_groups_add_up_to_the_whole(found):
    by_year = found["breakdown"]["clean"]["greedy"]["year"]
    assert list(by_year) == ["2018", "2019"]
    whole = line(found, "dpo_clean")["values"]["rating_error"]
    parts = [by_year[year]["dpo_clean"]["rating_error"] for year in by_year]
    assert sum(part["n"] for part in parts) == whole["n"]
    assert sum(part["n"] * part["value"] for part in parts) / whole["n"] == pytest.approx(whole["value"], abs=1e-5)
    assert set(found["breakdown"]["clean"]["greedy"]["decision"]) == {"accept", "reject"}
    assert by_year["2018"]["human"]["rating_error"]["n"] == 60


def test_papers_without_a_decision_are_a_group_of_their_own():
    rows = study_rows(prompts=4, samples=0, runs=("base_clean", "sft_clean"))
    for one in (one for one in rows if one["prompt_id"] == "p001"):
        one["decision"] = one["values"]["decision_correct"] = None
    groups = compared(rows, RUNS[:1])["breakdown"]["clean"]["greedy"]["decision"]
    assert groups["none"]["sft_clean"]["rating_error"]["n"] == 1


def test_greedy_and_sampled_are_never_in_one_table(found):
    assert line(found, "sft_clean")["n"] == 40
    assert line(found, "sft_clean", "sampled")["n"] == 120
    assert line(found, "sft_clean")["values"]["distinct_2"]["value"] == 0.4
    assert line(found, "sft_clean", "sampled")["values"]["distinct_2"]["value"] is None


def test_people_have_their_own_column(found):
    human = found["responses"]["clean"]["greedy"]["reference"]
    assert human["rating_error"]["n"] == 120
    assert human["wasserstein_to_human"]["value"] is None
    assert set(human) == set(REVIEWS.metrics)


def test_length_control_takes_out_what_is_length_alone():
    generator = np.random.default_rng(2)
    lengths = generator.normal(0.5, 0.4, 100)
    assert length_controlled(0.3 * lengths, lengths)["value"] == 0.0
    found = length_controlled(0.3 * lengths + 0.2 + generator.normal(0, 0.01, 100), lengths)
    assert found["value"] == pytest.approx(0.2, abs=0.01)
    assert found["interval"][0] < 0.2 < found["interval"][1]
    # Always twice as long: nothing tells length from run.
    assert length_controlled(generator.normal(size=50), np.full(50, np.log(2))) is None


def test_length_control_reads_the_words_of_rows():
    pairs = [(100, 200), (100, 100), (400, 100), (50, 100), (300, 100)]
    sides = [
        [row(run, f"p{n}", 0, {"specificity": float(np.log(w[side]))}, words=w[side]) for n, w in enumerate(pairs)]
        for side, run in enumerate("ab")
    ]
    entry = row_differences(*sides, REVIEWS)["specificity"]
    assert entry["value"] != 0
    assert entry["length_controlled"]["value"] == 0.0


def test_runs_on_other_prompts_are_refused():
    rows = [one for one in study_rows(prompts=5) if (one["run"], one["prompt_id"]) != ("dpo_clean", "p001")]
    with pytest.raises(WinnowError, match="dpo_clean and base_clean: have greedy responses to different prompts: 1"):
        compared(rows)


def test_nothing_generated_compares_to_nothing(tmp_path):
    (tmp_path / "measured.jsonl").write_text("")
    said = {"task": "reviews", "classes": ["accept", "reject"], "reference": "human"}
    write_json(tmp_path / "measured.manifest.json", said)
    assert read_responses(tmp_path / "measured.jsonl", tmp_path / "measured.manifest.json").rows == []
    found = compared([])
    assert found["responses"] == found["decisions"] == found["breakdown"] == found["arms"] == {}
    assert found["family"]["tests"] == 0
    for draw, name in ((draw_differences, "a.png"), (draw_decisions, "b.png")):
        draw(found, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1_000


def test_equal_numbers_give_equal_pictures(found, tmp_path):
    greedy = {part: {"clean": {"greedy": found[part]["clean"]["greedy"]}} for part in ("responses", "decisions")}
    for draw in (draw_differences, draw_decisions):
        for name in ("a.png", "b.png"):
            draw(found | greedy, tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        assert (tmp_path / "a.png").stat().st_size > 10_000


def test_seeds_of_one_setting_become_an_arm():
    seeds = [run(f"sft_clean-seed{seed}", seed=seed) for seed in (1, 2, 3)]
    rows = study_rows(prompts=10, samples=1, runs=("base_clean", *(one.name for one in seeds)))
    found = compared(rows, seeds)
    (arm,) = found["arms"]["clean"]["greedy"]
    assert (arm["runs"], arm["seeds"]) == ([one.name for one in seeds], [1, 2, 3])
    by_seed = [line(found, one.name)["values"]["rating_error"]["value"] for one in seeds]
    entry = arm["values"]["rating_error"]
    assert entry["mean"] == pytest.approx(np.mean(by_seed), abs=1e-5)
    assert entry["sd"] == pytest.approx(np.std(by_seed, ddof=1), abs=1e-5)
    assert entry["interval"][0] < entry["mean"] < entry["interval"][1]
    to_base = [line(found, one.name)["to_base"]["rating_error"]["value"] for one in seeds]
    assert arm["to_base"]["rating_error"]["mean"] == pytest.approx(np.mean(to_base), abs=1e-5)
    assert line(found, seeds[0].name)["seeds"] == [1, 2, 3]


def test_one_number_has_a_value_and_says_nothing_of_spread():
    rows = [response("a", "p0", 0, 8.0, np.random.default_rng(0))]
    found = values(rows, [], {}, REVIEWS)
    assert (found["rating"]["value"], found["rating"]["interval"]) == (8.0, None)
    assert (found["spearman"]["value"], found["rating_sd"]["value"]) == (None, None)
    again = row_differences(rows, [one | {"run": "b"} for one in rows], REVIEWS)["rouge_l_mean"]
    assert (again["value"], again["interval"], again["mde"]) == (0.0, None, None)


def test_set_differences_are_differences_of_values(found):
    assert line(found, "dpo_clean")["to_base"]["mcc"]["value"] == pytest.approx(
        line(found, "dpo_clean")["values"]["mcc"]["value"] - line(found, "base_clean")["values"]["mcc"]["value"],
        abs=2e-6,
    )
    assert set_differences([], [], [], REVIEWS) is not None


def test_verdicts_follow_the_better_direction_of_each_metric():
    entry = {"p": 0.001, "value": 0.4, "mde": 0.1}
    rows = [
        {"run": "a", "parent": "base_clean", "to_base": {m: dict(entry) for m in REVIEWS.primary}, "to_parent": None}
    ]
    verdicts({"clean": {"greedy": {"rows": rows}}}, REVIEWS)
    assert {m: rows[0]["to_base"][m]["verdict"] for m in REVIEWS.primary} == {
        m: "better" if REVIEWS.metrics[m].better == "higher" else "worse" for m in REVIEWS.primary
    }
    assert rows[0]["to_base"]["rating_error"]["p_holm"] == 0.005
    # Of five tests the strictest asks for p <= 0.01: 2.576 + 0.842 standard errors, where one asks for 2.8.
    assert rows[0]["to_base"]["rating_error"]["mde_family"] == pytest.approx(0.1 / 2.8 * 3.4175, abs=1e-4)

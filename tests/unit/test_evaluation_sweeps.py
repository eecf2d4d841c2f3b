"""Which arm of a sweep is chosen, and by what."""

import pytest
from test_evaluation_comparison import run

from winnow.evaluation.comparison import runs_alike, swept_settings
from winnow.evaluation.sweeps import decide_sweeps


def arm(beta, seed=1):
    name = f"dpo_clean-beta{beta}" + (f"-seed{seed}" if seed > 1 else "")
    return run(name, stage="dpo", parent="sft_clean", seed=seed, recipe={"beta": beta, "lr": 1})


def logged(accuracy, kl=1.0, **more):
    numbers = {"rewards/accuracies": accuracy, "rewards/margins": 1.0, "loss": 0.6, "kl_seq": kl, "kl_tok": 0.01}
    return {"eval": numbers | {"delta_logp_chosen_per_token": -0.02, "displacement_rate": 0.4} | more}


def manifest(*alarms):
    return {"alarms": [{"name": name} for name in alarms], "counts": {"rows": {"val": 40}}}


def decide(runs, training, manifests=None):
    manifests = manifests or {one.name: manifest() for one in runs}
    return decide_sweeps(runs, runs_alike(runs), swept_settings(runs), training, manifests)


def test_the_arm_with_the_best_validation_number_is_chosen_and_its_cost_shown():
    runs = [run("sft_clean"), arm(0.05), arm(0.1), arm(0.5)]
    training = {runs[1].name: logged(0.7, 9.0), runs[2].name: logged(0.8, 4.0), runs[3].name: logged(0.6, 1.0)}
    # What held-out numbers say is not even an argument: 0.5 may be best there.
    (record,) = decide(runs, training)
    assert (record["entry"], record["keys"], record["chosen"]) == ("dpo_clean", ["beta"], "dpo_clean-beta0.1")
    assert record["by"] == {"metric": "rewards/accuracies", "best": "highest", "rows": "validation"}
    assert "highest rewards/accuracies on validation rows (0.8, 40 rows)" in record["why"]
    assert "the next, dpo_clean-beta0.05, has 0.7" in record["why"]
    chosen = next(one for one in record["candidates"] if one["run"] == record["chosen"])
    assert chosen["cost"] == {
        "kl_seq": 4.0,
        "kl_tok": 0.01,
        "delta_logp_chosen_per_token": -0.02,
        "displacement_rate": 0.4,
    }


def test_arms_that_choose_their_step_by_labels_are_compared_by_them():
    """By the numbers of the finished model; a recipe's own choice by a loss says nothing across values of beta."""
    f1 = {"metric": "macro_f1/gen", "mode": "max"}
    for keys, metric, chosen in [
        ({"select": "best", "early_stopping": f1}, "macro_f1/gen", "dpo_clean-beta0.1"),
        ({"select": "best", "best_by": f1, "early_stopping": {"metric": "loss"}}, "macro_f1/gen", "dpo_clean-beta0.1"),
        ({"select": "last", "early_stopping": f1}, "rewards/accuracies", "dpo_clean-beta0.05"),
        ({"select": "best", "best_by": {"metric": "loss"}}, "rewards/accuracies", "dpo_clean-beta0.05"),
        ({"select": "best", "best_by": None}, "rewards/accuracies", "dpo_clean-beta0.05"),
    ]:
        arms = [arm(0.05), arm(0.1)]
        runs = [one.model_copy(update={"recipe": one.recipe | keys}) for one in arms]
        training = {
            runs[0].name: logged(0.9, **{"macro_f1/gen": 0.6}),
            runs[1].name: logged(0.8, **{"macro_f1/gen": 0.7}),
        }
        counts = {"rows": {"val": 40}, "scored": {"gen": 417}}
        (record,) = decide(runs, training, {one.name: {"alarms": [], "counts": counts} for one in runs})
        assert (record["by"]["metric"], record["by"]["best"], record["chosen"]) == (metric, "highest", chosen)
        assert record["candidates"][0]["validation_rows"] == (417 if metric == "macro_f1/gen" else 40)
        assert record["candidates"][0]["validation"][metric] is not None


def test_arms_with_alarms_lose():
    runs = [arm(0.05), arm(0.1)]
    training = {runs[0].name: logged(0.9), runs[1].name: logged(0.6)}
    alarmed = {runs[0].name: manifest("displacement"), runs[1].name: manifest()}
    (record,) = decide(runs, training, alarmed)
    assert record["chosen"] == "dpo_clean-beta0.1"
    assert record["why"].startswith("of the arms without an alarm in training")
    assert record["candidates"][0]["alarms"] == ["displacement"]
    (record,) = decide(runs, training, {one.name: manifest("displacement") for one in runs})
    assert record["chosen"] == "dpo_clean-beta0.05"
    assert record["why"].startswith("every arm raised an alarm")


def test_ties_go_to_the_larger_beta():
    runs = [arm(0.05), arm(0.1)]
    (record,) = decide(runs, {one.name: logged(0.75) for one in runs})
    assert record["chosen"] == "dpo_clean-beta0.1"
    assert "like dpo_clean-beta0.05, and the larger beta" in record["why"]


def test_seeds_of_one_setting_are_averaged():
    runs = [arm(0.05), arm(0.05, 2), arm(0.1), arm(0.1, 2)]
    numbers = [0.95, 0.5, 0.75, 0.75]  # the luckiest seed is of the setting that is worse on average
    (record,) = decide(runs, {one.name: logged(value) for one, value in zip(runs, numbers, strict=True)})
    assert record["chosen"] == "dpo_clean-beta0.1"
    assert [one["validation"]["rewards/accuracies"] for one in record["candidates"]] == [0.725, 0.75]
    assert record["candidates"][0]["seeds"] == [1, 2]


def test_sft_is_chosen_by_loss_and_an_unmeasured_arm_is_not_chosen():
    runs = [run(f"sft_clean-learning_rate{rate}", recipe={"learning_rate": rate}) for rate in (1, 2, 3)]
    training = {runs[0].name: {"eval": {"loss": 2.0}}, runs[1].name: {"eval": {"loss": 1.5}}, runs[2].name: {}}
    (record,) = decide(runs, training, {})
    assert record["chosen"] == "sft_clean-learning_rate2"
    assert record["why"].endswith("1 without that number could not be chosen")
    (record,) = decide(runs, {}, {})
    assert record["chosen"] is None
    assert record["why"].startswith("no arm is chosen")


def test_runs_alone_and_seeds_alone_are_no_sweep():
    seeds = [run("sft_clean-seed1", seed=1), run("sft_clean-seed2", seed=2)]
    assert decide([*seeds, run("sft_vision")], {}, {}) == []


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_runs_does_not_matter(order):
    runs = [arm(0.05), arm(0.1), arm(0.2)][::order]
    (record,) = decide(runs, {one.name: logged(0.75) for one in runs})
    assert record["chosen"] == "dpo_clean-beta0.2"

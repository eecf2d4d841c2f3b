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
    words = "the highest rewards/accuracies on validation rows"
    assert record["by"] == {"metric": "rewards/accuracies", "best": "highest", "rows": "validation", "words": words}
    assert "highest rewards/accuracies on validation rows (0.8, 40 rows)" in record["why"]
    assert "the next, dpo_clean-beta0.05, has 0.7" in record["why"]
    chosen = next(one for one in record["candidates"] if one["run"] == record["chosen"])
    assert chosen["cost"] == {
        "kl_seq": 4.0,
        "kl_tok": 0.01,
        "delta_logp_chosen_per_token": -0.02,
        "displacement_rate": 0.4,
    }


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


def watching(beta, seed=1, **settings):
    watched = {"metric": "macro_f1/gen", "mode": "max", "patience": 2, "min_delta": 0.0, "guard": GUARD}
    recipe = {"beta": beta, "early_stopping": watched | settings, "best_by": None}
    name = f"dpo_clean-beta{beta}" + (f"-seed{seed}" if seed > 1 else "")
    return run(name, stage="dpo", parent="sft_clean", seed=seed, recipe=recipe)


GUARD = {"metric": "predicted_positive_rate/gen", "min": 0.2, "max": 0.8}


def scored(macro_f1, rate, accuracy=0.5):
    return logged(accuracy, **{"macro_f1/gen": macro_f1, "predicted_positive_rate/gen": rate})


def test_what_the_recipe_watches_decides_and_arms_outside_its_guard_lose():
    runs = [watching(0.05), watching(0.1), watching(0.2), watching(0.5)]
    # The first is best and says "Yes" to nearly all; by the accuracy of rewards the third would be chosen.
    numbers = [scored(0.9, 0.95), scored(0.7, 0.5), scored(0.6, 0.5, 0.99), logged(0.6)]
    (record,) = decide(runs, {one.name: number for one, number in zip(runs, numbers, strict=True)})
    assert record["chosen"] == "dpo_clean-beta0.1"
    assert record["by"]["words"] == (
        "the highest macro_f1/gen on validation rows, of the arms with predicted_positive_rate/gen from 0.2 to 0.8 "
        "(early_stopping of the recipe)"
    )
    assert record["why"] == (
        "it has the highest macro_f1/gen on validation rows (0.7); the next, dpo_clean-beta0.2, has 0.6; 1 without "
        "that number could not be chosen; 1 not with predicted_positive_rate/gen from 0.2 to 0.8 could not be chosen"
    )
    assert [one["guarded"] for one in record["candidates"]] == [False, True, True, False]
    assert record["candidates"][0]["validation"]["macro_f1/gen"] == 0.9


def test_best_by_goes_before_early_stopping_and_the_lowest_may_be_best():
    runs = [
        run(one.name, stage="dpo", recipe=one.recipe | {"best_by": {"metric": "margin/gen", "mode": "min"}})
        for one in (watching(0.05), watching(0.1))
    ]
    training = {runs[0].name: logged(0.5, **{"margin/gen": 0.1}), runs[1].name: logged(0.9, **{"margin/gen": 0.3})}
    (record,) = decide(runs, training)
    assert (record["chosen"], record["by"]["metric"]) == ("dpo_clean-beta0.05", "margin/gen")
    assert record["by"]["words"] == "the lowest margin/gen on validation rows (best_by of the recipe)"


def test_the_step_whose_weights_are_kept_is_what_counts():
    runs = [watching(0.05), watching(0.1)]
    training = {runs[0].name: scored(0.5, 0.5) | {"selected": scored(0.8, 0.5)["eval"]}, runs[1].name: scored(0.7, 0.5)}
    (record,) = decide(runs, training)
    assert record["chosen"] == "dpo_clean-beta0.05"


def test_a_guard_holds_for_every_seed_and_recipes_that_watch_other_things_go_by_their_stage():
    runs = [watching(0.05), watching(0.05, 2), watching(0.1), watching(0.1, 2)]
    numbers = [scored(0.9, 0.0), scored(0.9, 1.0), scored(0.4, 0.3), scored(0.4, 0.7)]
    training = {one.name: number for one, number in zip(runs, numbers, strict=True)}
    (record,) = decide(runs, training)
    assert record["chosen"] == "dpo_clean-beta0.1"
    (record,) = decide([*runs[:2], watching(0.1, metric="loss", mode="min", guard=None)], training)
    assert record["by"]["metric"] == "rewards/accuracies"
    (record,) = decide([watching(0.05), watching(0.1)], dict.fromkeys(training, scored(0.9, 0.9)))
    assert record["chosen"] is None
    assert record["why"].startswith("no arm is chosen: none is with predicted_positive_rate/gen from 0.2 to 0.8")


def test_a_loss_which_beta_changes_decides_no_sweep_and_rows_of_labels_are_counted_apart():
    runs = [watching(0.05, metric="loss", mode="min", guard=None), watching(0.1, metric="loss", mode="min", guard=None)]
    (record,) = decide(runs, {runs[0].name: logged(0.9, loss=0.7), runs[1].name: logged(0.8, loss=0.5)})
    assert (record["by"]["metric"], record["chosen"]) == ("rewards/accuracies", "dpo_clean-beta0.05")
    runs = [watching(0.05), watching(0.1)]
    counts = {"rows": {"val": 40}, "scored": {"gen": 417}}
    manifests = {one.name: {"alarms": [], "counts": counts} for one in runs}
    (record,) = decide(runs, {one.name: scored(0.5, 0.5) for one in runs}, manifests)
    assert [one["validation_rows"] for one in record["candidates"]] == [417, 417]

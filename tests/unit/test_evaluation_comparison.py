"""Differences between runs, by hand."""

import json

import pytest

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.evaluation.comparison import (
    accuracy_difference,
    compare,
    last_logged,
    loss_difference,
    read_measured,
    reward_accuracy,
    runs_alike,
    swept_settings,
)
from winnow.evaluation.metrics import heldout_metrics, preference_metrics
from winnow.evaluation.plots import draw_comparison


def heldout(*values):
    rows = {}
    for index, (nats, tokens) in enumerate(values):
        rows[f"r{index}"] = {"prompt_id": f"p{index}", "nats": nats, "tokens": tokens, "cut": False}
    return rows


def pairs(*values):
    rows = {}
    for index, (chosen, rejected) in enumerate(values):
        row = {"prompt_id": f"p{index}", "chosen_logp": chosen, "rejected_logp": rejected}
        rows[f"x{index}"] = row | {"chosen_tokens": 5, "rejected_tokens": 5}
    return rows


def run(name, **fields):
    settings = {"stage": "sft", "dataset": "sft", "modality": "clean", "model": "text", "parent": None, "seed": 1}
    settings |= {"recipe": {}, "gpu": 0, "threads": 1, "mem_mb": 1, "runtime": 1}
    return ResolvedRun(name=name, **settings | fields)


def test_loss_difference_by_hand():
    ours, theirs = heldout((10.0, 10), (10.0, 30)), heldout((20.0, 10), (20.0, 30))
    found = loss_difference(ours, theirs, "a", "b")
    assert found["value"] == -0.5  # 20/40 minus 40/40
    assert (found["n"], found["prompts"]) == (2, 2)
    # Resamples: the first prompt twice: 1 - 2; the second twice: 1/3 - 2/3; both: -1/2.
    assert found["interval"] == [-1.0, pytest.approx(-1 / 3, abs=1e-6)]


def test_accuracy_and_reward_differences_by_hand():
    ours = pairs((-10.0, -20.0), (-30.0, -20.0), (-1.0, -2.0), (-5.0, -5.0))
    theirs = pairs((-20.0, -10.0), (-40.0, -20.0), (-1.0, -3.0), (-4.0, -4.0))
    # Ours prefers pairs 0 and 2, theirs pair 2: 2/4 minus 1/4.
    assert accuracy_difference(ours, theirs, "a", "b")["value"] == 0.25
    # Gain of chosen minus gain of rejected: 0: 10+10 up; 1: 10-0 up; 2: 0-1 down; 3: -1+1 a tie, which is not up.
    assert reward_accuracy(ours, theirs, "a", "b")["value"] == 0.5


def test_other_rows_are_refused():
    with pytest.raises(WinnowError, match="a and b: were measured on different rows: 1 are in one"):
        loss_difference(heldout((1.0, 1)), heldout((1.0, 1), (2.0, 1)), "a", "b")


def test_seeds_and_sweeps_are_found():
    runs = [
        run("dpo_clean-beta0.1", stage="dpo", recipe={"beta": 0.1, "lr": 1}, seed=1),
        run("dpo_clean-beta0.1-seed2", stage="dpo", recipe={"beta": 0.1, "lr": 1}, seed=2),
        run("dpo_clean-beta0.2", stage="dpo", recipe={"beta": 0.2, "lr": 1}, seed=1),
        run("sft_clean", recipe={"lr": 3}),
    ]
    both = ["dpo_clean-beta0.1", "dpo_clean-beta0.1-seed2"]
    assert runs_alike(runs) == {
        "dpo_clean-beta0.1": both,
        "dpo_clean-beta0.1-seed2": both,
        "dpo_clean-beta0.2": ["dpo_clean-beta0.2"],
        "sft_clean": ["sft_clean"],
    }
    assert swept_settings(runs)["dpo_clean-beta0.2"] == {"beta": 0.2}
    assert swept_settings(runs)["sft_clean"] == {}


def test_last_logged_takes_the_last_of_each_kind(tmp_path):
    rows = [
        {"step": 1, "kind": "train", "loss": 3.0, "entropy": 1.0},
        {"step": 2, "kind": "eval", "loss": 2.5},
        {"step": 2, "kind": "train", "loss": 2.0},
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert last_logged(tmp_path / "m.jsonl") == {
        "eval": {"loss": 2.5, "step": 2},
        "train": {"entropy": 1.0, "loss": 2.0, "step": 2},
    }


def test_last_logged_takes_the_measurement_of_the_finished_model(tmp_path):
    rows = [{"step": step, "kind": kind, "loss": step / 10} for step in (2, 4, 6) for kind in ("train", "eval")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    logged = last_logged(tmp_path / "m.jsonl", selected=4)
    assert logged == {"eval": {"loss": 0.4, "step": 4}, "train": {"loss": 0.6, "step": 6}}


def _measured(shift):
    return {
        "heldout": heldout((10.0 - shift, 10), (20.0 - shift, 20)),
        "preferences/dpo": pairs((-10.0 + shift, -11.0), (-12.0, -11.5)),
    }


def _compared():
    measured = {name: _measured(shift) for shift, name in enumerate(["base_clean", "sft_clean", "dpo_clean"])}
    metrics = {
        name: {
            "heldout": heldout_metrics(list(rows["heldout"].values()), 0),
            "preferences": {"dpo": preference_metrics(list(rows["preferences/dpo"].values()))},
            "generations": {"n": 0},
        }
        for name, rows in measured.items()
    }
    runs = [run("sft_clean"), run("dpo_clean", stage="dpo", parent="sft_clean", recipe={"beta": 0.1})]
    return compare("demo", modalities=["clean"], runs=runs, metrics=metrics, measured=measured, training={})


def test_every_run_is_compared_with_base_and_parent():
    base, sft, dpo = _compared()["modalities"]["clean"]
    assert base["to_base"] is None
    assert base.keys() == sft.keys() == dpo.keys()
    assert (sft["to_parent"]["to"], dpo["to_parent"]["to"], dpo["to_base"]["to"]) == (
        "base_clean",
        "sft_clean",
        "base_clean",
    )
    assert sft["to_base"]["loss"]["value"] == pytest.approx(-2 / 30, abs=1e-6)
    assert dpo["to_base"]["loss"]["value"] == pytest.approx(-4 / 30, abs=1e-6)
    assert (sft["beta"], dpo["beta"]) == (None, 0.1)


def test_equal_numbers_give_equal_pictures(tmp_path):
    for name in ("a.png", "b.png"):
        draw_comparison(_compared(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 5_000


def test_rows_are_read_by_what_was_measured(tmp_path):
    rows = [
        {"kind": "heldout", "id": "r1", "nats": 1.0},
        {"kind": "preference", "dataset": "dpo", "id": "x1"},
        {"kind": "preference", "dataset": "other", "id": "x1"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {name: list(table) for name, table in read_measured(tmp_path / "rows.jsonl").items()} == {
        "heldout": ["r1"],
        "preferences/dpo": ["x1"],
        "preferences/other": ["x1"],
    }

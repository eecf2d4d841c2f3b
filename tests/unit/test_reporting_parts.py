"""The parts of a report, by tables."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_fixtures import demo_study
from winnow.core.config.runs import ResolvedRun
from winnow.reporting.checklists import is_told, read_result
from winnow.reporting.comparing import mark, scale
from winnow.reporting.figures import legend, panel_svg, ranges_svg, save_curves
from winnow.reporting.json_tables import Table, tables_of
from winnow.reporting.judging import drawings
from winnow.reporting.panels import LN2, absent, panels_of, read_series
from winnow.reporting.scores import ScoreSummary, even_bins, histogram, quantile, unit_bins
from winnow.reporting.status import checklist_status, gate_status
from winnow.reporting.trainings import changed_keys
from winnow.reporting.validation import verdict
from winnow.reporting.words import cell, clean, count, duration, hours, interval, number, points, share


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (count(12055), "12,055"),
        (count(None), "–"),
        (number(-0.5), "−0.500"),
        (number(None), "–"),
        (share(0.6666), "66.7 %"),
        (points(-0.0333), "−3.3"),
        (interval([-0.1, 0.25], 2), "[−0.10, 0.25]"),
        (interval(None), "–"),
        (hours(1234.567), "1,234.57"),
        (hours(0.001), "< 0.01"),
        (hours(0.0), "0.00"),
        (hours(None), "–"),
        (cell(True), "yes"),
        (cell(0), "0"),
        (cell(None), "–"),
        (cell([1, "a"]), "[1, a]"),
        (cell(1234567), "1,234,567"),
        (cell(2019), "2019"),
        (duration(59.94), "59.9 s"),
        (duration(61), "1 min 01 s"),
        (duration(3661), "1 h 01 min"),
        (clean("a\x00b\tc\n\u202ed\ud800"), "a\ufffdb\tc\n\ufffdd\ufffd"),
    ],
)
def test_words(found, expected):
    assert found == expected


@given(st.lists(st.integers(0, 300), min_size=1))
def test_bins_lose_nothing(values):
    counts = {value: values.count(value) for value in values}
    edges, (bars,) = unit_bins(counts)
    assert sum(bars) == len(values)
    assert len(edges) == len(bars) + 1
    for last in (1, 50, 10_000):
        edges, bars, beyond = even_bins(counts, last)
        assert sum(bars) + beyond == len(values)
        assert len(edges) == len(bars) + 1 <= 41
    edges, bars = histogram([value / 7 for value in values])
    assert sum(bars) == len(values)


@given(st.lists(st.integers(0, 9), min_size=1), st.sampled_from([0.25, 0.5, 0.99, 1.0]))
def test_quantile_is_the_smallest_value_that_reaches_its_share(values, part):
    counts = {value: values.count(value) for value in values}
    found = quantile(counts, part)
    assert sum(value <= found for value in values) >= part * len(values)
    assert sum(value < found for value in values) < part * len(values)


def test_any_json_becomes_tables():
    value = {
        "null_rate": 0.01,
        "gates": {"a": {"passed": True}},
        "items": {"i1": {"n": 4, "kappa": None, "ci": [0.1, 0.2]}, "i2": {"n": 5, "more": {"pe": 0.5}}},
        "list": [{"x": 1}, {"y": "b"}],
    }
    assert tables_of(value, "") == [
        Table("", ("key", "value"), (("null_rate", 0.01),)),
        Table("gates", ("name", "passed"), (("a", True),)),
        Table(
            "items",
            ("name", "n", "kappa", "ci", "more pe"),
            (("i1", 4, None, [0.1, 0.2], None), ("i2", 5, None, None, 0.5)),
        ),
        Table("list", ("x", "y"), ((1, None), (None, "b"))),
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"status": "pass"}, "pass"),
        ({"status": "warn"}, "warn"),
        ({"status": "fail"}, "fail"),
        ({"status": "not_applicable"}, "not applicable"),
        ({"status": "something new"}, "fail"),  # never taken for a pass
        ({}, "fail"),
    ],
)
def test_verdicts(rule, expected):
    assert verdict(rule) == expected


@pytest.mark.parametrize(
    ("gates", "level"),
    [
        (None, "bad"),
        ([], "bad"),
        ([{"passed": True}], "good"),
        ([{"passed": True}, {"passed": None, "threshold": None}], "good"),  # not gated
        ([{"passed": True}, {"passed": None, "threshold": 0.6}], "note"),  # not measured
        ([{"passed": None, "threshold": None}], "note"),  # nothing was gated at all
        ([{"passed": True}, {"passed": False}], "bad"),
        ([{"passed": True}, {"passed": None}], "bad"),  # not understood
        ([{"passed": "yes", "threshold": 0.6}], "bad"),
    ],
)
def test_gates(gates, level):
    report = None if gates is None else {"gates": [{"name": "x", **gate} for gate in gates]}
    assert gate_status(report, "file").level == level


@pytest.mark.parametrize(
    ("content", "level", "text"),
    [
        ({"status": "validated"}, "good", "validated"),
        ({"status": "not_better_than_chance"}, "bad", "not better than chance"),
        ({"status": "validated", "permutation": {"p": 0.005, "B": 199}}, "good", "validated (p = 0.005, 199"),
        ({"questions": []}, "bad", "unknown"),
        (None, "bad", "its file is not there"),
    ],
)
def test_the_status_of_an_optimised_checklist(tmp_path, content, level, text):
    file = tmp_path / "optimal_checklist.json"
    if content is not None:
        file.write_text(json.dumps(content))
    study = demo_study()
    signal = study.signal.model_copy(update={"checklist": str(file)})
    study = study.model_copy(update={"signal": signal})
    result = read_result(study, None)
    found = checklist_status(study, result)
    assert found.level == level
    assert found.text.startswith(text)
    assert not is_told(result)


def test_lengths_are_put_in_classes_and_few_are_not_drawn():
    summary = ScoreSummary()
    for marks in range(20):
        row = {"response_id": "r", "n_tokens": 100 + marks % 5, "checkmark_count": marks, "answers": {}}
        summary.add(row, {}, [])
    for tokens, marks in [(1000, 3)] * 9 + [(None, 3)] * 20 + [(100, None)] * 20 + [(0, 1)] * 20:
        summary.add({"response_id": "r", "n_tokens": tokens, "checkmark_count": marks}, {}, [])
    (band,) = summary.counts_by_length()
    assert (band.n, band.low, band.median, band.high) == (20, 4, 9, 14)
    assert band.centre == pytest.approx(2 ** (20 / 3))


def test_a_kappa_that_is_missing_is_not_drawn():
    rows = [("a", 0.5, [0.2, 0.8]), ("b", None, None), ("c", -0.3, None)]
    svg = ranges_svg("kappa", "kappa", rows, (-0.3, 1.0))
    assert all(f">{name}</text>" in svg for name in "abc")
    assert svg == ranges_svg("kappa", "kappa", rows, (-0.3, 1.0))
    assert svg.count("<use ") - ranges_svg("kappa", "kappa", [("b", None, None)] * 3, (-0.3, 1.0)).count("<use ") == 2


def test_changed_keys_names_what_differs():
    planned = {"recipe": {"beta": 0.1, "lr": 1}, "seed": 1}
    assert changed_keys(planned, planned) == []
    assert changed_keys(planned, {"recipe": {"beta": 0.2, "lr": 1, "new": 3}, "seed": 1}) == [
        "recipe.beta: planned 0.1, trained with 0.2",
        "recipe.new: planned None, trained with 3",
    ]


def test_marks_are_inside_the_scale():
    limits = scale([(1.0, [0.5, 1.5]), (2.0, None), (None, None)])
    low, high = mark(1.0, [0.5, 1.5], limits), mark(2.0, None, limits)
    assert 0 < low["low"] < low["at"] < low["high"] < high["at"] < 100
    assert mark(None, None, limits) is None
    assert scale([(None, None)]) is None


def dpo_run(**recipe) -> ResolvedRun:
    return demo_study().runs["dpo_clean-beta0.1"].model_copy(update={"recipe": recipe})


def test_ln_2_is_drawn_for_the_sigmoid_loss_alone():
    assert panels_of(dpo_run(loss_type=["sigmoid"]))[0].guide[0] == pytest.approx(LN2) == math.log(2)
    assert panels_of(dpo_run(loss_type=["ipo"]))[0].guide is None


def test_curves_are_read_by_kind_the_later_line_wins_and_what_is_missing_is_named(tmp_path):
    rows = [
        {"step": 1, "kind": "train", "loss": 0.7},
        {"step": 2, "kind": "train", "loss": 0.6},
        {"step": 2, "kind": "train", "loss": 0.5},  # logged again after a restart
        {"step": 2, "kind": "eval", "loss": 0.65, "kl_tok": None},
        {"step": 3, "kind": "train", "loss": float("nan")},
    ]
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    panels = panels_of(dpo_run())
    logged = read_series(file, panels)
    assert {series.kind: points for series, points in logged.items()} == {
        "train": [(1, 0.7), (2, 0.5)],
        "eval": [(2, 0.65)],
    }
    assert "KL to the reference per token (nats)" in absent(panels, logged)
    assert panels[0].title not in absent(panels, logged)
    for name in ("a.png", "b.png"):
        save_curves(tmp_path / name, "run", panels, logged)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    # A line keeps its colour where its neighbour was not logged.
    only_eval = {series: points for series, points in logged.items() if series.kind == "eval"}
    assert legend(panels[0], only_eval)[0] == ("validation", "second")
    assert "var(--first)" not in panel_svg(panels[0], only_eval, "salt")
    svg = panel_svg(panels[0], logged, "salt")
    assert svg == panel_svg(panels[0], logged, "salt")
    assert "var(--first)" in svg
    assert "#1f2733" not in svg


def test_kappas_without_intervals_are_drawn():
    """Items on which nothing ever flips have a kappa of 1 and no interval."""
    row = {"item": "a", "kappa": 1.0, "kappa_interval": None, "again_yes": 0.5}
    (drawn,) = drawings({"retest": {"items": [row]}}, ScoreSummary(), "judge_report.json")
    assert "<svg" in drawn.svg
    assert drawn.note.startswith("1 of 1 items")

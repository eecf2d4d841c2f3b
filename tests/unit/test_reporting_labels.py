"""The report of a labelled study: in its own words, with its baselines, and without what makes no sense for labels."""

import json
import math
import random
import re
from collections import Counter

import pytest
from test_reporting_page import Page, build, words

from report_fixtures import demo_study
from report_labels import (
    AGAINST,
    HOSTILE,
    LABELS,
    POSTS,
    WORDS,
    comparison,
    difference,
    label_study,
    make_label_results,
    metrics_rows,
    said,
)
from winnow.core.config.datasets import Mined
from winnow.core.errors import WinnowError
from winnow.reporting.baseline import sentence
from winnow.reporting.figures import legend, panel_svg, save_curves
from winnow.reporting.labels import agreement
from winnow.reporting.page import environment
from winnow.reporting.panels import panels_of, read_series
from winnow.reporting.sources import Results
from winnow.reporting.status import baseline_status
from winnow.reporting.task import NO_TASK, inside, task_of

SHOWN = 60


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "labels"
    make_label_results(folder)
    return folder


@pytest.fixture(scope="module")
def html(root, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return build(patch, root, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


@pytest.fixture(scope="module")
def text(page):
    return words(page)


def test_sections_of_reviews_and_judges_are_absent_and_none_is_empty(html, page, text):
    sections = [
        "data",
        "scores",
        "distributions",
        "validation",
        "training",
        "comparison",
        "samples",
        "cost",
        "provenance",
    ]
    assert [value for _, value in page.hrefs if value.startswith("#")][1:10] == [f"#{name}" for name in sections]
    assert not {"checklist", "judge"} & set(page.ids)
    assert not re.search(r"\b(papers?|reviews?|checkmarks?|accepted|rejected papers|By year)\b", text)
    assert "No samples were found" not in text
    assert "Missing attention" not in text
    assert len(page.ids) == len(set(page.ids))
    assert not page.open, "every tag is closed"
    # Pairs of a right and a wrong answer differ by one mark each: only their lengths are drawn.
    drawn = html[html.index('<section id="distributions">') : html.index('<section id="validation">')]
    assert re.findall(r"<h4>(.*?)</h4>", drawn) == ["dpo: length, chosen over rejected"]


def test_the_head_says_which_runs_beat_the_baseline(text):
    head = text[: text.index("From raw records")]
    assert "Scores in order 1 of 1 gates passed" in head
    assert (
        "Baseline attention clean, by probability: sft_clean is 3.1 points of accuracy below TF-IDF and logistic"
        " regression, 95 % interval [−5.1, −1.1], McNemar p 0.012: it does not beat it." in head
    )
    assert "dpo_clean is 0.4 points of accuracy above TF-IDF and logistic regression" in head
    assert "base_clean is 21.2" not in head, "nobody asks that of an untrained model"
    assert (
        "Verdict in order clean, by probability, of 1 primary metric: sft_clean, dpo_clean against base_clean 1 better"
        in head
    )
    # What is answered by probability is never unread: of 140 that were written, not of 210.
    assert "Unparsed keep in mind counted as wrong: base_clean 100 % of 140" in head


def test_of_a_sweep_the_head_tells_of_the_chosen_arm_alone(tmp_path):
    """Fifteen sentences of a sweep would hide the others; they stand in Comparison."""
    found = comparison(label_study(tmp_path), random.Random(0))
    arms = [{"run": name, "runs": [name]} for name in ("dpo_clean", "sft_clean")]
    (told,) = baseline_status(found | {"sweeps": [{"candidates": arms, "chosen": "dpo_clean"}]}, "comparison.json")
    assert "dpo_clean is" in told.text
    assert "sft_clean is" not in told.text
    assert told.text.endswith("Of 1 more arms of sweeps see Comparison.")
    (whole,) = baseline_status(found | {"sweeps": []}, "comparison.json")
    assert "sft_clean is" in whole.text


def test_every_run_has_its_sentence_beside_the_decisions(html, text):
    for decoding in ("logprob", "greedy", "sampled"):
        found = re.findall(rf'<li data-of="(\w+)" data-against="tfidf_logistic" data-in="clean {decoding}">', html)
        assert found == list(AGAINST)
    assert "base_clean is 21.2 points of accuracy below TF-IDF and logistic regression" in text
    assert "no difference is shown (one of 3.0 points would be, four times out of five)." in text
    assert "these p stand uncorrected" in text


def test_baselines_stand_beside_the_runs_with_confusion_and_each_label(text):
    for who in ("always sarcastic", "always not sarcastic, the commoner label", "TF-IDF and logistic regression"):
        assert f"{who} 70 20 14 1 8 27 0 " in text
        assert f"{who} 71.4 % [66.4, 76.4] 57.1 % [52.1, 62.1] 0.635 [0.585, 0.685] 65.9 %" in text
    assert "TF-IDF and logistic regression 70 71.2 % [66.2, 76.2] 0.712 [0.662, 0.762] 0.300" in text
    assert "Sarcastic: not sarcastic Sarcastic: unread Not sarcastic: sarcastic" in text
    assert "By label Metric Model not sarcastic sarcastic Right base_clean 62.5 %" in text
    assert "How TF-IDF and logistic regression was made" in text
    assert "12,345" in text


def test_scores_say_how_many_responses_agree(text):
    assert "does the first word say what the label of its post says? 4,400 of 4,800 do (91.7 %), 388 say" in text
    assert "posts not sarcastic 1,200 1,100 91.7 % 97 3" in text
    assert "posts sarcastic: Yes, not sarcastic: No" in text


def test_what_was_mined_from_a_run_is_counted_apart(tmp_path):
    """Its wrong answers are what it is for."""
    mined = Mined(stage="dpo", policy="mined", corpus="posts", prompts="sft", run="sft_clean", samples=2)
    study = label_study(tmp_path)
    study = study.model_copy(update={"datasets": study.datasets | {"mistakes": mined}})
    file = tmp_path / "datasets/mistakes/scores/judge_report.json"
    file.parent.mkdir(parents=True)
    line = {"corpus": "posts", "label": "sarcastic", "n": 40, "yes": 31, "no": 7, "null": 2}
    file.write_text(json.dumps({"labels": [line]}))
    results = Results(tmp_path)
    found = agreement(results, study, {"labels": [line | {"yes": 40, "no": 0, "null": 0}]})
    assert found["total"] == {"n": 40, "yes": 40, "no": 0, "null": 0}
    assert found["mined"] == [
        {"dataset": "mistakes", "source": "datasets/mistakes/scores/judge_report.json", "lines": [line]}
    ]
    part = environment().from_string("""{% import "macros.html.j2" as show %}{% include "sections/scores.html.j2" %}""")
    shown = part.render(agreement=found, gates=[], judge_source="", label_words=[], task=NO_TASK)
    assert "mistakes: answers mined from a run Corpus Label" in words(Page(shown))
    assert "posts sarcastic 40 31 77.5 % 7 2" in words(Page(shown))


def test_samples_show_posts_labels_and_what_every_run_said(html, text):
    assert f"{SHOWN} of {POSTS} posts that were answered are shown." in text
    shown = HOSTILE.replace("\u202e", "\ufffd").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;")
    assert shown in html
    assert "<b>bold" not in html
    assert "Post posts-01 , GEN, label: not sarcastic" in text
    assert "base_clean tie No −1.25, Yes −1.25 unparsed “It depends on post 1.”" in text
    assert "base_clean right sarcastic Yes −0.50, No −0.75 unparsed [nothing but white space]" in text
    long = said("sft_clean", 2, 1)
    shown = " ".join(long[:300].split())
    assert f"right “{shown} …” and {len(long) - 300} more characters" in text
    assert "wrong “No, for post 0 reads so (0).”" in text


def test_filters_lead_to_the_mistakes(html):
    """Every line has what it is filtered by; counted again from what the models wrote."""
    lines = re.findall(
        r'<tr data-run="(\w+)" data-label="([\w ]+)" data-probability="(\w+)" data-greedy="(\w+)">', html
    )
    assert len(lines) == 3 * SHOWN
    expected = Counter()
    for run in AGAINST:
        for number in range(SHOWN):
            right = said(run, number, 0).startswith(WORDS[LABELS[number % 2]])
            read = said(run, number, 0).startswith(tuple(WORDS.values()))
            expected[run, "right" if right else "wrong" if read else "unparsed"] += 1
    assert Counter((run, greedy) for run, _, _, greedy in lines) == expected
    assert expected["sft_clean", "wrong"] > 0
    form = html[html.index('<form id="filters"') : html.index("</form>")]
    for name, values in (("greedy", {"right", "wrong", "unparsed"}), ("probability", {"right", "wrong", "tie"})):
        options = re.search(rf'<select name="{name}">(.*?)</select>', form)[1]
        assert set(re.findall(r"<option>(.*?)</option>", options)) == values


def test_an_alarm_and_the_drift_from_the_reference_show(html, text):
    assert "Alarms attention 1: dpo_clean: the chosen responses become less likely than under the reference" in text
    assert "Alarm at step 40: the chosen responses become less likely" in text
    training = html[html.index('<section id="training">') : html.index('<section id="comparison">')]
    dpo = training[training.index("<h3>dpo_clean") :]
    titles = re.findall(r"<figure><h4>(.*?)</h4>", dpo)
    assert titles[:3] == [
        "Loss (nats per pair)",
        "Macro-F1 (validation)",
        "Answers with the positive label (share, validation)",
    ]
    for title in ("Gain over the reference", "KL to the reference per token", "Reward margin", "Preference odds"):
        assert any(title in one for one in titles), title
    assert dpo.count("guard of sft: at least 0.2, at most 0.8") == 1
    assert "always positive" in dpo


def test_sources_are_there_and_equal_results_give_equal_bytes(monkeypatch, root, html, tmp_path):
    named = set(re.findall(r"<code>((?:corpus|scores|datasets|runs|comparison|evaluation)/[^<*]*)</code>", html))
    assert len(named) > 20
    assert [name for name in named if not (root / name).is_file()] == []
    assert build(monkeypatch, root, tmp_path / "report.html") == html


def test_without_a_comparison_answers_are_shown_all_the_same(monkeypatch, tmp_path):
    root = tmp_path / "labels"
    make_label_results(root)
    (root / "comparison/comparison.json").unlink()
    text = words(Page(build(monkeypatch, root, tmp_path / "report.html")))
    assert "No comparison was found." in text
    assert f"{SHOWN} of {POSTS} prompts that were answered are shown." in text
    assert "1 files are not there: comparison/comparison.json" in text


def test_a_comparison_that_does_not_say_its_task_is_refused():
    with pytest.raises(WinnowError, match="does not say what its task is") as refused:
        task_of({"responses": {}})
    assert "--forcerun compare_runs" in str(refused.value)
    assert (inside("People"), inside("TF-IDF"), inside("")) == ("people", "TF-IDF", "")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            difference(0.05, 0.0001, "better"),
            "x is 5.0 points of accuracy above people, 95 % interval [3.0, 7.0], McNemar p < 0.001: it beats it.",
        ),
        (
            difference(-0.05, 0.2, "no difference shown") | {"mde": None, "test": "sign_flip"},
            "x is 5.0 points of accuracy below people, 95 % interval [−7.0, −3.0], p 0.200: no difference is shown.",
        ),
        (
            difference(0.0, 1.0, "no difference shown") | {"interval": None, "p": None},
            "x is right as often as people: no difference is shown (one of 3.0 points would be, four times out of"
            " five).",
        ),
        (difference(0.0, 1.0, None) | {"value": None}, "x could not be compared with people."),
    ],
)
def test_sentences(entry, expected):
    assert sentence("x", entry, "people").replace("\u00a0", " ") == expected


def metrics_file(folder, rows):
    file = folder / "metrics.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def guarded(**recipe):
    return demo_study().runs["sft_clean"].model_copy(update={"recipe": recipe})


def test_labelled_rows_are_drawn_by_metric_with_a_line_for_each_dataset(tmp_path):
    guard = {"metric": "predicted_positive_rate/sft", "min": 0.2, "max": 0.8}
    watched = {"metric": "macro_f1/sft", "guard": guard}
    run = guarded(early_stopping=watched, best_by=watched)
    file = metrics_file(tmp_path, metrics_rows("sft"))
    panels = {panel.title: panel for panel in panels_of(run, file)}
    rate = panels["Answers with the positive label (share, validation)"]
    logged = read_series(file, list(panels.values()))
    assert legend(rate, logged) == [
        ("other", "first"),
        ("sft", "second"),
        ("guard of sft: at least 0.2, at most 0.8", "guard"),
        ("always positive", "guide"),
    ]
    assert [panel.title for panel in panels.values() if panel.guards] == [rate.title], "one guard, named twice"
    macro = panels["Macro-F1 (validation)"]
    assert [series.name for series in macro.series] == ["macro_f1/other", "macro_f1/sft"]
    assert logged[macro.series[1]][-1] == (40, pytest.approx(0.35 + 0.32))
    # The always-positive line lies above the guard and stays in the picture: 1.0 is a mark of its scale.
    assert re.search(r">1\.0</text>", panel_svg(rate, logged, "salt"))
    for name in ("a.png", "b.png"):
        save_curves(tmp_path / name, "run", list(panels.values()), logged)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_no_dataset_is_left_out_of_a_picture_and_a_guard_may_have_one_bound(tmp_path):
    names = [f"macro_f1/d{number}" for number in range(9)]
    rows = [{"step": 0, "kind": "eval", "rewards/margins": 1.0} | {name: 0.1 * at for at, name in enumerate(names)}]
    run = guarded(best_by={"metric": "loss", "guard": {"metric": "macro_f1/d8", "min": 0.5}})
    file = metrics_file(tmp_path, rows)
    panels = [panel for panel in panels_of(run, file) if panel.title.startswith("Macro-F1")]
    assert [series.name for panel in panels for series in panel.series] == names
    assert [len(panel.series) for panel in panels] == [4, 4, 1]
    assert panels[-1].title == "Macro-F1 (validation), 3"
    logged = read_series(file, panels)
    colours = [kind for panel in panels for _, kind in legend(panel, logged)]
    assert colours == ["first", "second", "third", "fourth"] * 2 + ["first", "guard"]
    assert legend(panels[-1], logged)[-1] == ("guard of d8: at least 0.5", "guard")
    assert "<svg" in panel_svg(panels[-1], logged, "salt")
    assert math.isclose(logged[panels[-1].series[0]][0][1], 0.8)


def test_curves_of_a_study_without_labels_are_what_they_were(tmp_path):
    run = demo_study().runs["dpo_clean-beta0.1"]
    file = metrics_file(tmp_path, [{"step": 1, "kind": "eval", "loss": 0.5, "rewards/margins": 0.1}])
    assert panels_of(run, file) == panels_of(run)

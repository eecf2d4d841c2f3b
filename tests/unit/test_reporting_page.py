"""The report: self-contained, safe, complete, and equal for equal results."""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import build_report
from report_fixtures import DROPPED, HOSTILE, collect_usage, demo_study, judge_report, make_results, optimal_checklist
from winnow.core.errors import WinnowError
from winnow.reporting.accounting import Accounting, parse
from winnow.reporting.cost import USAGE, summary
from winnow.reporting.page import TEMPLATES, environment

VOID = {"meta", "link", "img", "br", "hr", "input", "path", "use", "line", "rect"}


class Page(HTMLParser):
    """Collects tags, ids, links and text, and checks that tags are closed in order."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.hrefs, self.sources, self.text, self.open = [], [], [], [], [], []
        self.attributes = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value))
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "xlink:href"):
                self.hrefs.append((tag, value))
            elif name in ("src", "srcset", "data", "poster", "action"):
                self.sources.append((tag, value))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def build(monkeypatch, root, out, study=None, *more):
    spec = json.loads((root / "study.json").read_text()) if study is None else study
    arguments = ["--spec", json.dumps(spec), "--results", str(root)]
    monkeypatch.setattr(sys, "argv", ["build_report.py", *arguments, "--out", str(out), *more])
    build_report.main()
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "demo"
    make_results(folder)
    return folder


@pytest.fixture(scope="module")
def html(root, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return build(patch, root, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def words(page):
    return re.sub(r"\s+", " ", " ".join(page.text))


def test_nothing_is_fetched(html, page):
    assert all(value.startswith("data:") for tag, value in page.sources)
    assert all(value.startswith(("#", "data:")) for tag, value in page.hrefs)
    assert page.tags.count("script") == 1
    assert html.count("<script>" + (TEMPLATES / "script.js").read_text() + "</script>") == 1
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    # In SVG, styles may point to other parts of the page only.
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_every_anchor_resolves_and_no_id_occurs_twice(html, page):
    targets = {value.removeprefix("#") for _, value in page.hrefs if value.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", html))
    assert targets <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not page.open, "every tag is closed"


def test_hostile_text_is_shown_not_obeyed(page):
    shown = HOSTILE.replace("\x07", "\ufffd").replace("\u202e", "\ufffd")
    assert shown in "".join(page.text)
    assert "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "chosen fell <i>far</i>" in words(page)


def test_every_reason_of_every_drop_is_on_the_page(page):
    text = words(page)
    for reasons in DROPPED.values():
        for reason, count in reasons.items():
            assert re.search(rf"{re.escape(reason.replace('_', ' '))} *{count:,}\b", text), reason


def test_the_head_says_what_must_be_known(page):
    text = words(page)
    assert "synthetic (papers)" in text
    assert "random tiny model" in text
    assert "given, not tested" in text  # validation rule C12
    assert "1 of 2 gates passed, 1 not measured, 1 not gated" in text
    assert "6 rules checked in 2 tables, none failed, 2 with a warning" in text
    assert "Alarms attention 1: dpo_clean-beta0.05" in text
    assert "Missing" not in text


def test_every_number_of_the_comparison_is_on_the_page(root, page):
    text = words(page)
    comparison = json.loads((root / "comparison" / "comparison.json").read_text())
    for row in comparison["modalities"]["clean"]:
        low, high = row["heldout"]["loss_interval"]
        assert f"{row['heldout']['loss']:.3f} [{low:.3f}, {high:.3f}]" in text
        pairs = row["preferences"]["dpo"]
        assert f"{100 * pairs['accuracy']:.1f} %" in text
        if row["to_parent"]:
            assert f"{row['to_parent']['loss']['value']:+.3f}".replace("-", "−") in text
    assert "With 15 prompts the intervals from resampling are too narrow" in text
    assert "30 responses" in text
    assert "24 pairs" in text


def test_the_judge_is_shown_against_people_and_gates(page):
    text = words(page)
    assert "agreement with people is poor" in text
    assert "item_01 clarity 40 0.42 [−0.10, 0.30] 50.0 % 20.0 % 60.0 % 50.0 % 0.20 –" in text
    assert "item_02 clarity 40 – 50.0 %" in text
    assert "null rate unanswered items 0.01 at most 0.02 passed" in text
    assert re.search(r"retest kappa .* – at least 0.6 not measured not measured: <i>left out</i>", text)
    assert re.search(r"people kappa .* 0.273 – not gated", text)
    assert "0.3142" in text


def test_the_judge_is_shown_against_itself_and_another_judge(page):
    text = words(page)
    differ = "Answers that differ: 2.09 % [1.88, 2.30] of 3,920 that were answered both times."
    assert f"judged by stub <b>1</b>. {differ} Mean kappa: 0.27 over 2 of 3 items." in text
    assert "Unanswered: 40 and 44 of 4,000." in text
    assert "in german 9 2.55 % [2.30, 2.81] 100 of 3,920 4.75 %" in text
    assert "0.26 % [0.23, 0.29] 5 of 1,920" in text
    assert "sheet.csv has 100 responses, 61 of them with answers: 1,200 answers, 800 cells left empty." in text
    assert "Judged twice alike" in text
    assert "Against a second judge" in text
    assert "Questions in another order" not in text
    assert "31,415" in text
    for title in ("Kappa by item: judged twice alike", "Checkmarks by length"):
        assert title in text


def test_a_judge_with_failed_gates_and_without_tests(monkeypatch, root, tmp_path):
    copy = tmp_path / "demo"
    make_results(copy)
    alone = dict.fromkeys(("retest", "second", "injected", "human_sheet", "human_agreement"))
    (copy / "scores" / "judge_report.json").write_text(json.dumps(judge_report(**alone)))
    text = words(Page(build(monkeypatch, copy, tmp_path / "report.html")))
    assert "compared with neither itself nor another judge nor people" in text
    assert "Instructions planted" not in text


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        ({}, "attention not better than chance (p = 0.125, 199 permutations)"),
        (
            {"status": "validated", "permutation": {"p": 0.005, "B": 199, "null95": 0.53}},
            "in order validated (p = 0.005",
        ),
    ],
)
def test_the_checklist_and_its_status(monkeypatch, root, tmp_path, changes, head):
    file = tmp_path / "checklist" / "optimal_checklist.json"
    file.parent.mkdir()
    file.write_text(json.dumps(optimal_checklist(**changes)))
    study = json.loads((root / "study.json").read_text())
    study["signal"]["optimize"] = {}
    html = build(monkeypatch, root, tmp_path / "report.html", study, "--checklist-result", str(file))
    page = Page(html)
    text = words(page)
    assert f"Checklist {head}" in text[: text.index("From raw records")]
    assert "8 items were chosen for the target alignment on 1,234 responses to 321 prompts" in text
    assert "random items, as many 0.531 0.004" in text
    assert "length alone 0.543 –" in text
    assert "item_17 prevalence 0.97 is above 0.95, <s>too much</s>" in text
    assert "1 item_00 Does it <u>say</u> 0? 50.0 % 0.550 – 0.30 −0.10 0.40 83 %" in text
    # The levels are lettered from the highest; with the curve they are in the picture and in words.
    assert "a: logistic regression, L1 0.583" in text
    assert "K = 8" in text
    assert str(tmp_path) not in html
    assert len(page.ids) == len(set(page.ids))
    if not changes:
        assert build(monkeypatch, root, tmp_path / "again.html", study, "--checklist-result", str(file)) == html


def test_a_checklist_that_should_have_been_chosen_is_missed(monkeypatch, root, tmp_path):
    study = json.loads((root / "study.json").read_text())
    study["signal"]["optimize"] = {}
    text = words(Page(build(monkeypatch, root, tmp_path / "report.html", study)))
    assert "1 files are not there: checklist/manifest.json" in text
    assert "Checklist attention its file is not there, so its status is unknown" in text
    assert "is not there." in text


def test_rules_show_what_was_measured_and_examples(page):
    text = words(page)
    assert "C9 what else the choice favours warn 40 0 length auc 0.68 x1 is <u>long</u>" in text
    assert "C6 images not applicable 0 0 no images" in text


def test_samples_stand_beside_the_human_reviews(html, page):
    text = words(page)
    assert text.count("The paper studies selection of reviews by checkmarks.") == 2 * 12
    assert "12 of 14 prompts that were answered are shown." in text
    assert "[2,300 more characters are in the source]" in text
    assert "Human 1 rating 6, would accept: right · 1 of 2 checkmarks response h0" in text
    assert "base_clean no rating: decision wrong · 1 of 2 checkmarks 96 tokens, ended by stop, entropy 3.21" in text
    assert "no review heading, rating absent" in text
    assert "sft_clean sample 1 rating 8, would reject: wrong" in text
    question = "Does the review say in its own words what the paper proposes or shows?"
    assert f"summarizes_paper {question} yes yes yes" in text
    assert "left_<b>open</b> – – –" in text
    assert "Ended by all stop length" in text
    assert html.count('data-run="sft_clean"') == 2 * 12


def test_generated_reviews_are_compared_in_words(page):
    text = words(page)
    head = text[: text.index("From raw records")]
    said = (
        "sft_clean, sft_lora_clean against base_clean 1 better, 1 worse; "
        "dpo_clean-beta0.1, dpo_clean-beta0.05 against base_clean 1 better, 0 worse; "
        "dpo_clean-beta0.1, dpo_clean-beta0.05 against sft_clean 1 better, 0 worse"
    )
    assert f"Verdict attention clean, of 2 primary metrics: {said}" in head
    assert "Unparsed attention counted as wrong: sft_clean 14 % of 28 comparison" in head
    assert "Unparsed keep in mind counted as wrong: base_clean 100 % of 28" in head
    assert "Valid format higher is better base_clean n 14, 14 prompts 0.0 % [−5.0, 5.0]" in text
    assert "+10.0 pp [0.0, 20.0] better p < 0.001 is the base model" in text
    assert "no difference shown p 1.000 shown from ±0.25" in text
    assert "people n 14, 14 prompts 1.50 [1.45, 1.55]" in text
    assert "+0.75 • [0.65, 0.85] at equal length +0.25 [−0.50, 1.00] p 0.400" in text
    assert "only it 5, only base 2" in text
    assert "Rating not read" in text
    assert "base_clean 14 14 14 100.0 % 7 50.0 % 14 100.0 %" in text
    assert "always accept 14 3 4 1 2 4 0 55.0 % [50.0, 60.0] –" in text
    assert "Rating error base_clean 1.50 [1.45, 1.55] n 14 1.50 [1.45, 1.55] n 14 Rating error sft_clean" in text
    assert "By year Metric Model 2018 2019 Valid format base_clean – –" in text
    assert "Rating error 1.25 [1.00, 1.50] 0.12 +1.25 [1.00, 1.50] 0.12 14" in text
    assert "Rating error <i>rating_error</i>" in text or "Rating error primary <i>rating_error</i>" in text
    assert (
        "14 papers with a decision. A response accepts from a rating of 5.25 on the scale from 1 to 10, which" in text
    )
    assert "on 18 validation papers (balanced accuracy 88.9 %)" in text
    assert "Sweep dpo_clean: dpo_clean-beta0.1 is chosen" in text
    assert "it has the <b>lowest</b> loss" in text
    # No number, no metric: the spread of ratings that nobody could read.
    assert text.count("Spread of ratings") == 1


def test_a_comparison_without_generated_reviews(monkeypatch, root, tmp_path):
    study = make_results(tmp_path / "demo").model_dump(mode="json")
    file = tmp_path / "demo/comparison/comparison.json"
    kept = {"study", "bootstrap", "modalities", "task"}
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key in kept}))
    for generated in (tmp_path / "demo/evaluation/heldout").glob("*/generations.jsonl"):
        generated.write_text("")
    text = words(Page(build(monkeypatch, tmp_path / "demo", tmp_path / "report.html", study)))
    assert "held-out loss" in text
    assert "No samples were found." in text
    assert "primary metrics" not in text


def test_cost_without_accounting(page):
    """The benchmarks' last attempts: what they do not know, failures and waits among it, is a dash."""
    text = words(page)
    row = "train_dpo 1 – – 0.00 2.06 – 1 h 01 min 512 50 % of 1,025 50 %"
    assert row in text
    assert "Total 3 – – 0.00 2.10 – 1 h 02 min max 1 h 01 min 512 50 %" in text
    assert "Nothing from SLURM's accounting: there is no sacct on this machine." in text
    assert "Steps without a line here: align_modalities, export_dataset, gather_scores" in text


def test_cost_with_accounting(root):
    """Lines of a real cluster; that the numbers are theirs is tested beside `collect`."""
    text = (Path(__file__).parent / "sacct_22_05.txt").read_text()
    told = Accounting("sacct", answered=True, attempts=parse(text, Path("/home/ada/winnow")))
    usage = collect_usage(demo_study(), root, told)
    part = environment().get_template("sections/cost.html.j2")
    shown = words(Page(part.render(cost=summary(usage), cost_source=USAGE, uncounted=[])))
    assert "train_sft 1 3 2 FAILED 1 TIMEOUT 1 0.06 0.04 failed 0.12 1.0 s max 3.0 s 1 min 51 s max 1 min 17 s" in shown
    assert "From SLURM's accounting (sacct): 6 of 7 jobs, all attempts." in shown
    assert "From Snakemake's benchmarks: 1 of 7 jobs" in shown
    assert "7 attempts of SLURM jobs sent from this folder name no rule" in shown


def test_sources_are_named_and_are_there(root, html):
    named = set(re.findall(r"<code>((?:corpus|scores|datasets|runs|comparison|evaluation)/[^<*]*)</code>", html))
    assert len(named) > 20
    assert [name for name in named if not (root / name).is_file()] == []


def test_equal_results_give_equal_bytes(monkeypatch, root, html, tmp_path):
    assert build(monkeypatch, root, tmp_path / "report.html") == html
    assert str(root.parent) not in html


def test_no_clock_time_or_machine_path(html):
    assert "/tmp/" not in html
    assert not re.search(r"\b20[2-9]\d-\d\d-\d\dT", html)


def test_a_run_with_other_settings_and_a_failed_gate_are_said(monkeypatch, tmp_path):
    root = tmp_path / "demo"
    study = json.loads(json.dumps(make_results(root).model_dump(mode="json")))
    study["runs"]["dpo_clean-beta0.1"]["recipe"]["beta"] = 0.3
    study["runs"]["sft_clean"]["threads"] = 7  # changes no result
    (root / "scores" / "judge_report.json").write_text(json.dumps(judge_report(null_rate=0.5)))
    validation = {"rules": [{"id": "C2", "name": "one split", "status": "fail", "checked": 9, "failures": 1}]}
    (root / "datasets/dpo/clean/validation.json").write_text(json.dumps(validation))
    (root / "datasets/sft/clean/validation.json").unlink()
    text = words(Page(build(monkeypatch, root, tmp_path / "report.html", study)))
    assert "recipe.beta: planned 0.3, trained with 0.1" in text
    assert "trained with settings that the study no longer has: dpo_clean-beta0.1" in text
    assert "gates failed: null_rate" in text
    assert "failed: dpo/clean: C2; no report: sft/clean" in text
    assert "1 files are not there: datasets/sft/clean/validation.json" in text


def test_an_empty_folder_gives_a_page_that_says_so(monkeypatch, root, tmp_path):
    (tmp_path / "empty").mkdir()
    study = json.loads((root / "study.json").read_text())
    text = words(Page(build(monkeypatch, tmp_path / "empty", tmp_path / "report.html", study)))
    missing = text[text.index("files are not there:") :]
    for name in ("scores/review_evaluations.jsonl", "datasets/sft/chosen.parquet", "comparison/comparison.json"):
        assert name in missing
    assert "No comparison was found." in text
    with pytest.raises(WinnowError, match="there is no such folder"):
        build(monkeypatch, tmp_path / "none", tmp_path / "report.html", study)

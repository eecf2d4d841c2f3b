"""People's labels: hand-typed tags, and how the judge does against them."""

import gzip
import json
import re
from pathlib import Path

import pytest

from real_data import REAL_DATA, needs_real_data
from scoring_fixtures import ICLR, batch_spec, checklist, script, spec
from winnow.core.errors import WinnowError
from winnow.scoring.annotations import Annotations, classify, read_annotations, read_tags
from winnow.scoring.people import People, in_words

DOCUMENT = Path(__file__).parents[2] / "docs" / "judging.md"
FILE = REAL_DATA / "review_annotations" / "peer_review_analyze_2018.jsonl.gz"


@pytest.mark.parametrize(
    ("tag", "kind", "aspect"),
    [
        ("EMP-NEG", "aspect", "EMP"),
        ("EMp-NEG", "aspect", "EMP"),
        ("emp-neg", "aspect", "EMP"),
        (" NOV ", "aspect", "NOV"),  # without polarity
        ("CLA_POS", "aspect", "CLA"),
        ("CMP - NEU", "aspect", "CMP"),
        ("MET-NEU", "section", None),
        ("RWk-POS", "section", None),
        ("EXT-null", "section", None),
        ("CNT", "other", None),
        ("null", "null", None),
        ("NULL", "null", None),
        ("WXP-NEU", "unreadable", None),  # EXP? EMP? It is not for us to say
        ("EMP-BAD", "unreadable", None),
        ("", "unreadable", None),
    ],
)
def test_one_tag(tag, kind, aspect):
    assert classify(tag) == (kind, aspect)


@pytest.mark.parametrize(
    ("text", "aspects"),
    [
        ("Good.[[MET-POS], [EMP-POS,NOV-NEG]] Next.", ["EMP", "NOV"]),
        ("Good.[[INT-NEU,PDI-NEU], [null]]", []),
        ("Good.[[MET-POS, [EMP-POS]] a [[RES-NEG], [SUB-NEG] b", ["EMP", "SUB"]),  # brackets missing
        ("Good.[[EXP-NEU]NOV-NEU], [SMY]] c", ["NOV"]),  # an opening one missing
        ("As in [Wang, 2013] and [1]. Fine.[[OAL-POS], [REC-POS]]", ["REC"]),  # brackets of the review itself
        ("It is novel[sic], cla, and so on.[[OAL-POS],[APR-POS]]", ["APR"]),  # a word is no tag
        ("Good.[[MET-POS];[CLA-POS;PNF-NEG]]", ["CLA", "PNF"]),
        ("No tags at all.", []),
    ],
)
def test_tags_of_a_review(text, aspects):
    assert [aspect for _, aspect, _ in read_tags(text) if aspect] == aspects


def test_what_cannot_be_read_is_counted(tmp_path):
    file = tmp_path / "a.jsonl"
    records = [
        {"review_id": "a", "annotated_text": "x[[MET-NEU], [WXP-NEG,EMP-NEG]] y[[null], [null]]"},
        {"review_id": "b", "annotated_text": "nothing [here]"},
        {"review_id": "c", "annotated_text": "x[[MET-NEU], [null]]"},
    ]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    found = read_annotations(file)
    # b says nothing; c says that no aspect is there.
    assert found.aspects == {"a": frozenset({"EMP"}), "c": frozenset()}
    assert found.without_tags == 1
    assert found.tags == {"section": 2, "unreadable": 1, "aspect": 1, "null": 3}
    assert found.unreadable == {"WXP-NEG": 1}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('{"review_id": "a", "annotated_text": "x"}\n{"review_id": "b"', "line 2"),
        ('{"review_id": "a"}', "line 1.*annotated_text"),
        ('{"review_id": "a", "annotated_text": null}', "line 1"),
        ('{"review_id": "a", "annotated_text": "[EMP]"}\n' * 2, "line 2.*second time"),
    ],
)
def test_a_bad_record_is_named(tmp_path, content, match):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(WinnowError, match=match):
        read_annotations(tmp_path / "a.jsonl")


def test_a_truncated_gzip_is_named(tmp_path):
    whole = gzip.compress(json.dumps({"review_id": "a", "annotated_text": "[EMP]" * 5000}).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WinnowError, match=r"a\.jsonl\.gz"):
        read_annotations(tmp_path / "a.jsonl.gz")


def compared(tmp_path, answers, marked):
    """The report on one item, mapped to NOV."""
    annotations = Annotations(aspects={f"r{n}": frozenset({"NOV"} if mark else ()) for n, mark in enumerate(marked)})
    people = People(tmp_path / "labels.jsonl", annotations, checklist(aspect="NOV"))
    for n, answer in enumerate(answers):
        people.add({"response_id": f"r{n}", "prompt_id": f"p{n // 2}", "answers": {"says_w0": answer}})
    return people.report()


def test_agreement_by_hand(tmp_path):
    # Yes and marked 20, yes only 5, marked only 10, neither 15: kappa 0.4 (test_scoring_agreement).
    answers = ["yes"] * 25 + ["no"] * 25
    report = compared(tmp_path, answers, [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15)
    (item,) = report["items"]
    assert (item["item"], item["aspect"], item["n"]) == ("says_w0", "NOV", 50)
    assert (item["judge_yes"], item["people_marked"], item["observed_agreement"]) == (0.5, 0.6, 0.7)
    assert item["kappa"] == report["mean_kappa"] == 0.4
    low, high = item["kappa_interval"]
    assert -0.1 < low < 0.4 < high < 0.8
    assert report["file"] == "labels.jsonl"


def test_an_answer_that_is_missing_is_not_compared(tmp_path):
    report = compared(tmp_path, ["yes", None, "no", "no"], [True, True, False, False])
    assert report["items"][0]["n"] == 3
    assert report["items"][0]["kappa"] == 1.0


def test_reviews_that_were_not_judged_are_counted(tmp_path):
    report = compared(tmp_path, ["yes", "no"], [True, False, True])
    assert (report["annotated_reviews"], report["judged_and_annotated"], report["annotated_not_judged"]) == (3, 2, 1)


@pytest.mark.parametrize(("answers", "marked"), [([], [True]), (["yes", "yes"], [True, True])])
def test_what_cannot_be_computed_is_null(tmp_path, answers, marked):
    report = compared(tmp_path, answers, marked)
    assert report["items"][0]["kappa"] is report["items"][0]["kappa_interval"] is report["mean_kappa"] is None
    assert report["in_words"] == "no item could be compared with people"


@pytest.mark.parametrize(
    ("kappas", "word"),
    [
        ([-0.1, 0.1], "hardly better than chance"),
        ([0.3], "poor"),
        ([0.5], "moderate"),
        ([0.7], "good"),
        ([1.0], "very good"),
    ],
)
def test_the_words(kappas, word):
    assert f"is {word}: " in in_words(kappas)


@needs_real_data
def test_the_tags_of_the_real_file():
    found = read_annotations(FILE)
    assert len(found.aspects) == 714
    assert found.without_tags == 0
    assert found.tags == {"section": 16_102, "aspect": 9_419, "null": 2_377, "other": 374, "unreadable": 5}
    assert found.unreadable == {"WRC-POS": 4, "WXP-NEU": 1}


@needs_real_data
def test_the_lexical_judge_against_people(tmp_path):
    folder = REAL_DATA / "iclr_reviews"
    with gzip.open(folder / "reviews.jsonl.gz", "rt") as file:
        lines = [line for line in file if json.loads(line)["year"] == 2018]
    (tmp_path / "reviews.jsonl").write_text("".join(lines))
    corpus = {
        "adapter": "openreview",
        "papers": str(folder / "papers.jsonl.gz"),
        "reviews": str(tmp_path / "reviews.jsonl"),
    }
    corpus |= {"min_prompt_chars": 20, "years": [2018], "prompt_fields": ["title", "abstract"]}
    tables = {name: tmp_path / f"{name}.parquet" for name in ("prompts", "responses", "rejected")}
    script("ingest", spec=json.dumps(corpus), corpus="iclr", manifest=tmp_path / "m.json", **tables)
    judged = tmp_path / "judged.jsonl"
    script(
        "judge_responses",
        spec=batch_spec(),
        checklist=ICLR,
        responses=tables["responses"],
        shard=0,
        shards=1,
        cache=tmp_path / "cache",
        out=judged,
    )
    common = {"spec": spec(reliability={"sample": 0}), "checklist": ICLR, "responses": f"iclr={tables['responses']}"}
    outputs = {name: tmp_path / f"{name}.json" for name in ("scores", "report", "manifest")}
    given = {"judged": f"iclr={judged}", "prompts": f"iclr={tables['prompts']}", "annotations": FILE}
    script("gather_scores", **common, **given, **outputs)
    report = json.loads(outputs["report"].read_text())
    people = report["human_agreement"]
    items = {item["item"]: item for item in people["items"]}
    assert people["judged_and_annotated"] == 710
    assert round(items["judges_novelty"]["kappa"], 2) == 0.63
    assert round(items["judges_clarity"]["kappa"], 2) == 0.48
    shown = re.findall(r"^\| (\w+) \| [A-Z]{3} (?:\|[^|]*){4}\| ([\d.-]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert {name: float(kappa) for name, kappa in shown} == {n: round(item["kappa"], 2) for n, item in items.items()}
    # Everybody examines soundness, by the marks; there is nothing for kappa to hold on to, and it shows.
    assert items["examines_soundness"]["people_marked"] > 0.95
    assert items["examines_soundness"]["kappa"] < 0.1
    assert report["gates"][0]["passed"]

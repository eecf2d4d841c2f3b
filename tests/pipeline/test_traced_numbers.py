"""Numbers of the demo's report, made again from the stored generations and the corpus by another route."""

import html
import json
import math
import re
import statistics
from collections import defaultdict

import pytest
from rapidfuzz.distance import LCSseq

from winnow.core.tables import read_rows

PLACE = "clean greedy"
BASE, SFT, DPO = "base_clean", "sft_clean", "dpo_clean-beta0.1"
# A review as the prompt asks for it, whole, and nothing beside it.
REVIEW = re.compile(
    r"\s*# Review[ \t]*\n(?P<body>.*?\S.*?)\n## Rating[ \t]*\n\s*(?P<rating>\S[^\n]*)"
    r"(?:\n\s*## Confidence[ \t]*\n\s*(?P<confidence>\S[^\n]*))?\s*",
    re.DOTALL,
)


@pytest.fixture(scope="module")
def results(finished_demo):
    return finished_demo / "results" / "demo"


@pytest.fixture(scope="module")
def page(results):
    return (results / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def papers(results):
    """Decision of each paper, and what people wrote on it."""
    corpus = results / "corpus" / "papers"
    found = {
        row["prompt_id"]: {"decision": row["decision"], "people": []} for row in read_rows(corpus / "prompts.parquet")
    }
    for row in read_rows(corpus / "responses.parquet"):
        assert row["author_kind"] == "human"
        found[row["prompt_id"]]["people"].append(row)
    return found


@pytest.fixture(scope="module")
def generated(results):
    """The greedy responses of three models."""
    found = {}
    for run in (BASE, SFT, DPO):
        lines = (results / f"evaluation/heldout/{run}/generations.jsonl").read_text().splitlines()
        found[run] = [row for row in map(json.loads, lines) if row["sample"] == 0]
    assert len(found[SFT]) > 0
    return found


def numbers(page, **wanted):
    """The numbers in full of every cell that has these data attributes, and what stands in the cell."""
    cells = [re.findall(rf"<{tag}( [^>]*data-of=[^>]*)>(.*?)</{tag}>", page, re.DOTALL) for tag in ("td", "span")]
    for attributes, content in (*cells[0], *cells[1]):
        known = dict(re.findall(r'data-([a-z]+)="([^"]*)"', attributes))
        if {key: known.get(key) for key in ("minus", *wanted)} == {"minus": None} | wanted:
            yield known.get("value"), html.unescape(re.sub(r"<[^>]*>", " ", content))


def assert_shown(page, expected, digits, **wanted):
    """Every cell of a number holds it in full, to six digits, and shows it rounded."""
    found = list(numbers(page, **({"in": PLACE} | wanted)))
    assert found, f"no cell has {wanted}"
    for value, text in found:
        assert float(value) == pytest.approx(expected, abs=2e-6), wanted
        in_percent = re.match(r"\s*\S+ %", text) is not None and "failure" not in wanted
        places, scale = (1, 100) if in_percent else (digits, 1)
        rounded = {f"{scale * number:,.{places}f}" for number in (expected, float(value))}
        assert any(one.replace("-", "−") in text for one in rounded), (text, wanted)


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def read(row, papers):
    """Body, rating, and whether the form is right: of one generated review."""
    people = papers[row["prompt_id"]]["people"]
    scale = people[0]["rating_scale"]
    body = re.sub(r"^\s*# Review[ \t]*(\n|$)", "", row["text"])
    body = re.split(r"^## (?:Rating|Confidence)[ \t]*$", body, maxsplit=1, flags=re.MULTILINE)[0].strip()
    label = re.search(r"^## Rating[ \t]*\n\s*(\d+(?:\.\d+)?)", row["text"], re.MULTILINE)
    rating = float(label[1]) if label and float(label[1]) in scale else None
    whole = REVIEW.fullmatch(row["text"])
    needs_confidence = all(person["confidence_label"] for person in people)
    valid = bool(whole and rating is not None and row["stop_reason"] == "stop")
    return body, rating, valid and not (needs_confidence and not whole["confidence"])


def rating_error(rating, others, scale):
    reference = mean(other["rating"] for other in others)
    return max(reference - scale[0], scale[-1] - reference) if rating is None else abs(rating - reference)


def rouge_l(text, others):
    tokens = [re.findall(r"[a-z0-9]+", part.lower()) for part in (text, *(other["text"] for other in others))]
    return mean(
        2 * LCSseq.similarity(tokens[0], theirs) / (len(tokens[0]) + len(theirs)) if tokens[0] and theirs else 0.0
        for theirs in tokens[1:]
    )


@pytest.mark.parametrize("run", [BASE, SFT, DPO])
def test_what_a_model_wrote(page, papers, generated, run):
    rows = generated[run]
    parsed = [read(row, papers) for row in rows]
    people = [papers[row["prompt_id"]]["people"] for row in rows]
    errors = [
        rating_error(rating, others, others[0]["rating_scale"])
        for (_, rating, _), others in zip(parsed, people, strict=True)
    ]
    assert_shown(page, mean(float(valid) for _, _, valid in parsed), 3, of=run, metric="valid_format")
    assert_shown(page, mean(errors), 2, of=run, metric="rating_error")
    alike = [rouge_l(body, others) for (body, _, _), others in zip(parsed, people, strict=True)]
    assert_shown(page, mean(alike), 3, of=run, metric="rouge_l_mean")
    assert_shown(page, mean(row["tokens"] for row in rows), 1, of=run, metric="tokens")
    assert_shown(page, mean(len(row["token_ids"]) for row in rows), 1, of=run, metric="tokens")
    ended = mean(float(row["stop_reason"] == "stop") for row in rows)
    assert_shown(page, ended, 3, of=run, metric="ended")
    assert_shown(page, sum(row["stop_reason"] == "length" for row in rows), 0, of=run, failure="cut_off")
    assert_shown(page, sum(rating is None for _, rating, _ in parsed), 0, of=run, failure="unparsed")
    decided = [
        (rating, papers[row["prompt_id"]]["decision"])
        for (_, rating, _), row in zip(parsed, rows, strict=True)
        if papers[row["prompt_id"]]["decision"] in {"accept", "reject"}
    ]
    right = [
        float(rating is not None and ("accept" if rating >= 6 else "reject") == truth) for rating, truth in decided
    ]
    assert_shown(page, mean(right), 3, of=run, metric="decision_correct_at_6")


def test_what_people_wrote(page, papers, generated):
    reviews = [
        (person, papers[row["prompt_id"]]) for row in generated[SFT] for person in papers[row["prompt_id"]]["people"]
    ]
    others = [[other for other in paper["people"] if other is not person] for person, paper in reviews]
    kept = [(person, rest) for (person, _), rest in zip(reviews, others, strict=True) if rest]
    errors = [rating_error(person["rating"], rest, person["rating_scale"]) for person, rest in kept]
    assert_shown(page, mean(errors), 2, of="human", metric="rating_error")
    alike = [rouge_l(person["text"], rest) for person, rest in kept]
    assert mean(alike) > 0.05
    assert_shown(page, mean(alike), 3, of="human", metric="rouge_l_mean")
    right = [float((person["rating"] >= 6) == (paper["decision"] == "accept")) for person, paper in reviews]
    assert 0 < mean(right) < 1
    assert_shown(page, mean(right), 3, of="human", metric="decision_correct_at_6")
    spread = statistics.stdev(person["rating"] for person, _ in reviews)
    assert_shown(page, spread, 2, of="human", metric="rating_sd")


def test_differences_and_mcnemar(page, papers, generated):
    valid = {run: {row["prompt_id"]: read(row, papers)[2] for row in rows} for run, rows in generated.items()}
    only_sft = sum(valid[SFT][prompt] and not valid[BASE][prompt] for prompt in valid[SFT])
    only_base = sum(valid[BASE][prompt] and not valid[SFT][prompt] for prompt in valid[SFT])
    found = list(numbers(page, **{"in": PLACE, "of": SFT, "minus": "base", "discordant": "valid_format"}))
    assert found
    assert all(text.split() == f"only it {only_sft}, only base {only_base}".split() for _, text in found)
    both, larger = only_sft + only_base, max(only_sft, only_base)
    tail = sum(math.comb(both, k) for k in range(larger, both + 1)) / 2**both
    shares = [mean(float(is_valid) for is_valid in valid[run].values()) for run in (SFT, BASE)]
    for value, text in numbers(page, **{"in": PLACE, "of": SFT, "minus": "base", "metric": "valid_format"}):
        assert float(value) == pytest.approx(shares[0] - shares[1], abs=2e-6)
        if " p " in text:
            assert f" p {min(1.0, 2 * tail):.3f}" in text
    errors = defaultdict(list)
    for run in (SFT, BASE):
        for row in generated[run]:
            people = papers[row["prompt_id"]]["people"]
            errors[run].append(rating_error(read(row, papers)[1], people, people[0]["rating_scale"]))
    wanted = {"of": SFT, "minus": "base", "metric": "rating_error"}
    assert_shown(page, mean(errors[SFT]) - mean(errors[BASE]), 2, **wanted)


def test_a_wrong_number_would_be_seen(page):
    shown = next(numbers(page, **{"in": PLACE, "of": SFT, "metric": "rating_error"}))
    with pytest.raises(AssertionError):
        assert_shown(page, float(shown[0]) + 0.01, 2, of=SFT, metric="rating_error")

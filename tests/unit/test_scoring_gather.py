"""Gathering: rows joined and counted, faults of the shards found, gates, and correlations."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from scoring_fixtures import StubJudge, checklist, prompts_table, responses_table, texts
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.core.manifest import Tally
from winnow.scoring.cache import Cache
from winnow.scoring.gather import Corpus, Joined, score_rows
from winnow.scoring.judging import judged_rows
from winnow.scoring.lexical import Lexical
from winnow.scoring.report import JudgeReport, correlation, pearson, ranks
from winnow.scoring.shards import shard_rows

LIST = checklist()


def corpus(folder, count=40, *, shards=2, limit=0, name="papers", judge=None):
    """A judged corpus of `count` responses, two per prompt."""
    folder.mkdir(exist_ok=True)
    responses = responses_table(folder / "responses.parquet", texts(count))
    prompts = prompts_table(folder / "prompts.parquet", (count + 1) // 2)
    judged = []
    for shard in range(shards):
        judged.append(folder / f"{shard}-of-{shards}.jsonl")
        with Cache(folder / "cache", f"{shard}.jsonl") as cache, judged[-1].open("w") as out:
            rows = shard_rows(responses, shard, shards, limit)
            out.writelines(
                canonical_json(row) + "\n" for row in judged_rows(rows, judge or Lexical(), LIST, cache, Tally())
            )
    return Corpus(name, judged, prompts, responses)


def gathered(*corpora, limit=0):
    joined = Joined(LIST.sha256)
    rows = list(score_rows(corpora, joined, items=len(LIST.questions)))
    joined.check(limit=limit)
    return rows, joined


def test_a_score_row_has_what_was_agreed(tmp_path):
    rows, _ = gathered(corpus(tmp_path / "a"))
    row = rows[3]
    assert row.keys() == {
        *("response_id", "prompt_id", "corpus", "response_idx", "year", "decision", "rating", "rating_scale"),
        *("confidence", "author_kind", "n_tokens", "answers", "p_yes", "checkmark_count", "checkmark_max"),
        *("checkmark_score", "parse_status", "left_out", "injection_flags", "judge", "answered_share"),
    }
    # Text 3 says w0 and w1, and is the second response to its prompt.
    assert (row["response_id"], row["prompt_id"], row["response_idx"]) == ("r00003", "p1", 1)
    assert (row["checkmark_count"], row["checkmark_max"], row["checkmark_score"]) == (2, 8, 0.25)
    assert (row["rating"], row["year"], row["decision"], row["corpus"]) == (4.0, 2019, "accept", "papers")
    assert (row["answered_share"], row["left_out"]) == (1.0, 0)


def test_rows_are_ordered_by_corpus_and_response(tmp_path):
    rows, joined = gathered(corpus(tmp_path / "b", name="b"), corpus(tmp_path / "a", 10, name="a"))
    keys = [(row["corpus"], row["response_id"]) for row in rows]
    assert keys == sorted(keys)
    assert joined.rows == {"a": 10, "b": 40}


def test_the_number_of_shards_does_not_show(tmp_path):
    one, whole = gathered(corpus(tmp_path / "a", shards=1))
    three, parts = gathered(corpus(tmp_path / "b", shards=3))
    assert one == three
    assert whole.sha256 == parts.sha256


def test_an_index_within_a_prompt_does_not_depend_on_a_limit(tmp_path):
    whole, _ = gathered(corpus(tmp_path / "a"))
    drawn, joined = gathered(corpus(tmp_path / "b", limit=15), limit=15)
    assert len(drawn) == 15
    assert joined.unjudged == {"papers": 25}
    everyone = {row["response_id"]: row for row in whole}
    assert drawn == [everyone[row["response_id"]] for row in drawn]


def refused(match, *corpora, limit=0):
    with pytest.raises(WinnowError, match=match):
        gathered(*corpora, limit=limit)


def edit(path, change):
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def test_a_lost_row_is_found(tmp_path):
    given = corpus(tmp_path / "a")
    edit(given.judged[0], lambda lines: lines[:5] + lines[6:])
    refused("39 of 40 responses", given)


def test_a_lost_shard_is_found(tmp_path):
    given = corpus(tmp_path / "a")
    refused("of 40 responses", Corpus("papers", given.judged[:1], given.prompts, given.responses))


def test_a_limit_leaves_no_row_out_unseen(tmp_path):
    given = corpus(tmp_path / "a", limit=15)
    edit(given.judged[0], lambda lines: lines[1:])
    refused("14 of 15 responses", given, limit=15)


def test_a_row_that_stands_twice_is_found(tmp_path):
    given = corpus(tmp_path / "a")
    edit(given.judged[0], lambda lines: [lines[0], *lines])
    refused("line 2.*stands after", given)
    refused("is in .* too", Corpus("papers", [given.judged[1], given.judged[1]], given.prompts, given.responses))


def test_a_row_of_nobody_is_found(tmp_path):
    given = corpus(tmp_path / "a")
    edit(given.judged[0], lambda lines: [*lines, lines[-1].replace('"response_id":"r', '"response_id":"z')])
    refused("response z.* is not in responses.parquet", given)


def test_a_line_that_is_no_row_is_named(tmp_path):
    given = corpus(tmp_path / "a")
    edit(given.judged[1], lambda lines: [*lines[:2], lines[2][:50] + "\n", *lines[3:]])
    refused("1-of-2.jsonl, line 3", given)


def test_shards_of_two_judges_are_refused(tmp_path):
    ours, other = corpus(tmp_path / "a"), corpus(tmp_path / "b", judge=StubJudge())
    refused("another judge", Corpus("papers", [ours.judged[0], other.judged[1]], ours.prompts, ours.responses))


def test_shards_of_another_checklist_are_refused(tmp_path):
    joined = Joined(checklist(min_hits=2).sha256)
    with pytest.raises(WinnowError, match="another judge or checklist"):
        list(score_rows([corpus(tmp_path / "a")], joined, items=8))


def test_a_response_without_a_prompt_is_found(tmp_path):
    given = corpus(tmp_path / "a")
    prompts_table(given.prompts, 10)
    refused("its prompt p10 is not in prompts.parquet", given)


class Answering(StubJudge):
    """Gives the answers it was told to, in the order of texts."""

    def __init__(self, answers):
        super().__init__()
        self.answers = iter(answers)

    def judge(self, texts, items):
        for judgement in (judgements := super().judge(texts, items)):
            judgement.answers.update(zip(judgement.answers, next(self.answers), strict=True))
        return judgements


@settings(deadline=None, max_examples=15)
@given(st.lists(st.lists(st.sampled_from(["yes", "no", None]), min_size=8, max_size=8), min_size=1, max_size=30))
def test_null_is_neither_yes_nor_no(tmp_path_factory, answers):
    rows, _ = gathered(corpus(tmp_path_factory.mktemp("c"), len(answers), shards=1, judge=Answering(answers)))
    report = JudgeReport(LIST.questions)
    for row, given_answers in zip(rows, answers, strict=True):
        report.add(row)
        yes, no = given_answers.count("yes"), given_answers.count("no")
        assert row["checkmark_count"] == yes
        assert row["checkmark_max"] == yes + no
        assert row["checkmark_score"] == (round(yes / (yes + no), 6) if yes + no else None)
        assert row["answered_share"] == (yes + no) / 8
    found = report.as_dict()
    for number, item in enumerate(found["items"]):
        column = [row[number] for row in answers]
        assert [item["yes"], item["no"], item["null"]] == [column.count(value) for value in ("yes", "no", None)]
        known = item["yes"] + item["no"]
        assert item["prevalence"] == (round(item["yes"] / known, 6) if known else None)
    nulls = sum(row.count(None) for row in answers)
    assert report.null_rate() == round(nulls / (8 * len(answers)), 6)
    assert sum(quarter["n"] for quarter in found["null_rate"]["by_length_quartile"]) == len(rows)


def test_null_rates_by_length(tmp_path):
    # Sixteen texts of growing length; the longest four are not answered.
    said = ["word " * (n + 1) for n in range(16)]
    report = JudgeReport(LIST.questions)
    for n, text in enumerate(said):
        answers = dict.fromkeys((item.id for item in LIST.questions), None if n >= 12 else "no")
        report.add(
            {
                "answers": answers,
                "parse_status": "failed" if n >= 12 else "ok",
                "left_out": 100 * n if n >= 14 else 0,
                "injection_flags": ["answer_yes"] * (n % 2),
                "corpus": "c",
                "year": None,
                "n_tokens": len(text.split()),
                "checkmark_max": 0 if n >= 12 else 8,
                "checkmark_count": 0,
                "rating": None,
            }
        )
    found = report.as_dict()
    quarters = found["null_rate"]["by_length_quartile"]
    assert [(q["n"], q["null_rate"]) for q in quarters] == [(4, 0.0), (4, 0.0), (4, 0.0), (4, 1.0)]
    assert found["null_rate"]["overall"] == 0.25
    assert found["parse_rate"] == 0.75
    assert found["left_out"] == {"responses": 2, "share": 0.125, "units": 2900, "mean_units": 1450.0, "max_units": 1500}
    assert found["injection_flags"] == {"flagged_rows": 8, "by_flag": {"answer_yes": 8}}
    # A text without answers has no count, and so is in no correlation.
    assert found["checkmark_counts"] == {"0": 12}
    assert found["correlations"]["count_and_log_tokens"] == {"n": 12, "pearson": None, "spearman": None}
    assert found["correlations"]["count_and_rating"]["n"] == 0


NUMBERS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=40)


@settings(deadline=None)
@given(NUMBERS)
def test_correlations_are_those_of_scipy(pairs):
    first, second = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    found = correlation(first, second)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert found == {"n": len(pairs), "pearson": None, "spearman": None}
        return
    assert found["pearson"] == pytest.approx(pearsonr(first, second).statistic, abs=1e-6)
    assert found["spearman"] == pytest.approx(spearmanr(first, second).statistic, abs=1e-6)


def test_correlations_pass_over_what_is_missing():
    first, second = np.array([1, 2, 3, np.nan, 5]), np.array([1, 2, 4, 9, np.nan])
    assert correlation(first, second)["n"] == 3
    assert pearson(first[:2], second[:2]) is None


def test_ranks_share_their_mean():
    assert ranks(np.array([10.0, 20.0, 10.0, 30.0])).tolist() == [1.5, 3.0, 1.5, 4.0]


def test_years_are_told_apart(tmp_path):
    report = JudgeReport(LIST.questions)
    for row in gathered(corpus(tmp_path / "a"))[0]:
        report.add(row | {"year": 2019 if row["rating"] > 5 else None})
    years = report.as_dict()["by_year"]
    assert [(year["year"], year["n"]) for year in years] == [(None, 20), (2019, 20)]
    assert all(year["count_and_rating"]["n"] == 20 for year in years)


def test_the_rows_are_json_without_surprises(tmp_path):
    for row in gathered(corpus(tmp_path / "a", 4))[0]:
        assert json.loads(canonical_json(row)) == row

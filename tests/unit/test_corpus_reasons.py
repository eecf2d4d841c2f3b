"""Reasons from templates: both verdicts for each prompt, of one length, and a template that tells nothing."""

from collections import Counter, defaultdict

import pytest
import yaml
from test_corpus_sarcasm import tweets

from corpus_fixtures import ingest
from labelled_study import tweet_rows
from real_data import REAL_DATA, needs_real_data
from winnow.core.config.corpora import IsarcasmCorpus
from winnow.core.errors import WinnowError
from winnow.corpus.adapters import open_source
from winnow.corpus.reasons import read_reasons
from winnow.datasets.rules_bias import auc
from winnow.datasets.rules_labels import independence_z
from workflow import ROOT

FILE = ROOT / "resources/reasons/sarcasm.yaml"


def with_reasons(folder, rows, **more):
    return tweets(folder, [row[:4] for row in rows], reasons=str(FILE), **more)


def test_each_prompt_gets_both_verdicts_in_one_template(tmp_path):
    made = ingest(with_reasons(tmp_path, tweet_rows()), tmp_path)
    assert len(made.prompts) == 80  # sixty tweets and twenty rephrases
    assert len(made.responses) == 160
    by_prompt = defaultdict(dict)
    for identity, row in made.responses.items():
        assert row["author_kind"] == "template"
        by_prompt[row["prompt_id"]][identity.removeprefix(f"{row['prompt_id']}-")] = row
    for sides in by_prompt.values():
        assert sides["sarcastic"]["text"].startswith("Yes. ")
        assert sides["not_sarcastic"]["text"].startswith("No. ")
        assert sides["sarcastic"]["source"] == sides["not_sarcastic"]["source"]
        assert sides["sarcastic"]["source"].startswith("reasons/")


def test_the_words_for_the_labels_stand_before_the_reason(tmp_path):
    spec = with_reasons(tmp_path, tweet_rows()[:2], answers={"sarcastic": "Ja", "not_sarcastic": "Nein"})
    texts = {row["text"].split(".")[0] for row in ingest(spec, tmp_path).responses.values()}
    assert texts == {"Ja", "Nein"}


def test_the_template_depends_on_the_id_and_not_on_the_label(tmp_path):
    rows = [row[:4] for row in tweet_rows()]
    turned = [(number, tweet, "0" if given == "1" else "1", "") for number, tweet, given, _ in rows]
    found = []
    for name, given in (("a", rows), ("b", turned)):
        (tmp_path / name).mkdir()
        responses = ingest(tweets(tmp_path / name, given, reasons=str(FILE)), tmp_path / name).responses
        found.append({key: row["source"] for key, row in responses.items()})
    assert found[1].items() <= found[0].items()


def test_the_reasons_that_come_with_winnow_are_as_long_for_either_verdict():
    templates = read_reasons(FILE).templates
    assert len(templates) >= 8
    for template in templates:
        assert len(template.sarcastic.split()) == len(template.not_sarcastic.split())
        lengths = sorted([len(template.sarcastic), len(template.not_sarcastic)])
        assert lengths[1] <= 1.12 * lengths[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sarcastic": "One word more than there are."}, "length would tell"),
        ({"id": "words"}, "ids occur twice"),
        ({"sarcastic": "It is meant."}, "a reason must fit its verdict"),
    ],
)
def test_reasons_that_would_tell_are_refused(tmp_path, change, said):
    good = [{"id": name, "sarcastic": "It is feigned.", "not_sarcastic": "It is meant."} for name in ("words", "tone")]
    path = tmp_path / "reasons.yaml"
    path.write_text(yaml.safe_dump({"templates": good}))
    assert len(read_reasons(path).templates) == 2
    path.write_text(yaml.safe_dump({"templates": [good[0], good[1] | change]}))
    with pytest.raises(WinnowError, match=said):
        read_reasons(path)


def test_a_dependence_is_told_from_chance():
    even = {f"t{i}": {"a": 50 + i, "b": 54 - i} for i in range(5)}
    assert independence_z(even) < 0
    assert independence_z(even | {"t9": {"a": 60, "b": 10}}) > 4
    # Against published quantiles of chi-square: 2 x 2 with chi-square 3.841 is the 95th percentile, so z is 1.645.
    shift = (3.841 * 100) ** 0.5 / 2  # chi-square of this table is 4 * shift ** 2 / 100
    table = {"t": {"a": 100 + shift, "b": 100 - shift}, "u": {"a": 100 - shift, "b": 100 + shift}}
    assert independence_z(table) == pytest.approx(1.645, abs=0.05)
    assert independence_z({"t": {"a": 5, "b": 5}}) is None
    assert independence_z({"t": {"a": 5}, "u": {"a": 5}}) is None


@needs_real_data
def test_on_real_tweets_neither_template_nor_length_tells_the_label():
    path = str(REAL_DATA / "isarcasm_eval/train.En.csv")
    spec = IsarcasmCorpus(adapter="isarcasm", path=path, reasons=str(FILE))
    source = open_source(spec, "tweets")
    labels = {row.identity: row.label for row in source.prompts() if hasattr(row, "label")}
    counts: dict[str, Counter] = defaultdict(Counter)
    lengths: dict[bool, list[int]] = {True: [], False: []}
    for response in source.responses():
        if (label := labels.get(response.prompt_id)) is not None:
            agrees = response.identity.endswith(f"{response.prompt_id}-{label}")
            lengths[agrees].append(len(response.text.split()))
            counts[response.origin.source][label] += agrees
    assert len(counts) == 8
    assert sum(map(Counter.total, counts.values())) > 4000
    assert independence_z(counts) < 3
    assert auc(lengths[True], lengths[False]) == 0.5

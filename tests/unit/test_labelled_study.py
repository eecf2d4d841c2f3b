"""The settings of a labelled study, and what the report's parts say where there is no judge and no checklist."""

import pytest
import yaml

from labelled_study import STUDY
from winnow.core.errors import WinnowError
from winnow.core.study import load_site, load_study, read_yaml
from winnow.reporting import checklists, limits
from workflow import ROOT


def load(folder, **changes):
    keys = yaml.safe_load(STUDY)
    for place, value in changes.items():
        here = keys
        *path, last = place.split("__")
        for key in path:
            here = here[key]
        here[last] = value
    file = folder / "labels.yaml"
    file.write_text(yaml.safe_dump(keys))
    return load_study(file, load_site(read_yaml(ROOT / "config.yaml")), ROOT)


def test_a_labelled_corpus_has_its_own_prompt_and_words(tmp_path):
    study = load(tmp_path)
    assert [corpus.template for corpus in study.corpora.values()] == ["sarcasm", "sarcasm"]
    assert study.answers_of("posts") == {"sarcastic": "Yes", "not_sarcastic": "No"}
    assert study.signal.min_answered == 1
    assert study.signal.judges == {}


def test_every_run_knows_the_words_of_what_it_is_scored_on(tmp_path):
    """Only SFT data of right words is scored; corpora of other data may have other words."""
    other = {"sarcastic": "Ja", "not_sarcastic": "Nein"}
    for changes, words in [
        ({}, {"sarcastic": "Yes", "not_sarcastic": "No"}),
        ({"corpora__tweets__answers": other}, {"sarcastic": "Yes", "not_sarcastic": "No"}),
        ({"corpora__posts__answers": other}, other),
    ]:
        runs = load(tmp_path, **changes).runs.values()
        assert [(run.answers, run.positive) for run in runs] == [(words, "sarcastic")] * 2
    third = {"stage": "sft", "corpus": "tweets", "policy": "all"}
    with pytest.raises(WinnowError, match=r"key datasets.third.corpus: answers with .*Ja.*, that of sft with .*Yes"):
        load(tmp_path, datasets__third=third, corpora__tweets__answers=other)


def test_runs_that_score_no_labels_have_no_keys_for_them():
    """What a finished training was made from must stay what it was."""
    runs = load_study(ROOT / "studies/demo.yaml", load_site(read_yaml(ROOT / "config.yaml")), ROOT).runs.values()
    assert runs
    assert not [run.name for run in runs if {"answers", "positive"} & run.model_dump(mode="json").keys()]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"signal": {"kind": "labels"}}, "signal"),
        ({"signal": {"kind": "label", "judge": {"backend": "lexical"}}}, "key signal.judge: unknown key"),
        ({"signal__gates": {"max_null": 1}}, "key signal.gates.max_null"),
        ({"datasets__dpo__sources": "tweet"}, "key datasets.dpo.sources"),
        ({"datasets__sft__fraction": 0.2}, "key datasets.sft.fraction: unknown key"),
        ({"corpora__posts__answers": {"sarcastic": "Yes!", "not_sarcastic": "No"}}, "two different words"),
        ({"corpora__posts__answers": {"sarcastic": "no", "not_sarcastic": "No"}}, "two different words"),
        ({"corpora__posts__answers": {"sarcastic": "not", "not_sarcastic": "Nothing"}}, "one begins with the other"),
        ({"corpora__papers": {"adapter": "demo"}}, "key corpora.papers"),
    ],
)
def test_mistakes_name_the_key(tmp_path, changes, said):
    with pytest.raises(WinnowError, match=said):
        load(tmp_path, **changes)


def test_the_report_says_that_labels_scored(tmp_path):
    study = load(tmp_path)
    assert checklists.read_result(study, None) is None
    assert limits.choice(study.datasets["sft"]) == "every response that the signal says is right."
    assert limits.choice(study.datasets["dpo"]).endswith(
        "one of the same template that does not, as many of each label."
    )
    said = limits.of_dataset(study, study.datasets["dpo"], {"train": 500, "val": 500})
    assert said[0].startswith("Responses were scored by whether they begin with the word for their prompt's label")
    assert said[1] == "Responses were put together from templates: their wording is not that of people."
    assert "templates" not in " ".join(limits.of_dataset(study, study.datasets["sft"], {"train": 500}))

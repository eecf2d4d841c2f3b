"""The whole script on two runs and three held-out prompts, with every number of some rows worked out by hand."""

import json
import math
import sys

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from test_evaluation_comparison import run as resolved

import measure_labels
from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_file, unit_interval
from winnow.core.tables import PROMPTS, SPLITS, read_rows, write_table
from winnow.evaluation.comparison import runs_alike
from winnow.evaluation.label_metrics import LABELS
from winnow.evaluation.measured import read_responses
from winnow.evaluation.responses_compared import compare_responses

ANSWERS = {"sarcastic": "Yes", "not_sarcastic": "No"}
CLASSES = ["sarcastic", "not_sarcastic"]
# Held-out prompts, with label and source.
HELD_OUT = {"t1": ("sarcastic", "tweet"), "t2": ("not_sarcastic", "tweet"), "t3": ("not_sarcastic", "rephrase")}
HALF, QUARTER, SMALL = math.log(0.5), math.log(0.25), math.log(0.01)
# (run, prompt) → log-probabilities of Yes and of No
LOGPS = {
    ("sft_clean", "t1"): (HALF, QUARTER),
    ("sft_clean", "t2"): (HALF, QUARTER),
    ("sft_clean", "t3"): (SMALL, SMALL),
    ("base_clean", "t1"): (-900.0, -901.0),
    ("base_clean", "t2"): (SMALL, QUARTER),
    ("base_clean", "t3"): (SMALL, QUARTER),
}
# (run, prompt, sample) → text, tokens, stop reason
TEXTS = {
    ("sft_clean", "t1", 0): ("Yes. It is.", 5, "stop"),
    ("sft_clean", "t1", 1): ("**no**", 3, "stop"),
    ("sft_clean", "t2", 0): ("Maybe no", 2, "stop"),
    ("sft_clean", "t2", 1): ("No, it goes on and", 8, "length"),
    ("base_clean", "t1", 0): ("", 0, "stop"),
    ("base_clean", "t1", 1): ("Yes/No", 4, "stop"),
    ("base_clean", "t2", 0): ("No", 1, "stop"),
    ("base_clean", "t2", 1): ("Yes", 1, "stop"),
}
SARCASTIC, PLAIN = ("oh", "great", "love", "wow", "sure", "!"), ("report", "train", "phone", "late", "today", ".")


def text(name, label):
    """Eight words, mostly of the label's own, that depend on the name alone."""
    own, other = (SARCASTIC, PLAIN) if label == "sarcastic" else (PLAIN, SARCASTIC)
    draws = [(unit_interval(f"{name}/{place}"), unit_interval(f"{name}-{place}")) for place in range(8)]
    return " ".join((own if which < 0.7 else other)[int(6 * word)] for which, word in draws)


def corpus():
    """Prompts with their splits: 40 for training, 20 for validation, three held out, and one without a label."""
    found = {f"a{n:02}": (CLASSES[n % 2], "tweet", "train") for n in range(40)}
    found |= {f"v{n:02}": (CLASSES[n % 3 > 0], "tweet", "val") for n in range(20)}
    found |= {name: (*given, "test") for name, given in HELD_OUT.items()}
    return found | {"x": (None, "tweet", "train")}


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def world(folder, *, prompts=None, logps=LOGPS, texts=TEXTS, spec=None):
    """Write a study's files and return the script's arguments."""
    prompts = prompts or corpus()
    tables = [
        dict.fromkeys(PROMPTS.names) | {"prompt_id": name, "body": text(name, label), "label": label, "source": source}
        for name, (label, source, _) in prompts.items()
    ]
    write_table(folder / "prompts.parquet", tables, PROMPTS, ["prompt_id"])
    splits = [
        {"prompt_id": name, "split": split, "optimize": False, "group_id": name}
        for name, (_, _, split) in prompts.items()
    ]
    write_table(folder / "splits.parquet", splits, SPLITS, ["prompt_id"])
    runs = ("base_clean", "sft_clean")
    arguments = {"generations": [], "rows": []}
    for run in runs:
        made = [
            {"id": f"{run}/{prompt}/{sample}", "run": run, "prompt_id": prompt, "sample": sample, "text": said,
             "token_ids": [], "decoding": "sampled" if sample else "greedy", "tokens": tokens, "stop_reason": reason}
            for (of, prompt, sample), (said, tokens, reason) in texts.items()
            if of == run
        ]  # fmt: skip
        rows = [{"kind": "heldout", "id": "t1-verdict", "prompt_id": "t1", "nats": 1.0}]
        rows += [
            {"kind": "sample", "id": row["id"], "prompt_id": row["prompt_id"], "mean_entropy": 0.25}
            for row in made
            if row["tokens"]
        ]
        rows += [
            {"kind": "label", "id": prompt, "prompt_id": prompt, "logps": dict(zip(CLASSES, given, strict=True))}
            for (of, prompt), given in logps.items()
            if of == run
        ]
        arguments["generations"].append(f"{run}={lines(folder / run / 'generations.jsonl', made)}")
        arguments["rows"].append(f"{run}={lines(folder / run / 'rows.jsonl', rows)}")
    spec = {"runs": dict.fromkeys(runs, "clean"), "answers": ANSWERS, "classes": CLASSES} | (spec or {})
    return [
        *("--spec", json.dumps(spec), "--generations", *arguments["generations"], "--rows", *arguments["rows"]),
        *("--prompts", folder / "prompts.parquet", "--splits", folder / "splits.parquet"),
        *("--measured", folder / "measured.jsonl", "--manifest", folder / "measured.manifest.json"),
    ]


def measure(arguments):
    """Run the script in this process: another would import scientific libraries once more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["measure_labels.py", *map(str, arguments)])
        measure_labels.main()


def results(folder):
    rows = [json.loads(line) for line in (folder / "measured.jsonl").read_text().splitlines()]
    return {row["id"]: row for row in rows}, json.loads((folder / "measured.manifest.json").read_text())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    measure(world(folder))
    return (folder, *results(folder))


def test_there_is_a_row_for_every_answer_in_order(measured):
    folder, rows, manifest = measured
    wanted = {f"{run}/{prompt}/logprob" for run, prompt in LOGPS}
    wanted |= {f"{run}/{prompt}/{sample}" for run, prompt, sample in TEXTS}
    wanted |= {f"tfidf_logistic/{prompt}" for prompt in HELD_OUT}
    assert list(rows) == sorted(wanted)
    assert {tuple(row["values"]) for row in rows.values()} == {tuple(sorted(LABELS.row_metrics))}
    assert {(row["prompt_id"], row["decision"], row["source"]) for row in rows.values()} == {
        (prompt, *given) for prompt, given in HELD_OUT.items()
    }
    assert manifest["counts"]["answers"] == {
        "read": 17,
        "kept": 17,
        "dropped": {},
        "notes": {
            "greedy: no entropy": 1,
            "greedy: no verdict read": 2,
            "logprob: no verdict, all answers are equally probable": 1,
            "sampled: cut off": 1,
            "sampled: no verdict read": 1,
        },
    }
    assert manifest["outputs"] == {"measured": sha256_file(folder / "measured.jsonl")}
    assert (manifest["task"], manifest["classes"]) == ("labels", CLASSES)
    assert (manifest["reference"], manifest["answers"]) == ("tfidf_logistic", ANSWERS)


# Of Yes and No with probabilities 1/2 and 1/4: two thirds for Yes, of three quarters that are either.
@pytest.mark.parametrize(
    ("run", "prompt", "predicted", "values"),
    [
        ("sft_clean", "t1", "sarcastic", (1, math.log(2), 2 / 3, 0.75)),
        ("sft_clean", "t2", "sarcastic", (0, -math.log(2), 1 / 3, 0.75)),
        ("sft_clean", "t3", None, (0, 0, 0.5, 0.02)),  # both alike: no verdict, and wrong
        ("base_clean", "t1", "sarcastic", (1, 1, math.e / (math.e + 1), 0)),  # too small for a float, alone
        ("base_clean", "t2", "not_sarcastic", (1, math.log(25), 25 / 26, 0.26)),
    ],
)
def test_answers_by_probability_by_hand(measured, run, prompt, predicted, values):
    row = measured[1][f"{run}/{prompt}/logprob"]
    head = {"run": run, "modality": "clean", "sample": None, "decoding": "logprob", "predicted": predicted}
    assert {key: row[key] for key in head} == head
    names = ("decision_correct", "margin", "right_probability", "word_mass")
    found = dict(row["values"])
    assert [found.pop(name) for name in names] == pytest.approx(values, abs=1e-6)
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("identity", "predicted", "values"),
    [
        ("sft_clean/t1/0", "sarcastic", (1, 1, 1, 5, 0.25)),
        ("sft_clean/t1/1", "not_sarcastic", (0, 1, 1, 3, 0.25)),
        ("sft_clean/t2/0", None, (0, 0, 1, 2, 0.25)),  # its first word is no answer: wrong, not "not sarcastic"
        ("sft_clean/t2/1", "not_sarcastic", (1, 1, 0, 8, 0.25)),
        ("base_clean/t1/0", None, (0, 0, 1, 0, None)),
        ("base_clean/t1/1", None, (0, 0, 1, 4, 0.25)),
    ],
)
def test_generated_answers_by_hand(measured, identity, predicted, values):
    row = measured[1][identity]
    sample = int(identity[-1])
    assert (row["sample"], row["decoding"]) == (sample, "sampled" if sample else "greedy")
    assert (row["modality"], row["predicted"]) == ("clean", predicted)
    found = dict(row["values"])
    names = ("decision_correct", "verdict_read", "ended", "tokens", "mean_entropy")
    assert tuple(found.pop(name) for name in names) == values
    assert set(found.values()) == {None}


def by_hand():
    """What scikit-learn says, asked without our code: C, macro-F1 of each, P(sarcastic), features."""
    of = {split: [(text(n, row[0]), row[0]) for n, row in sorted(corpus().items()) if row[0] and row[2] == split]
          for split in ("train", "val", "test")}  # fmt: skip
    words = TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True)
    seen = words.fit_transform([said for said, _ in of["train"]])
    best, scores = None, {}
    for c in (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01):
        model = LogisticRegression(C=c, tol=1e-6, max_iter=10_000).fit(seen, [label for _, label in of["train"]])
        given, said = [label for _, label in of["val"]], model.predict(words.transform([said for said, _ in of["val"]]))
        scores[c] = f1_score(given, said, average="macro")
        if best is None or scores[c] >= scores[best[0]] - 1e-9:
            best = (c, model)
    column = list(best[1].classes_).index("sarcastic")
    found = best[1].predict_proba(words.transform([said for said, _ in of["test"]]))[:, column]
    return best[0], scores, dict(zip(sorted(HELD_OUT), found, strict=True)), len(words.vocabulary_)


def test_the_baseline_is_what_scikit_learn_says(measured):
    _, rows, manifest = measured
    c, scores, probabilities, features = by_hand()
    about = manifest["baseline"]
    assert (about["c"], about["n_features"], about["chosen_on"], about["not_chosen_because"]) == (
        c, features, "val", None,
    )  # fmt: skip
    assert {one["c"]: one["macro_f1"] for one in about["macro_f1_on_val"]} == pytest.approx(scores, abs=1e-6)
    assert len(set(np.round(list(scores.values()), 6))) > 1  # else nothing was chosen
    assert (about["n_train"], about["n_val"]) == (40, 20)
    assert about["train_by_label"] == {"sarcastic": 20, "not_sarcastic": 20}
    used = manifest["counts"]["prompts_of_the_baseline"]
    assert used == {"read": 64, "kept": 60, "dropped": {"in test": 3, "no label": 1}, "notes": {}}
    for prompt, (label, _) in HELD_OUT.items():
        row, likely = rows[f"tfidf_logistic/{prompt}"], probabilities[prompt]
        head = {"run": "tfidf_logistic", "modality": None, "sample": None, "decoding": "reference"}
        assert {key: row[key] for key in head} == head
        assert row["predicted"] == ("sarcastic" if likely > 0.5 else "not_sarcastic")
        found = dict(row["values"])
        assert found.pop("decision_correct") == float(row["predicted"] == label)
        right = likely if label == "sarcastic" else 1 - likely
        assert found.pop("right_probability") == pytest.approx(right, abs=1e-6)
        assert set(found.values()) == {None}


def test_what_is_held_out_is_neither_learned_nor_chosen_by(measured, tmp_path):
    """With other labels in test the baseline is the same and says the same, so that it is right where it was wrong."""
    arguments = world(tmp_path)
    rows = [
        row if row["prompt_id"] not in HELD_OUT else row | {"label": CLASSES[row["label"] == CLASSES[0]]}
        for row in read_rows(tmp_path / "prompts.parquet")
    ]
    write_table(tmp_path / "prompts.parquet", rows, PROMPTS, ["prompt_id"])
    measure(arguments)
    turned, manifest = results(tmp_path)
    assert manifest["baseline"] == measured[2]["baseline"]
    for name in (f"tfidf_logistic/{prompt}" for prompt in HELD_OUT):
        now, before = turned[name], measured[1][name]
        assert now["predicted"] == before["predicted"]
        assert now["values"]["decision_correct"] == 1 - before["values"]["decision_correct"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"test": "val"}, "val is what is measured: there is no test split"),
        ({"val": "train"}, "val has no prompt of the label sarcastic"),
    ],
)
def test_c_is_chosen_on_val_or_not_at_all(tmp_path, change, why):
    prompts = {name: (label, source, change.get(split, split)) for name, (label, source, split) in corpus().items()}
    measure(world(tmp_path, prompts=prompts))
    about = results(tmp_path)[1]["baseline"]
    assert (about["c"], about["chosen_on"], about["n_val"], about["macro_f1_on_val"]) == (1, None, 0, [])
    assert about["not_chosen_because"] == why


def test_the_same_sources_give_the_same_bytes_in_any_order(measured, tmp_path):
    arguments = world(tmp_path)
    for file in tmp_path.glob("*/*.jsonl"):
        file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    measure(arguments)
    assert (tmp_path / "measured.jsonl").read_bytes() == (measured[0] / "measured.jsonl").read_bytes()
    assert str(tmp_path) not in (tmp_path / "measured.manifest.json").read_text()


def without(mapping, *keys):
    return {key: value for key, value in mapping.items() if key not in keys}


UNLABELLED = corpus() | {"t2": (None, "tweet", "test")}
IN_TRAIN = corpus() | {"t2": ("not_sarcastic", "tweet", "train")}
ONE_LABEL = {name: row for name, row in corpus().items() if row[0] == "sarcastic" or row[2] == "test"}
NOTHING_OF_SFT = {key: value for key, value in LOGPS.items() if key[0] != "sft_clean"}
UNASKED = TEXTS | {("sft_clean", "v00", 0): ("Yes", 1, "stop"), ("base_clean", "v00", 0): ("Yes", 1, "stop")}
ODD = {"sarcastic": "Yes", "serious": "No"}


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"logps": without(LOGPS, ("sft_clean", "t2"))}, "sft_clean.* answers t2, which is no held-out prompt"),
        ({"logps": without(LOGPS, ("sft_clean", "t3"))}, "sft_clean and base_clean answered different prompts: t3"),
        ({"logps": NOTHING_OF_SFT}, "sft_clean.*holds no probability of an answer"),
        ({"texts": without(TEXTS, ("base_clean", "t1", 1))}, "answered different prompts: t1"),
        ({"texts": UNASKED}, "answers v00, which is no held-out prompt"),
        ({"prompts": UNLABELLED}, "the prompt t2 has the label None, and the answers are for sarcastic, not_sarcastic"),
        ({"prompts": IN_TRAIN}, "the prompt t2 is in train"),
        ({"prompts": without(corpus(), "t2")}, "t2 is no prompt of the corpus"),
        ({"prompts": ONE_LABEL}, "train has no prompt of the label not_sarcastic"),
        ({"spec": {"runs": {"base_clean": "clean"}}}, "and the spec do not name the same runs: sft_clean"),
        ({"spec": {"answers": ODD}}, "answers and classes do not name the same labels"),
        (
            {"spec": {"answers": ODD, "classes": list(ODD)}},
            "probabilities of not_sarcastic, sarcastic, the answers are",
        ),
        ({"spec": {"runs": {"tfidf_logistic": "clean"}}}, "rename it"),
    ],
)
def test_faults_are_named(tmp_path, faults, said):
    with pytest.raises(WinnowError, match=said):
        measure(world(tmp_path, **faults))
    assert not (tmp_path / "measured.manifest.json").exists()


def test_files_of_another_run_or_corpus_are_refused(tmp_path):
    arguments = world(tmp_path)
    swapped = [str(one).replace("sft_clean=", "x=") if "generations" in str(one) else one for one in arguments]
    swapped = [str(one).replace("base_clean=", "sft_clean=") if "generations" in str(one) else one for one in swapped]
    swapped = [str(one).replace("x=", "base_clean=") if "generations" in str(one) else one for one in swapped]
    with pytest.raises(WinnowError, match="holds a response of sft_clean, not of base_clean"):
        measure(swapped)
    rows = tmp_path / "sft_clean/rows.jsonl"
    rows.write_text(rows.read_text() + rows.read_text().splitlines()[-1] + "\n")
    with pytest.raises(WinnowError, match="has the prompt t3 twice"):
        measure(arguments)
    write_table(tmp_path / "splits.parquet", list(read_rows(tmp_path / "splits.parquet"))[1:], SPLITS, ["prompt_id"])
    with pytest.raises(WinnowError, match=r"1 prompts are in it or in prompts\.parquet alone, a00 among them"):
        measure(arguments)


def test_what_was_measured_is_compared(measured):
    folder, _, _ = measured
    runs = [resolved("sft_clean")]
    read = read_responses(folder / "measured.jsonl", folder / "measured.manifest.json")
    found = compare_responses(read, modalities=["clean"], runs=runs, alike=runs_alike(runs))
    by_probability = found["decisions"]["clean"]["logprob"]["rows"]["sft_clean"]
    assert by_probability["confusion"] == {
        "sarcastic": {"sarcastic": 1, "not_sarcastic": 0, "unparsed": 0},
        "not_sarcastic": {"sarcastic": 1, "not_sarcastic": 0, "unparsed": 1},
    }
    _, sft = found["responses"]["clean"]["logprob"]["rows"]
    # Equal probabilities are no verdict.
    assert sft["failures"] == {"unparsed": 1, "cut_off": 0}
    assert sft["to_reference"]["decision_correct"]["n"] == 3
    _, sft = found["responses"]["clean"]["sampled"]["rows"]
    assert (sft["n"], sft["failures"], sft["values"]["accuracy"]["value"]) == (2, {"unparsed": 0, "cut_off": 1}, 0.5)

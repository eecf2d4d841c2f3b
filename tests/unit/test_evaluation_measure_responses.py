"""The whole script on two runs and three papers, with every number of some rows worked out by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import measure_responses
from winnow.core.ids import sha256_file, sha256_text
from winnow.core.tables import PROMPTS, RENDERED_DPO, RENDERED_SFT, RESPONSES, SPLITS, write_table

SCRIPT = Path(__file__).parents[2] / "workflow_scripts" / "measure_responses.py"
SCALE = [float(rating) for rating in range(1, 11)]

# Eight words in a row of the first are in the paper p1, eight others in a training review.
TRAINED = "we would like to see more results on larger data"
COPIED = f"Graph networks predict how stable a new molecule is. {TRAINED.capitalize()}."
HUMANS = {
    "h1": ("p1", "graph networks are a good idea for molecules", 6.0),
    "h2": ("p1", "the idea is good and the data are not", 8.0),
    "h3": ("p2", "the optimiser in Section 3 is slow", 3.0),
    "h4": ("p2", "slow optimiser and no theory", None),
    "h5": ("p3", "pruning works", 5.0),
}
# (prompt, sample) → text, rating, flags
SFT = {
    ("p1", 0): (COPIED, 10.0, []),
    ("p2", 0): ("the optimiser is slow", 3.0, []),
    ("p3", 0): ("hm", None, ["rating absent"]),
    ("p1", 1): ("the idea is good", 6.0, []),
    ("p1", 2): ("the idea is good", 7.0, []),
    ("p2", 1): ("no theory", 6.0, []),
    ("p2", 2): ("slow", None, ["rating absent", "cut_off"]),
}
BASE = {("p1", 0): ("the the the", None, ["no_review_heading"]), ("p2", 0): ("", None, ["empty_review"])}


def response(identity, prompt, text, rating, *, kind="human", flags=()):
    row = dict.fromkeys(RESPONSES.names)
    row |= {"response_id": identity, "prompt_id": prompt, "text": text, "rating": rating, "rating_scale": SCALE}
    return row | {"author_kind": kind, "flags": list(flags), "text_sha256": sha256_text(text)}


def paper(identity, decision, **more):
    row = dict.fromkeys(PROMPTS.names) | {"prompt_id": identity, "title": "A title", "abstract": "Of a paper"}
    return row | {"decision": decision, "year": 2021} | more


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rendered(path, schema, **columns):
    row = dict.fromkeys(schema.names) | {"prompt_id": "t", "split": "train"} | columns
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, [row], schema, ["prompt_id"])
    return path


def said(text):
    return [{"role": "assistant", "content": f"# Review\n\n{text}"}]


def world(folder, *, decided=True, rated=True):
    """Write a study's files and return the script's arguments."""
    papers = [
        paper("p1", "accept", body="Here graph networks predict how stable a new molecule is, without simulation."),
        paper("p2", "reject", body="An optimiser.", year=2022),
        paper("p3", "workshop", body=None),
        paper("v1", "accept"), paper("v2", "reject"), paper("v3", "reject"), paper("v4", "withdrawn"),
    ]  # fmt: skip
    if not decided:
        papers = [row | {"decision": None} for row in papers]
    write_table(folder / "prompts.parquet", papers, PROMPTS, ["prompt_id"])
    humans = [response(identity, *fields) for identity, fields in HUMANS.items()]
    humans += [response(f"hv{n}", f"v{n}", "fine", rating) for n, rating in ((1, 7.0), (2, 5.0), (3, 6.0), (4, 9.0))]
    humans += [response("m1", "p1", "a model's review of the corpus", 1.0, kind="model")]
    if not rated:
        humans = [row | {"rating": None, "rating_scale": None} for row in humans]
    write_table(folder / "corpus.parquet", humans, RESPONSES, ["response_id"])
    splits = [
        {"prompt_id": row["prompt_id"], "split": "val" if row["prompt_id"].startswith("v") else "test",
         "optimize": False, "group_id": row["prompt_id"]}
        for row in papers
    ]  # fmt: skip
    write_table(folder / "splits.parquet", splits, SPLITS, ["prompt_id"])
    generated, arguments = [], {"generations": [], "rows": []}
    for run, made in (("sft_clean", SFT), ("base_clean", BASE)):
        ids = {key: f"{run}/{key[0]}/{key[1]}" for key in made}
        generations = [
            {"id": ids[key], "run": run, "prompt_id": key[0], "sample": key[1], "text": "...", "token_ids": [],
             "decoding": "greedy" if key[1] == 0 else "sampled", "tokens": 40 + key[1],
             "stop_reason": "length" if "cut_off" in flags else "stop"}
            for key, (_, _, flags) in made.items()
        ]  # fmt: skip
        entropies = [{"kind": "sample", "id": ids[key], "mean_entropy": 0.25} for key in made if key != ("p2", 0)]
        generated += [
            response(ids[key], key[0], text, rating if rated else None, kind="model", flags=flags)
            for key, (text, rating, flags) in made.items()
        ]
        arguments["generations"].append(f"{run}={lines(folder / run / 'generations.jsonl', generations)}")
        rows = [{"kind": "heldout", "id": "h1"}, *entropies]
        arguments["rows"].append(f"{run}={lines(folder / run / 'rows.jsonl', rows)}")
    write_table(folder / "responses.parquet", generated, RESPONSES, ["response_id"])
    answers = {"says": "yes", "asks": "no", "cites": None}
    judged = [{"response_id": row["response_id"], "answers": answers} for row in generated]
    scores = [{"response_id": "h1", "answers": {"says": "yes", "asks": "yes", "cites": "no"}}]
    tables = [
        rendered(folder / "sft/clean/train.parquet", RENDERED_SFT, completion=said(TRAINED)),
        rendered(folder / "dpo/clean/train.parquet", RENDERED_DPO, chosen=said("short"), rejected=said(COPIED)),
    ]
    return [
        *("--spec", json.dumps({"runs": {"base_clean": "clean", "sft_clean": "clean"}})),
        *("--responses", folder / "responses.parquet"),
        *("--generations", *arguments["generations"], "--rows", *arguments["rows"]),
        *("--prompts", folder / "prompts.parquet", "--corpus", folder / "corpus.parquet"),
        *("--splits", folder / "splits.parquet", "--training", *(f"clean={table}" for table in tables)),
        *("--judged", lines(folder / "generated-papers/0-of-1.jsonl", judged)),
        *("--judged-second", lines(folder / "generated_second-papers/0-of-1.jsonl", judged[:1])),
        *("--scores", lines(folder / "scores.jsonl", scores)),
        *("--measured", folder / "measured.jsonl", "--manifest", folder / "measured.manifest.json"),
    ]


def measure(arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def measure_here(arguments, monkeypatch):
    """The same without a process of its own, which would import scientific libraries once more."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    measure_responses.main()


def results(folder):
    rows = [json.loads(line) for line in (folder / "measured.jsonl").read_text().splitlines()]
    return {row["id"]: row for row in rows}, json.loads((folder / "measured.manifest.json").read_text())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    done = measure(world(folder))
    assert done.returncode == 0, done.stderr
    return (folder, *results(folder))


def test_there_is_a_row_for_every_response_in_order(measured):
    folder, rows, manifest = measured
    wanted = {f"sft_clean/{p}/{n}" for p, n in SFT} | {f"base_clean/{p}/{n}" for p, n in BASE} | HUMANS.keys()
    assert list(rows) == sorted(wanted)
    counts = manifest["counts"]["responses"]
    assert (counts["read"], counts["kept"], counts["dropped"]) == (15, 14, {"not written by a human": 1})
    assert counts["notes"] == {
        "generated: cut off": 1,
        "generated: no entropy": 2,
        "generated: not valid": 4,
        "generated: paper neither accepted nor rejected": 1,
        "generated: rating not read": 4,
        "human: no human rating to compare with": 2,  # h3, as h4 gave none, and h5, which is alone
        "human: not judged": 4,
        "human: paper neither accepted nor rejected": 1,
    }
    assert manifest["outputs"] == {"measured": sha256_file(folder / "measured.jsonl")}
    assert (manifest["task"], manifest["classes"], manifest["reference"]) == ("reviews", ["accept", "reject"], "human")


def test_the_threshold_comes_from_people_on_validation_papers(measured):
    manifest = measured[2]
    assert manifest["thresholds"]["fixed"] == 6
    assert manifest["thresholds"]["fitted"] == {
        "1,2,3,4,5,6,7,8,9,10": {
            "scale": SCALE, "t": 7.0, "fitted_on": "own", "papers": 3, "accepted": 1, "balanced_accuracy": 1.0,
        }
    }  # fmt: skip
    validation = manifest["counts"]["validation_papers"]
    assert (validation["read"], validation["dropped"]) == (4, {"neither accepted nor rejected": 1})


def test_a_valid_review_by_hand(measured):
    """19 words, so 12 runs of eight: nine words of the paper are two of them, ten of a training review three."""
    row = measured[1]["sft_clean/p1/0"]
    values = row.pop("values")
    assert row.pop("rating_scale") == SCALE
    assert row == {
        "id": "sft_clean/p1/0", "run": "sft_clean", "modality": "clean", "prompt_id": "p1", "sample": 0,
        "decoding": "greedy", "year": 2021, "decision": "accept", "predicted": "accept", "human_rating": 7.0,
        "words": 19, "answers": {"says": "yes", "asks": "no", "cites": None},
    }  # fmt: skip
    # The longest common subsequence with h1 (8 words) is "graph networks a", with h2 (9 words) "is data".
    shared_1, shared_2 = 2 * 3 / (19 + 8), 2 * 2 / (19 + 9)
    similar = values.pop("similarity_to_others")
    assert 0 < similar < 0.5  # of texts that share "is" with "the optimiser is slow"
    assert 0 <= values.pop("rouge_l_shuffled") < values["rouge_l_mean"]
    assert values == pytest.approx(
        {
            "valid_format": 1, "ended": 1, "rating_parsed": 1, "rating": 10, "rating_error": 3,
            "rating_squared_error": 9, "rating_bias": 3, "rating_in_human_set": 0, "decision_correct": 1,
            "decision_correct_at_6": 1, "checklist_pass_rate": 0.5, "checklist_pass_rate_second": 0.5,
            "rouge_l_mean": (shared_1 + shared_2) / 2, "rouge_l_max": shared_1, "specificity": 0,
            "references_per_100": 0, "numbers_per_100": 0, "quotes_per_100": 0, "citations_per_100": 0,
            "copied_from_paper": 2 / 12, "copied_from_training": 3 / 12, "tokens": 40, "words": 19,
            "length_ratio": 19 / 8.5, "mean_entropy": 0.25,
        },
        abs=1e-6,
    )  # fmt: skip


def test_an_unread_rating_is_wrong_in_all_that_can_be_wrong(measured):
    rows = measured[1]
    values = rows["sft_clean/p2/2"]["values"]
    assert rows["sft_clean/p2/2"]["predicted"] is None
    assert rows["sft_clean/p2/2"]["year"] == 2022
    # People said 3: the farthest rating of the scale is 10.
    assert (values["rating_error"], values["rating_squared_error"]) == (7, 49)
    wrong = (
        "valid_format",
        "ended",
        "rating_parsed",
        "rating_in_human_set",
        "decision_correct",
        "decision_correct_at_6",
    )
    assert [values[name] for name in wrong] == [0] * 6
    assert values["rating"] is values["rating_bias"] is values["copied_from_paper"] is None
    undecided = rows["sft_clean/p3/0"]["values"]
    assert undecided["decision_correct"] is None  # a workshop is neither
    assert undecided["rating_error"] == 5
    empty = rows["base_clean/p2/0"]
    nothing = ("words", "rouge_l_mean", "specificity", "length_ratio", "checklist_pass_rate")
    assert [empty["values"][name] for name in nothing] == [0] * 5  # whatever a judge says of it
    assert empty["values"]["mean_entropy"] is None  # was not measured


def test_a_human_is_held_against_the_others(measured):
    rows = measured[1]
    first = rows["h1"]
    assert (first["run"], first["modality"], first["sample"], first["decoding"]) == ("human", None, None, "human")
    values = first["values"]
    assert (first["human_rating"], values["rating"], values["rating_error"], values["rating_bias"]) == (8, 6, 2, -2)
    assert (first["predicted"], values["decision_correct"], values["decision_correct_at_6"]) == ("reject", 0, 1)
    assert values["rating_in_human_set"] == 0
    assert values["checklist_pass_rate"] == pytest.approx(2 / 3, abs=1e-6)
    # h1 (8 words) and h2 (9) have "are", "idea" and "good", each time in another order.
    assert values["rouge_l_mean"] == values["rouge_l_max"] == pytest.approx(2 / 17, abs=1e-6)
    assert values["length_ratio"] == pytest.approx(8 / 9, abs=1e-6)
    nobody = ("valid_format", "ended", "rating_parsed", "tokens", "mean_entropy", "checklist_pass_rate_second")
    assert {values[name] for name in nobody} == {None}
    alone = rows["h5"]["values"]
    compared = ("rating_error", "rating_bias", "rating_in_human_set", "rouge_l_mean", "rouge_l_max", "length_ratio")
    assert {alone[name] for name in compared} == {None}
    assert alone["rating"] == 5
    # A human who gave no rating is a hole in the data, and not a wrong answer.
    unrated = rows["h4"]["values"]
    assert {unrated[name] for name in ("rating", "rating_error", "decision_correct")} == {None}


def test_sets_of_texts_have_one_review_of_each_paper(measured):
    sets = measured[2]["sets"]
    assert sets.keys() == {"base_clean", "sft_clean", "human"}
    # First samples: the idea is good / no theory: 4 pairs of 4; second ones: the idea is good / slow: 3 of 3.
    assert sets["sft_clean"]["sampled"]["distinct_2"] == 1
    assert sets["base_clean"]["greedy"] == {"distinct_2": 0.5, "self_bleu": None}  # the the, twice; an empty one
    assert 0 < sets["human"]["human"]["distinct_2"] <= 1


def test_the_same_sources_give_the_same_bytes_in_any_order(measured, tmp_path, monkeypatch):
    folder = measured[0]
    arguments = world(tmp_path)
    for file in (tmp_path / "sft_clean").iterdir():
        file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    measure_here(arguments, monkeypatch)
    assert (tmp_path / "measured.jsonl").read_bytes() == (folder / "measured.jsonl").read_bytes()


def test_a_corpus_without_ratings_and_decisions_is_measured_by_what_is_there(tmp_path, monkeypatch):
    measure_here(world(tmp_path, decided=False, rated=False), monkeypatch)
    rows, manifest = results(tmp_path)
    values = rows["sft_clean/p1/0"]["values"]
    gone = (
        "rating_parsed",
        "rating",
        "rating_error",
        "rating_in_human_set",
        "decision_correct",
        "decision_correct_at_6",
    )
    assert {values[name] for name in gone} == {None}
    assert values["rouge_l_mean"] > 0
    assert manifest["thresholds"]["fitted"] == {}
    assert manifest["counts"]["responses"]["notes"]["human: no human rating to compare with"] == 5


def test_what_no_run_generated_is_refused(tmp_path):
    arguments = world(tmp_path)
    generations = tmp_path / "sft_clean/generations.jsonl"
    generations.write_text("".join(generations.read_text().splitlines(keepends=True)[1:]))
    done = measure(arguments)
    assert done.returncode == 2
    assert "has 1 responses that no run generated, sft_clean/p1/0" in done.stderr
    assert not (tmp_path / "measured.manifest.json").exists()


def test_a_study_that_generates_nothing_has_no_rows(tmp_path, monkeypatch):
    arguments = world(tmp_path)
    for run in ("sft_clean", "base_clean"):
        (tmp_path / run / "generations.jsonl").write_text("")
    write_table(tmp_path / "responses.parquet", [], RESPONSES, ["response_id"])
    measure_here(arguments, monkeypatch)
    rows, manifest = results(tmp_path)
    assert rows == {}
    assert manifest["sets"] == {"human": {"human": {"distinct_2": None, "self_bleu": None}}}

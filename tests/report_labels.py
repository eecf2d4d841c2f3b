"""A labelled study's folder of results as the steps leave it: what was answered, measured and compared is made up."""

import json
import math
import random
from pathlib import Path
from typing import Any

import labelled_study
from report_fixtures import ROOT, _json, _lines, _manifest, _row, _tally, collect_usage
from winnow.core.config.studies import ResolvedStudy, Site
from winnow.core.ids import canonical_json, sha256_text
from winnow.core.study import load_study
from winnow.core.tables import (
    CHOSEN_PAIRS,
    CHOSEN_RESPONSES,
    LEDGER_PAIRS,
    LEDGER_RESPONSES,
    PROMPTS,
    REJECTED,
    RENDERED_SFT,
    RESPONSES,
    write_table,
)
from winnow.evaluation.metrics import heldout_metrics, preference_metrics
from winnow.numerics.generations import summarize_generations
from winnow.reporting.accounting import Accounting

LABELS = ("sarcastic", "not_sarcastic")
WORDS = {"sarcastic": "Yes", "not_sarcastic": "No"}
POSTS = 70  # ten more than are shown
HOSTILE = "</blockquote><script>alert('x')</script><b>bold</b> \u202e reversed"
TASK = {
    "name": "labels",
    "classes": list(LABELS),
    "class_titles": {"sarcastic": "sarcastic", "not_sarcastic": "not sarcastic"},
    "item": "post",
    "items": "posts",
    "reference": "tfidf_logistic",
    "reference_title": "TF-IDF and logistic regression",
    "decodings": {"greedy": "One greedy response", "logprob": "By probability", "sampled": "Drawn responses"},
    "groups": {"decision": "Label", "source": "Source"},
}
METRICS = {  # title, unit, better, kind, primary
    "decision_correct": ("Right", "share", "higher", "share", True),
    "verdict_read": ("Verdict read", "share", "higher", "share", False),
    "margin": ("Margin", "nats", "higher", "mean", False),
    "accuracy": ("Accuracy", "share", "higher", "set", False),
    "macro_f1": ("Macro-F1", "", "higher", "set", False),
    "f1_positive": ("F1 of the positive label", "", "higher", "set", False),
    "mcc": ("MCC", "", "higher", "set", False),
    "predicted_positive_rate": ("Answered positive", "share", None, "set", False),
}
BASELINE = {"strength": 4.0, "features": 12345, "rows": {"train": 56, "val": 14}}


def label_study(folder: Path) -> ResolvedStudy:
    """Return the study of labelled_study.py, resolved, its early stopping guarded."""
    file = folder / "labels.yaml"
    file.write_text(labelled_study.STUDY)
    study = load_study(file, Site(), ROOT)
    guard = {"metric": "predicted_positive_rate/sft", "min": 0.2, "max": 0.8}
    stopping = {"metric": "macro_f1/sft", "mode": "max", "patience": 2, "guard": guard}
    runs = {
        name: run.model_copy(update={"recipe": {**run.recipe, "early_stopping": stopping}})
        for name, run in study.runs.items()
    }
    return study.model_copy(update={"runs": runs})


def _label(number: int) -> str:
    return LABELS[number % 2]


def _corpora(root: Path, study: ResolvedStudy) -> None:
    for name in study.corpora:
        folder = root / "corpus" / name
        rows = [
            _row(PROMPTS, prompt_id=f"{name}-{at:02}", body=labelled_study.text(f"{name} {at}"), label=_label(at))
            | {"source": ("GEN", "HYP")[at % 3 == 0]}
            for at in range(POSTS)
        ]
        rows[0]["body"] += HOSTILE
        said = [
            _row(RESPONSES, response_id=f"{row['prompt_id']}-v", prompt_id=row["prompt_id"], text=WORDS[row["label"]])
            for row in rows
        ]
        write_table(folder / "prompts.parquet", rows, PROMPTS, ["prompt_id"])
        write_table(folder / "responses.parquet", said, RESPONSES, ["response_id"])
        write_table(folder / "rejected.parquet", [], REJECTED, ["record_id"])
        counts = {"prompts": _tally(POSTS, {"text_too_short": 2})}
        _manifest(folder / "ingest.manifest.json", "ingest", counts)
        _manifest(folder / "splits.manifest.json", "split", {"prompts": _tally(POSTS, {})})


def _scores(root: Path, study: ResolvedStudy) -> None:
    rows = [
        {"response_id": f"{name}-{at:02}-v", "prompt_id": f"{name}-{at:02}", "corpus": name, "year": None}
        | {"rating": None, "n_tokens": 1, "checkmark_count": 1, "answers": {"agrees_with_label": "yes"}}
        | {"parse_status": "ok", "injection_flags": []}
        for name in study.corpora
        for at in range(POSTS)
    ]
    _lines(root / "scores/review_evaluations.jsonl", rows)
    labels = [
        {"corpus": name, "label": label, "n": 1200, "yes": 1100, "no": 97, "null": 3}
        for name in study.corpora
        for label in sorted(LABELS)
    ]
    gate = {"name": "null_rate", "value": 0.0025, "threshold": 0.02, "bound": "at_most", "note": None, "passed": True}
    report = {"rows": 4800, "labels": labels, "gates": [gate], "judge": {"model": "label"}, "by_year": []}
    _json(root / "scores/judge_report.json", report | {"correlations": {"count_and_rating": {"n": 0, "pearson": None}}})
    _manifest(
        root / "scores/scores.manifest.json", "score_labels", {"responses": _tally(140, {})}, judge={"model": "label"}
    )


def _split(at: int) -> str:
    return "train" if at % 5 else "val"


def _datasets(root: Path, study: ResolvedStudy, draw: random.Random) -> None:
    chosen = [
        _row(CHOSEN_RESPONSES, response_id=f"posts-{at:02}-v", prompt_id=f"posts-{at:02}", split=_split(at))
        for at in range(POSTS)
    ]
    pairs = [
        _row(
            CHOSEN_PAIRS, pair_id=f"x{at}", prompt_id=f"tweets-{at:02}", split=_split(at), chosen_id=f"tweets-{at:02}-v"
        )
        | {"checkmark_diff": 1, "length_ratio": draw.uniform(0.8, 1.25)}
        for at in range(40)
    ]
    for name, rows, table, ledger, keys in (
        ("sft", chosen, CHOSEN_RESPONSES, LEDGER_RESPONSES, ("response_id", "response_id")),
        ("dpo", pairs, CHOSEN_PAIRS, LEDGER_PAIRS, ("pair_id", "chosen_id")),
    ):
        folder = root / "datasets" / name
        write_table(folder / "chosen.parquet", rows, table, [keys[0]])
        write_table(folder / "ledger.parquet", [], ledger, [keys[1]])
        _manifest(folder / "choose.manifest.json", "choose", {"rows": _tally(len(rows), {"unbalanced": 3})})
        for step in ("render", "align"):
            _manifest(folder / "clean" / f"{step}.manifest.json", step, {"train": _tally(30, {}), "val": _tally(8, {})})
        rules = [{"id": "L1", "name": "labels", "status": "pass", "checked": 40, "failures": 0}]
        _json(folder / "clean/validation.json", {"ok": True, "rules": rules})
        (folder / "clean/dataset_card.md").write_text("a card")


def metrics_rows(stage: str) -> list[dict[str, Any]]:
    """Return the lines of a training's metrics.jsonl: labelled validation rows are measured at each evaluation."""
    rows: list[dict[str, Any]] = []
    for step in range(0, 41, 4):
        shared = {"step": step, "loss": 0.7 - 0.01 * step}
        measured = {
            f"{metric}/{dataset}": round(low + 0.008 * step - 0.05 * at, 6)
            for at, dataset in enumerate(("sft", "other"))
            for metric, low in (
                ("macro_f1", 0.35),
                ("predicted_positive_rate", 0.3),
                ("accuracy", 0.5),
                ("f1_positive", 0.4),
                ("margin", -0.2),
            )
        }
        if stage == "dpo":
            shared |= {"rewards/margins": 0.02 * step, "rewards/accuracies": 0.6, "kl_tok": 0.001 * step}
            shared |= {"kl_seq": 0.05 * step, "reward_ratio": math.exp(0.02 * step), "displacement_rate": 0.02 * step}
            shared |= {"delta_logp_chosen_per_token": -0.003 * step, "delta_logp_rejected_per_token": -0.006 * step}
        rows += [
            shared | {"kind": "train", "grad_norm": 2.0, "learning_rate": 1e-4},
            shared | measured | {"kind": "eval"},
        ]
    return rows


def _runs(root: Path, study: ResolvedStudy) -> None:
    for name, run in study.runs.items():
        folder = root / "runs" / name
        _lines(folder / "metrics.jsonl", metrics_rows(run.stage))
        _json(folder / "spec.json", run.model_dump(mode="json"))
        alarm = {"name": "chosen_less_likely", "step": 40, "value": -0.12, "threshold": -0.1}
        alarm |= {"message": "the chosen responses become less likely than under the reference"}
        made_from = {"data": {"train": "b" * 64}, "code": {}}
        facts = {"planned_steps": 40, "stopped_early": False, "selected_step": None, "steps": 40, "first_loss": 0.7}
        _manifest(
            folder / "manifest.json",
            f"train_{run.stage}",
            {"rows": {"train": 35, "val": 4}},
            settings={"recipe": run.recipe},
            run={"identity": sha256_text(canonical_json(made_from))[:16]},
            made_from=made_from,
            weights={"model.safetensors": "c" * 64},
            world_size=1,
            parameters=120_000,
            trainable_parameters=120_000,
            alarms=[alarm] if run.stage == "dpo" else [],
            **facts,
        )
        (folder / "model_card.md").write_text("a card")


def said(run: str, number: int, sample: int) -> str:
    """Return what a run writes to a post: the base model nothing that can be read, others are wrong now and then."""
    if run.startswith("base_"):
        return f"It depends on post {number}." if number else " \n"
    wrong = number % (4 if run.startswith("sft") else 7) == 0
    more = " So it is." * 50 if number == 2 and sample else ""
    return f"{WORDS[LABELS[(number + wrong) % 2]]}, for post {number} reads so ({sample}).{more}"


def _answers(root: Path, study: ResolvedStudy, draw: random.Random) -> None:
    heldout = root / "evaluation/heldout"
    measured: list[dict[str, Any]] = []
    for run in ("base_clean", *study.runs):
        generated, rows = [], []
        for number in range(POSTS):
            prompt, label = f"posts-{number:02}", _label(number)
            base = run.startswith("base_")
            nats = {name: round(-0.2 - 2.0 * (name != label) - draw.random(), 6) for name in LABELS}
            if base:
                nats = dict.fromkeys(LABELS, -1.25) if number == 1 else {"sarcastic": -0.5, "not_sarcastic": -0.75}
            rows.append({"kind": "label", "id": prompt, "prompt_id": prompt, "logps": nats})
            tie = len(set(nats.values())) == 1
            probable = None if tie else max(nats, key=lambda name: nats[name])
            common = {"run": run, "modality": "clean", "prompt_id": prompt, "decision": label, "source": "GEN"}
            right = {"decision_correct": float(probable == label)}
            measured.append(
                common
                | {"id": f"{run}/{prompt}/logprob", "sample": None, "decoding": "logprob", "predicted": probable}
                | {"values": right}
            )
            for sample in range(2):
                text = said(run, number, sample)
                verdict = next((name for name, word in WORDS.items() if text.startswith(word)), None)
                own = {"id": f"{run}/{prompt}/{sample}", "sample": sample, "decoding": ("greedy", "sampled")[sample]}
                generated.append(
                    own | {"run": run, "prompt_id": prompt, "text": text, "tokens": 9, "stop_reason": "stop"}
                )
                right = {"decision_correct": float(verdict == label), "verdict_read": float(verdict is not None)}
                measured.append(common | own | {"predicted": verdict, "values": right})
        _lines(heldout / run / "generations.jsonl", generated)
        pairs = [
            {"kind": "preference", "dataset": "dpo", "id": f"x{i}", "prompt_id": f"tweets-{i:02}"}
            | {"chosen_logp": -9.0 + draw.gauss(0, 3), "chosen_tokens": 9, "rejected_logp": -9.5, "rejected_tokens": 9}
            for i in range(24)
        ]
        losses = [
            {"kind": "heldout", "id": f"posts-{i:02}-v", "prompt_id": f"posts-{i:02}", "cut": False, "tokens": 2}
            | {"nats": round(1 + draw.random(), 6)}
            for i in range(POSTS)
        ]
        _lines(heldout / run / "rows.jsonl", losses + pairs + rows)
        _json(
            heldout / run / "metrics.json",
            {
                "run": run,
                "heldout": heldout_metrics(losses, 0),
                "preferences": {"dpo": preference_metrics(pairs)},
                "generations": summarize_generations([]),
                "software": {"torch": "2.13.0"},
            },
        )
    shown = [
        dict.fromkeys(RENDERED_SFT.names)
        | {"prompt_id": f"posts-{i:02}", "response_id": f"posts-{i:02}-v", "corpus": "posts"}
        for i in range(POSTS)
    ]
    write_table(heldout / "clean.parquet", shown, RENDERED_SFT, ["response_id"])
    _lines(heldout / "measured.jsonl", sorted(measured, key=lambda row: row["id"]))
    _json(
        heldout / "measured.manifest.json",
        {"step": "measure_labels", "task": "labels", "classes": list(LABELS), "baseline": BASELINE},
    )
    for step in ("manifest.json", "align.manifest.json"):
        _manifest(heldout / f"clean.{step}", step.split(".", maxsplit=1)[0], {"rows": _tally(POSTS, {})})


def entry(value: float | None) -> dict[str, Any]:
    """Return a metric of one run."""
    bounds = None if value is None else [round(value - 0.05, 6), round(value + 0.05, 6)]
    return {"n": POSTS, "missing": 0, "prompts": POSTS, "value": value, "interval": bounds}


def difference(value: float, p: float, verdict: str | None) -> dict[str, Any]:
    """Return a run minus another."""
    return {
        "n": POSTS,
        "prompts": POSTS,
        "value": value,
        "interval": [round(value - 0.02, 6), round(value + 0.02, 6)],
        "p": p,
        "test": "mcnemar",
        "verdict": verdict,
        "mde": 0.03,
    }


AGAINST = {  # of each run, to the baseline, in points of accuracy
    "base_clean": difference(-0.212, 0.00001, "worse"),
    "sft_clean": difference(-0.031, 0.0123, "worse"),
    "dpo_clean": difference(0.004, 0.61, "no difference shown"),
}


def _decided(accuracy: float) -> dict[str, Any]:
    confusion = {
        "sarcastic": {"sarcastic": 20, "not_sarcastic": 14, "unparsed": 1},
        "not_sarcastic": {"sarcastic": 8, "not_sarcastic": 27, "unparsed": 0},
    }
    sarcastic = {"precision": entry(0.714286), "recall": entry(0.571429), "f1": entry(0.634921)}
    other = {"precision": entry(0.658537), "recall": entry(0.771429), "f1": {"value": None, "interval": None}}
    found = {name: entry(accuracy) for name in ("accuracy", "macro_f1", "f1_positive", "predicted_positive_rate")}
    per_class = {"sarcastic": sarcastic, "not_sarcastic": other}
    return {"n": POSTS, "confusion": confusion, "mcc": entry(0.3), "per_class": per_class} | found


def comparison(study: ResolvedStudy, draw: random.Random) -> dict[str, Any]:
    """Return comparison.json of the study, with numbers made up."""
    parents = {"base_clean": None} | {name: run.parent or "base_clean" for name, run in study.runs.items()}
    rows, losses = [], []
    for at, (run, parent) in enumerate(parents.items()):
        stage = "base" if parent is None else study.runs[run].stage
        seed = {"seed": None if parent is None else 42, "seeds": [] if parent is None else [42]}
        tested = difference(0.1 * at, 0.001, "better") | {"left_out": 0, "p_holm": 0.004, "only_ours": 9}
        tested |= {"only_theirs": 2}
        against = None if parent is None else {"decision_correct": tested}
        rows.append(
            {"run": run, "stage": stage, "parent": parent, "n": POSTS, "prompts": POSTS, **seed}
            | {"failures": {"unparsed": POSTS * (at == 0), "cut_off": 3}}
            | {"values": {name: entry(0.5 + 0.1 * at) for name in METRICS}}
            | {"to_base": against, "to_parent": against, "to_reference": {"decision_correct": AGAINST[run]}}
        )
        loss = {"loss": 1.5 - 0.1 * at, "loss_interval": [1.4 - 0.1 * at, 1.6 - 0.1 * at], "perplexity": 4.0}
        loss |= {"perplexity_interval": [3.5, 4.5], "n": POSTS, "prompts": POSTS, "tokens": 140, "rows_cut": 0}
        losses.append(
            {"run": run, "stage": stage, "parent": parent, **seed, "swept": {}, "beta": None, "heldout": loss}
            | {"preferences": {}, "generations": {}, "to_base": None, "to_parent": None, "training": {}}
        )
    baselines = {"majority": {"answer": "not_sarcastic", **_decided(0.5)}, "always_positive": _decided(0.48)}
    baselines |= {"tfidf_logistic": _decided(0.712)}
    decided = {
        "n": POSTS,
        "baselines": baselines,
        "rows": {run: _decided(0.5 + 0.1 * draw.random()) for run in parents},
    }
    one = {run: {"decision_correct": entry(0.625)} for run in (*parents, "tfidf_logistic")}
    breakdown = {"decision": dict.fromkeys(LABELS, one), "source": {"GEN": one, "HYP": one}}
    reference = {"decision_correct": entry(0.712), "accuracy": entry(0.712)}
    decodings = ("logprob", "greedy", "sampled")
    return {
        "study": study.study,
        "bootstrap": {"seed": 0, "resampled": "prompts", "level": 0.95},
        "modalities": {"clean": losses},
        "sweeps": [],
        "task": TASK,
        "metrics": {
            name: dict(zip(("title", "unit", "better", "kind", "primary"), words, strict=True)) | {"about": name}
            for name, words in METRICS.items()
        },
        "family": {"method": "holm", "level": 0.05, "metrics": ["decision_correct"], "tests": 6},
        "responses": {"clean": {name: {"reference": reference, "rows": rows} for name in decodings}},
        "decisions": {"clean": dict.fromkeys(decodings, decided)},
        "breakdown": {"clean": dict.fromkeys(decodings, breakdown)},
        "arms": {},
    }


def make_label_results(root: Path) -> ResolvedStudy:
    """Fill `root` with the results of a labelled study, and return the study."""
    root.mkdir(parents=True)
    study, draw = label_study(root.parent), random.Random(5)
    _json(root / "study.json", study.model_dump(mode="json"))
    _corpora(root, study)
    _scores(root, study)
    _datasets(root, study, draw)
    _manifest(
        root / "models/text/manifest.json", "prepare_model", model={"kind": "tiny", "source": ".", "revision": None}
    )
    _runs(root, study)
    _answers(root, study, draw)
    for name in study.exports:
        _manifest(root / "exports" / name / "manifest.json", "export_dataset", {"rows": _tally(80, {})})
    (root / "comparison").mkdir()
    # As compare_runs writes it: keys in the order of the alphabet.
    (root / "comparison/comparison.json").write_text(json.dumps(comparison(study, draw), sort_keys=True))
    none = Accounting("there is no sacct on this machine", answered=False)
    _json(root / "usage.json", collect_usage(study, root, none))
    return study

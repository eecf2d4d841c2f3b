"""A study's folder of results as the steps leave it, with made-up numbers and texts that would like to break a page."""

import json
import math
import random
from pathlib import Path
from typing import Any

from report_responses import compared, write_generated
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
    RESPONSES,
    write_table,
)
from winnow.evaluation.comparison import compare, last_logged, read_measured
from winnow.evaluation.measured import Measured
from winnow.evaluation.metrics import heldout_metrics, preference_metrics
from winnow.evaluation.review_metrics import REVIEWS
from winnow.numerics.generations import summarize_generations
from winnow.reporting.accounting import Accounting
from winnow.reporting.usage import collect

ROOT = Path(__file__).parents[1]
HOSTILE = "</pre><script>alert('x')</script><img src=https://evil.example/x.png onerror=alert(1)>\x07 \u202e reversed"
DROPPED = {
    "ingest": {"meta_review": 366, "rating_not_on_scale": 3, "text_too_short": 12},
    "choose": {"below_cut": 200, "no_rating": 17, "not_enough_answered": 2},
    "pair": {"rating_diff": 310, "same_<b>text</b>": 1, "too_similar": 4},
    "render": {"prompt_over_budget": 1},
}


def demo_study() -> ResolvedStudy:
    """Return the demo study, resolved, with its text alone: a page of one modality is long enough."""
    study = load_study(ROOT / "studies" / "demo.yaml", Site(), ROOT)
    runs = {name: run for name, run in study.runs.items() if run.modality == "clean"}
    text = {"modalities": {"clean": study.modalities["clean"]}, "models": {"text": study.models["text"]}}
    return study.model_copy(update=text | {"runs": runs})


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _manifest(path: Path, step: str, counts: dict[str, Any] | None = None, **more: Any) -> None:
    # Every step reads what another made, so that no lineage is broken.
    body = {"step": step, "inputs": {"source": "b" * 64}, "outputs": {"table": "b" * 64}, "settings": {}}
    _json(path, body | {"counts": counts or {}, "software": {"pyarrow": "26.0.1"}} | more)


def _tally(kept: int, dropped: dict[str, int], **notes: int) -> dict[str, Any]:
    return {"read": kept + sum(dropped.values()), "kept": kept, "dropped": dropped, "notes": notes}


def _row(schema: Any, **values: Any) -> dict[str, Any]:
    return {name: values.get(name) for name in schema.names}


def _data(root: Path, draw: random.Random) -> None:
    corpus = root / "corpus" / "papers"
    prompts = [_row(PROMPTS, prompt_id=f"p{i:03}", title="A title") for i in range(60)]
    responses = [_row(RESPONSES, response_id=f"r{i:03}", prompt_id=f"p{i // 4:03}") for i in range(240)]
    rejected = [
        _row(REJECTED, kind="response", record_id=f"{reason}{i}", reason=reason)
        for reason, count in DROPPED["ingest"].items()
        for i in range(count)
    ]
    write_table(corpus / "prompts.parquet", prompts, PROMPTS, ["prompt_id"])
    write_table(corpus / "responses.parquet", responses, RESPONSES, ["response_id"])
    write_table(corpus / "rejected.parquet", rejected, REJECTED, ["record_id"])
    counts = {"responses": _tally(240, DROPPED["ingest"], rebuttal_edit=5), "prompts": _tally(60, {})}
    _manifest(corpus / "ingest.manifest.json", "ingest", counts)
    _manifest(corpus / "splits.manifest.json", "split", {"prompts": _tally(60, {})})
    scored = []
    for i in range(240):
        marks = min(20, max(0, round(draw.gauss(9, 3))))
        answers = {f"item_{j:02}": None if draw.random() < 0.01 else ("no", "yes")[j < marks] for j in range(20)}
        scored.append(
            {
                "response_id": f"r{i:03}",
                "prompt_id": f"p{i // 4:03}",
                "corpus": "papers",
                "year": (None, 2019, 2020)[i % 3],
            }
            | {"rating": None if i % 20 == 0 else float(draw.randint(1, 10)), "answers": answers}
            | {"n_tokens": round(draw.lognormvariate(5.6, 0.5)), "checkmark_count": marks, "parse_status": "ok"}
            | {"injection_flags": ["ignore_previous"] if i == 7 else []}
        )
    _lines(root / "scores" / "review_evaluations.jsonl", scored)
    judge = {"model": "lexical", "revision": "1", "mode": "cues", "checklist_sha": "d" * 64}
    _manifest(root / "scores" / "scores.manifest.json", "gather_scores", {"responses": _tally(240, {})}, judge=judge)
    _json(root / "scores" / "judge_report.json", judge_report())


def _agreement(column: str, **more: Any) -> list[dict[str, Any]]:
    """Return made-up agreement of three items; the last has no kappa."""
    return [
        {
            "item": f"item_{j:02}",
            "n": 40,
            "kappa": (0.123, 0.423, None)[j],
            "kappa_interval": ([-0.1, 0.3], None)[j == 2],
        }
        | {"judge_yes": 0.5, column: 0.2, "observed_agreement": 0.6, "expected_agreement": 0.5}
        | {"ac1": 0.2, "alpha": None}
        | more
        for j in range(3)
    ]


def _flips(flips: int, n: int) -> dict[str, Any]:
    return {
        "flips": flips,
        "n": n,
        "rate": flips / n,
        "interval": [0.9 * flips / n, 1.1 * flips / n] if flips else None,
    }


def judge_report(null_rate: float = 0.01, **blocks: Any) -> dict[str, Any]:
    """Return a judge report as gather_scores.py writes it, with some blocks changed."""
    again = {"judge": {"model": "stub", "revision": "<b>1</b>"}, "responses": 200, "prompts": 60, "mean_kappa": 0.273}
    again |= {"nulls": {"asked": 4000, "judge": 40, "again": 44}, "flips": _flips(82, 3920)}
    directions = {"flips": _flips(100, 3920), "to_yes": _flips(95, 2000), "to_no": _flips(5, 1920)}
    people = {"in_words": "agreement with people is poor", "items": _agreement("people_marked", aspect="clarity")}
    sheet = {"in_words": "agreement with people is moderate", "items": _agreement("people_yes"), "file": "sheet.csv"}
    return {
        "rows": 240,
        "items": [{"item": "item_00", "n": 240, "yes": 3}],
        "null_rate": {"overall": null_rate, "by_length_quartile": [{"quartile": 1, "n": 60, "null_rate": 0.0}]},
        "correlations": {"count_and_rating": {"n": 228, "pearson": 0.314159, "spearman": 0.3}},
        "left_out": {"responses": 7, "units": 31415},
        "judge": {"model": "lexical", "mode": "item"},
        "gates": [
            _gate("null_rate", null_rate, 0.02, passed=null_rate <= 0.02),
            _gate("retest_kappa", None, 0.6, passed=None, bound="at_least", note="not measured: <i>left out</i>"),
            _gate("people_kappa", 0.273, None, passed=None, bound="at_least"),
        ],
        "retest": again | {"items": _agreement("again_yes")},
        "reordered": None,
        "second": again | {"items": _agreement("second_yes")},
        "injected": again | directions | {"by_injection": [{"injection": "in_german", "responses": 9} | directions]},
        "human_sheet": sheet | {"rows": 100, "rows_with_answers": 61, "answers": 1200, "empty_cells": 800},
        "human_agreement": people | {"mapping": "an aspect", "judged_and_annotated": 40, "annotated_not_judged": 2},
    } | blocks


def _gate(name: str, value: float | None, threshold: float | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "threshold": threshold, "bound": "at_most", "note": None} | more


def optimal_checklist(**changes: Any) -> dict[str, Any]:
    """Return an optimal_checklist.json as optimize_checklist.py writes it, as far as it is read."""
    stats = {"prevalence": 0.5, "auc": 0.55, "kappa": None, "corr_len": 0.3, "corr_rating": -0.1}
    stats |= {"phi_max": 0.4, "selection_freq": 0.83}
    return {
        "version": 1,
        "status": "not_better_than_chance",
        "target": "alignment",
        "K": 8,
        "questions": [
            {"id": f"item_{j:02}", "text": f"Does it <u>say</u> {j}?", "order": j + 1, "stats": stats} for j in range(8)
        ],
        "dropped": [{"id": "item_17", "reason": "prevalence 0.97 is above 0.95, <s>too much</s>"}],
        "cv": {
            "auc": 0.561,
            "se": 0.012,
            "curve": [{"k": k, "auc": 0.5 + 0.07 * (1 - 0.8**k), "se": 0.012} for k in range(1, 16)],
        },
        "permutation": {"p": 0.125, "B": 199, "null95": 0.569},
        "baselines": {"random": {"mean": 0.531, "se": 0.004, "subsets": 100}, "all_candidates": 0.548, "length": 0.5432}
        | {"all_survivors": 0.551, "l1_logistic": {"auc": 0.583, "strength": 0.1}},
        "data": {"n_reviews": 1234, "n_papers": 321},
    } | changes


def _datasets(root: Path, draw: random.Random) -> None:
    sft = [
        _row(
            CHOSEN_RESPONSES, response_id=f"r{i:03}", prompt_id=f"p{i // 4:03}", split="val" if i % 10 == 0 else "train"
        )
        for i in range(0, 240, 5)
    ]
    left = [
        _row(LEDGER_RESPONSES, response_id=f"{reason}{i}", reason=reason)
        for reason, count in DROPPED["choose"].items()
        for i in range(count)
    ]
    write_table(root / "datasets/sft/chosen.parquet", sft, CHOSEN_RESPONSES, ["response_id"])
    write_table(root / "datasets/sft/ledger.parquet", left, LEDGER_RESPONSES, ["response_id"])
    _manifest(root / "datasets/sft/choose.manifest.json", "select_responses", {"r": _tally(48, DROPPED["choose"])})
    pairs = [
        _row(CHOSEN_PAIRS, pair_id=f"x{i}", prompt_id=f"p{i:03}", split="train" if i % 8 else "val")
        | {"chosen_id": f"r{4 * i:03}", "rating_diff": float(draw.randint(2, 6)), "checkmark_diff": draw.randint(2, 9)}
        | {"length_ratio": draw.lognormvariate(0.2, 0.3)}
        for i in range(40)
    ]
    refused = [
        _row(LEDGER_PAIRS, chosen_id=f"{reason}{i}", rejected_id="r", reason=reason)
        for reason, count in DROPPED["pair"].items()
        for i in range(count)
    ]
    write_table(root / "datasets/dpo/chosen.parquet", pairs, CHOSEN_PAIRS, ["pair_id"])
    write_table(root / "datasets/dpo/ledger.parquet", refused, LEDGER_PAIRS, ["chosen_id"])
    _manifest(root / "datasets/dpo/choose.manifest.json", "pair_responses", {"pairs": _tally(40, DROPPED["pair"])})
    for dataset in ("sft", "dpo"):
        folder = root / "datasets" / dataset / "clean"
        counts = {"train": _tally(35, DROPPED["render"]), "val": _tally(4, {})}
        _manifest(folder / "render.manifest.json", "render_dataset", counts)
        counts = {"train": _tally(35, {}), "val": _tally(4, {})}
        files = dict.fromkeys(("train", "val"), "b" * 64)
        _manifest(folder / "align.manifest.json", "align_modalities", counts, outputs=files)
        (folder / "dataset_card.md").write_text("a card")
        rules = [
            {"id": "C1", "name": "chosen differs", "status": "pass", "checked": 40, "failures": 0, "examples": []},
            {"id": "C9", "name": "what else the choice favours", "status": "warn", "checked": 40, "failures": 0}
            | {"measured": {"length_auc": 0.68}, "examples": [{"id": "x1", "what": "is <u>long</u>"}]},
            {
                "id": "C6",
                "name": "images",
                "status": "not_applicable",
                "checked": 0,
                "failures": 0,
                "reason": "no images",
            },
        ]
        _json(folder / "validation.json", {"ok": True, "rules": rules})


def _runs(root: Path, study: ResolvedStudy, draw: random.Random) -> None:
    for name, run in study.runs.items():
        rows = []
        for step in range(1, 41):
            margin = 0.02 * step + draw.gauss(0, 0.05)
            loss = math.log1p(math.exp(-margin)) if run.stage == "dpo" else 5 - 0.04 * step
            row = {"step": step, "epoch": step / 20, "loss": loss, "grad_norm": 2.0, "learning_rate": 1e-4}
            if run.stage == "dpo":
                row |= {"rewards/margins": margin, "rewards/accuracies": 0.6, "kl_tok": 0.001 * step}
                row |= {"delta_logp_chosen_per_token": -0.003 * step, "delta_logp_rejected_per_token": -0.006 * step}
            rows += [row | {"kind": kind} for kind in (("train", "eval") if step % 4 == 0 else ("train",))]
        _lines(root / "runs" / name / "metrics.jsonl", rows)
        _json(root / "runs" / name / "spec.json", run.model_dump(mode="json"))
        alarm = {
            "name": "displacement",
            "step": 40,
            "value": -0.12,
            "threshold": -0.1,
            "message": "chosen fell <i>far</i>",
        }
        facts = {"planned_steps": 40, "stopped_early": False, "selected_step": None}
        facts |= {"steps": 40, "first_loss": math.log(2), "world_size": 1, "parameters": 120_000}
        made_from = {"data": {"train": "b" * 64}, "code": {}}
        _manifest(
            root / "runs" / name / "manifest.json",
            f"train_{run.stage}",
            {"rows": {"train": 35, "val": 4}},
            inputs={"train": "b" * 64, "val": "b" * 64},
            settings={"recipe": run.recipe},
            run={"identity": sha256_text(canonical_json(made_from))[:16]},
            made_from=made_from,
            weights={"model.safetensors": "c" * 64},
            trainable_parameters=120_000,
            alarms=[alarm] if name.endswith("0.05") else [],
            **facts,
        )
        if run.is_adapter:
            weights = {"weights": {"model.safetensors": "e" * 64}, "adapter": {"adapter_model.safetensors": "c" * 64}}
            _manifest(root / "runs" / name / "merge.json", "merge_adapter", **weights)
        (root / "runs" / name / "model_card.md").write_text("a card")


def measured_rows(draw: random.Random, shift: float) -> list[dict[str, Any]]:
    """Return made-up rows of rows.jsonl for a model whose loss is moved by `shift` nats per token."""
    heldout = [
        {"kind": "heldout", "id": f"h{i}", "prompt_id": f"p{i // 2}", "cut": i == 0, "tokens": 50 + i}
        | {"nats": round((50 + i) * (5 + shift + draw.gauss(0, 0.2)), 6)}
        for i in range(30)
    ]
    pairs = [
        {"kind": "preference", "dataset": "dpo", "id": f"x{i}", "prompt_id": f"p{i // 2}"}
        | {"chosen_logp": round(-200 - shift * 40 + draw.gauss(0, 20), 6), "chosen_tokens": 40 + i}
        | {"rejected_logp": -205.0, "rejected_tokens": 50}
        for i in range(24)
    ]
    return heldout + pairs


def _evaluations(root: Path, study: ResolvedStudy, draw: random.Random) -> None:
    metrics, measured = {}, {}
    for shift, run in enumerate(["base_clean", *study.runs]):
        folder = root / "evaluation" / "heldout" / run
        rows = measured_rows(draw, -0.3 * shift)
        _lines(folder / "rows.jsonl", rows)
        samples = [{"stop_reason": "stop", "tokens": 96, "mean_entropy": 3.2}]
        heldout = [row for row in rows if row["kind"] == "heldout"]
        pairs = [row for row in rows if row["kind"] == "preference"]
        metrics[run] = {
            "run": run,
            "heldout": heldout_metrics(heldout, 0),
            "preferences": {"dpo": preference_metrics(pairs)},
            "generations": summarize_generations([row | {"mean_entropy": 3.2} for row in samples]),
            "generations_sampled": summarize_generations([]),
            "software": {"torch": "2.13.0"},
        }
        _json(folder / "metrics.json", metrics[run])
        measured[run] = read_measured(folder / "rows.jsonl")
    heldout = root / "evaluation" / "heldout"
    _manifest(heldout / "clean.manifest.json", "render_heldout", {"responses": _tally(30, {"over": 3})})
    _manifest(heldout / "clean.align.manifest.json", "align_modalities", {"heldout": _tally(30, {})})
    training = {name: last_logged(root / "runs" / name / "metrics.jsonl") for name in study.runs}
    runs = list(study.runs.values())
    comparison = compare(
        study.study,
        modalities=["clean"],
        runs=runs,
        metrics=metrics,
        measured=measured,
        training=training,
        responses=Measured(REVIEWS),
    )
    _json(root / "comparison" / "comparison.json", comparison | compared(study))
    write_generated(root, study, HOSTILE)


def collect_usage(study: ResolvedStudy, root: Path, accounting: Accounting) -> dict[str, Any]:
    """Return what a study in `root` cost."""
    runs = list(study.runs.values())
    return collect(study.study, runs, results=root, checkpoints=root / "checkpoints", accounting=accounting)


def make_results(root: Path) -> ResolvedStudy:
    """Fill `root` with the results of the demo study, benchmarks included, and return the study."""
    study, draw = demo_study(), random.Random(3)
    _json(root / "study.json", study.model_dump(mode="json"))
    _data(root, draw)
    _datasets(root, draw)
    model = {"kind": "tiny", "source": ".", "revision": None}
    _manifest(root / "models/text/manifest.json", "prepare_model", model=model)
    _runs(root, study, draw)
    _evaluations(root, study, draw)
    for name in study.exports:
        _manifest(root / "exports" / name / "manifest.json", "export_dataset", {"rows": _tally(80, {})})
    for step, wildcards, seconds in (
        ("ingest", {"corpus": "papers"}, 3.2),
        ("train_sft", {"run": "sft_clean"}, 75.5),
        ("train_dpo", {"run": "dpo_clean-beta0.1"}, 3700.0),
    ):
        asked = {"threads": 2, "resources": {"gpu": 0, "mem_mb": 1025}, "wildcards": {"study": "demo"} | wildcards}
        row = {"s": seconds, "max_rss": 512.5, "cpu_time": seconds} | asked
        _lines(root / "benchmarks" / step / f"{''.join(wildcards.values())}.jsonl", [row])
    none = Accounting("there is no sacct on this machine", answered=False)
    _json(root / "usage.json", collect_usage(study, root, none))
    return study

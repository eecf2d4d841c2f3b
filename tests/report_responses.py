"""Generated reviews as the steps leave them: what was written, measured and compared, with made-up numbers."""

import json
from pathlib import Path
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.core.tables import RENDERED_SFT, RESPONSES, write_table

PROMPTS = 14  # two more than are shown
HUMAN_TEXT = "# Review\n\nThe paper studies selection of reviews by checkmarks. " + "It is sound and clear. " * 30
SECRET = "a word that stands in the second review of the third paper alone: quixotry"
METRICS = {
    "valid_format": ("Valid format", "share", "higher", "share", True),
    "rating_error": ("Rating error", "points", "lower", "mean", True),
    "specificity": ("Specificity", "per 100 words", "higher", "mean", False),
    "rating_sd": ("Spread of ratings", "points", None, "set", False),
    "accuracy": ("Decision accuracy", "share", "higher", "set", False),
    "mcc": ("MCC of decisions", "", "higher", "set", False),
}

TASK = {
    "name": "reviews",
    "classes": ["accept", "reject"],
    "class_titles": {"accept": "accepted", "reject": "rejected"},
    "item": "paper",
    "items": "papers",
    "reference": "human",
    "reference_title": "People",
    "decodings": {"greedy": "One greedy response", "sampled": "Drawn responses"},
    "groups": {"decision": "Decision", "year": "Year"},
}


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _measured(run: str, prompt: str, response: str, *, valid: float | None, right: float | None) -> dict[str, Any]:
    return {
        "run": run,
        "modality": None if run == "human" else "clean",
        "id": response,
        "prompt_id": prompt,
        "sample": None if run == "human" else int(response[-1]),
        "decoding": "human" if run == "human" else ("greedy", "sampled")[int(response[-1]) > 0],
        "year": 2019,
        "decision": "accept",
        "predicted": None if valid == 0 else {1.0: "accept", 0.0: "reject"}.get(right),
        "words": 120,
        "values": {"valid_format": valid, "decision_correct": right, "mean_entropy": None if run == "human" else 3.21},
        "answers": {"summarizes_paper": "yes", "unknown_item": "no", "left_<b>open</b>": None},
    }


def write_generated(root: Path, study: ResolvedStudy, hostile: str) -> None:
    """Write what every model of modality clean wrote: greedy and one sample; the base model's cannot be parsed."""
    heldout, measured, parsed = root / "evaluation" / "heldout", [], []
    for run in ("base_clean", *study.runs):
        rows = []
        for number in range(PROMPTS):
            for sample in range(2):
                response, valid = f"{run}/p{number}/{sample}", float(run != "base_clean")
                text = hostile if number == 0 else f"# Review\n\nStrong results of p{number}, weak baselines." * 9
                rows.append(
                    {"id": response, "run": run, "prompt_id": f"p{number}", "sample": sample, "token_ids": [1] * 96}
                    | {"decoding": ("greedy", "sampled")[sample], "text": text, "tokens": 96}
                    | {"stop_reason": ("stop", "length")[number % 2]}
                )
                right = float(valid and number % 3 == 0)
                measured.append(_measured(run, f"p{number}", response, valid=valid, right=right))
                parsed.append(
                    dict.fromkeys(RESPONSES.names)
                    | {
                        "response_id": response,
                        "prompt_id": f"p{number}",
                        "source": run,
                        "rating": 8.0 if valid else None,
                    }
                    | {"flags": [] if valid else ["no_review_heading", "rating absent"]}
                )
        _lines(heldout / run / "generations.jsonl", rows)
    people = []
    for number in range(PROMPTS):
        for reviewer in range(2):
            human = f"h{2 * number + reviewer}"
            text = HUMAN_TEXT + (SECRET if (number, reviewer) == (2, 1) else "")
            people.append(
                dict.fromkeys(RENDERED_SFT.names)
                | {"prompt_id": f"p{number}", "response_id": human, "rating": 6.0}
                | {"prompt": [{"role": "user", "content": "Review this paper. " * 200}]}
                | {"completion": [{"role": "assistant", "content": text}]}
            )
            measured.append(_measured("human", f"p{number}", human, valid=None, right=1.0))
    write_table(heldout / "clean.parquet", people, RENDERED_SFT, ["response_id"])
    write_table(heldout / "responses.parquet", parsed, RESPONSES, ["response_id"])
    _lines(heldout / "measured.jsonl", measured)


def entry(value: float | None, *, n: int = PROMPTS, missing: int = 0) -> dict[str, Any]:
    """Return a metric of one run."""
    bounds = None if value is None else [round(value - 0.05, 6), round(value + 0.05, 6)]
    return {"n": n, "missing": missing, "prompts": PROMPTS, "value": value, "interval": bounds}


def difference(value: float, verdict: str | None, **more: Any) -> dict[str, Any]:
    """Return a metric of one run minus that of another."""
    p = {"better": 0.0001, "worse": 0.004}.get(str(verdict), 0.4)
    return (
        {"n": PROMPTS, "prompts": PROMPTS, "left_out": 0, "value": value, "interval": [value - 0.1, value + 0.1]}
        | {"p": p, "p_holm": min(1.0, 3 * p), "test": "sign_flip", "verdict": verdict, "mde": 0.25}
        | {"length_controlled": None}
        | more
    )


def _row(run: str, parent: str | None, number: int, unread: int) -> dict[str, Any]:
    stage = "base" if parent is None else run.split("_", maxsplit=1)[0]
    values = {"valid_format": entry(0.1 * number), "rating_error": entry(2.5 - number), "accuracy": entry(0.5)}
    values |= {"specificity": entry(1.25 + number), "rating_sd": entry(None, n=0, missing=PROMPTS), "mcc": entry(0.0)}
    against = {
        "valid_format": difference(0.1, "better", only_ours=5, only_theirs=2, test="mcnemar"),
        "rating_error": difference(-0.5 * number, ("no difference shown", "worse")[number % 2]),
        "specificity": difference(0.75, None, length_controlled={"value": 0.25, "interval": [-0.5, 1.0]}),
        "mcc": difference(0.05, None, p=None, p_holm=None, test=None),
    }
    return {
        "run": run,
        "stage": stage,
        "parent": parent,
        "seed": None if parent is None else 42,
        "seeds": [] if parent is None else [42],
        "n": PROMPTS,
        "prompts": PROMPTS,
        "failures": {"unparsed": unread, "cut_off": 7, "invalid": unread},
        "values": values,
        "to_base": None if parent is None else against,
        "to_parent": None if parent is None else against,
    }


def _decided(accuracy: float) -> dict[str, Any]:
    confusion = {
        "accept": {"accept": 3, "reject": 4, "unparsed": 1},
        "reject": {"accept": 2, "reject": 4, "unparsed": 0},
    }
    measures = {"precision": entry(0.6), "recall": entry(0.375), "f1": {"value": 0.461538, "interval": None}}
    per_class = {"accept": measures, "reject": measures}
    missing = {"value": None, "interval": None}
    return {"n": PROMPTS, "confusion": confusion, "accuracy": entry(accuracy), "mcc": missing, "per_class": per_class}


def compared(study: ResolvedStudy) -> dict[str, Any]:
    """Return what comparison.json says of generated reviews."""
    parents = {"base_clean": None} | {name: run.parent or "base_clean" for name, run in study.runs.items()}
    rows = [_row(run, parent, at, 14 if at == 0 else 2 * (at == 1)) for at, (run, parent) in enumerate(parents.items())]
    human = {"valid_format": entry(0.9), "rating_error": entry(1.5), "specificity": entry(3.0, n=28)}
    one = {run: {"rating_error": entry(1.5)} for run in (*parents, "human")}
    baselines = {"majority": _decided(0.6), "always_positive": _decided(0.55), "human_leave_one_out": _decided(0.7)}
    fitted = {"t": 5.25, "papers": 18, "accepted": 9, "balanced_accuracy": 0.8889, "fitted_on": "own"}
    decided = {"threshold": {"fixed": 6.0, "fitted": {"1,10": fitted}}, "n": PROMPTS, "baselines": baselines}
    values = {"rating_error": {"seeds": 2, "prompts": 14, "mean": 1.25, "sd": 0.125, "interval": [1.0, 1.5]}}
    by_decoding = {
        "decisions": {**decided, "rows": {run: _decided(0.5) for run in parents}},
        "breakdown": {"year": {"2018": one, "2019": one}},
        "arms": [
            {"runs": ["sft_clean", "sft_again"], "seeds": [1, 2], "stage": "sft", "values": values, "to_base": values}
        ],
    }
    arm = {"run": "dpo_clean-beta0.1", "runs": ["dpo_clean-beta0.1"], "swept": {"beta": 0.1}}
    arm |= {"validation": {"loss": 0.5}, "alarms": []}
    return {
        "task": TASK,
        "metrics": {
            name: dict(zip(("title", "unit", "better", "kind", "primary"), words, strict=True))
            | {"about": f"<i>{name}</i>"}
            for name, words in METRICS.items()
        },
        "family": {"method": "holm", "level": 0.05, "metrics": ["valid_format", "rating_error"], "tests": 12},
        "responses": {"clean": {decoding: {"reference": human, "rows": rows} for decoding in ("greedy", "sampled")}},
        **{name: {"clean": {"greedy": content}} for name, content in by_decoding.items()},
        "sweeps": [
            {"entry": "dpo_clean", "keys": ["beta"], "chosen": arm["run"], "why": "it has the <b>lowest</b> loss"}
            | {"by": {"metric": "loss", "best": "lowest", "rows": "validation"}}
            | {"candidates": [arm, arm | {"run": "dpo_clean-beta0.05", "runs": ["dpo_clean-beta0.05"]}]}
        ],
    }

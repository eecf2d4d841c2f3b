"""Score the responses of labelled corpora: a response is good if it says what its prompt's label says.

Inputs: prompts and responses of every corpus. Outputs: review_evaluations.jsonl (one row per response, ordered by
corpus and response_id, as gather_scores.py writes them), judge_report.json and a manifest. What a response says is
its first word; where that is none of the corpus's answers, there is no score.

Where the gate fails, the report is written and the scores are not, so that nothing is built on them. Its
twin judge_report.failed.json stays when Snakemake clears a failed step's outputs away.

    python workflow_scripts/score_labels.py --spec '{"signal": {"kind": "label"},
        "answers": {"posts": {"sarcastic": "Yes", "not_sarcastic": "No"}}}' --prompts posts=prompts.parquet \
        --responses posts=responses.parquet --scores review_evaluations.jsonl \
        --report judge_report.json --manifest scores.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.base import Name, Settings
from winnow.core.config.signals import LabelSignal
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import replacing, write_json
from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.scoring.gates import gate
from winnow.scoring.labels import ITEM, LabelCounts, LabelledFiles, label_rows
from winnow.scoring.report import JudgeReport


class _Spec(Settings):
    signal: LabelSignal
    answers: dict[Name, dict[str, str]]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the study's signal and each corpus's answers, in JSON")
    for name in ("prompts", "responses"):
        parser.add_argument(f"--{name}", nargs="+", required=True, help="NAME=PATH, NAME being a corpus")
    for name in ("scores", "report", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def _corpora(args: argparse.Namespace, spec: _Spec) -> list[LabelledFiles]:
    prompts = named_paths(args.prompts, "--prompts")
    responses = named_paths(args.responses, "--responses")
    if not prompts.keys() == responses.keys() == spec.answers.keys():
        named = f"{sorted(prompts)}, {sorted(responses)} and {sorted(spec.answers)}"
        raise WinnowError("--prompts, --responses, --spec", f"name {named}", "name the same corpora in all three")
    return [LabelledFiles(name, prompts[name], responses[name], spec.answers[name]) for name in sorted(prompts)]


def _write_report(path: Path, signal: LabelSignal, report: JudgeReport, counts: LabelCounts) -> None:
    """Write the report, and stop where the gate failed."""
    one = gate("null_rate", report.null_rate(), signal.gates.max_null_rate)
    content = report.as_dict() | {"labels": counts.as_list(), "judge": {"model": "label"}, "gates": [one]}
    write_json(path, content)
    failed_report = path.with_suffix(".failed.json")
    if one["passed"] is False:
        write_json(failed_report, content)
        problem = (
            f"of {one['value']:.2%} of the responses the first word is no answer (max_null_rate {one['threshold']})"
        )
        fix = "see `labels` there; set the corpus's answers, or raise signal.gates.max_null_rate"
        raise WinnowError(failed_report, problem, fix)
    failed_report.unlink(missing_ok=True)


def main() -> None:
    """Score, report, and write the manifest last."""
    args = parse_args()
    spec = parse(_Spec, json.loads(args.spec), "--spec")
    corpora = _corpora(args, spec)
    report, counts, tally = JudgeReport([ITEM]), LabelCounts(), Tally()
    for stale in (args.manifest, args.scores):
        stale.unlink(missing_ok=True)
    with replacing(args.scores) as part:
        with part.open("w", encoding="utf-8") as out:
            for row in label_rows(corpora, counts):
                out.write(canonical_json(row) + "\n")
                report.add(row)
        _write_report(args.report, spec.signal, report, counts)
    tally.read = tally.kept = report.rows
    write_manifest(
        args.manifest,
        step="score_labels",
        inputs={f"{kind}/{one.name}": getattr(one, kind) for one in corpora for kind in ("prompts", "responses")},
        outputs={"scores": args.scores, "report": args.report},
        settings=spec.model_dump(mode="json"),
        counts={"responses": tally.as_dict()},
        judge={"model": "label"},
    )
    log(f"{report.rows:,} score rows; by corpus and label: {counts.as_list()}")


if __name__ == "__main__":
    run(main, environment="data")

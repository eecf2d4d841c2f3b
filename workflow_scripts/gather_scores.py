"""Gather the judged shards of a study into score rows, and report on the judge.

Inputs: all judged shards, prompts and responses of every corpus, the checklist, and labels by people if
the study names any. Outputs: review_evaluations.jsonl (one row per judged response, ordered by corpus and
response_id), judge_report.json and a manifest.

Where a gate fails, the report is written and the scores are not, so that nothing is built on them. Its
twin judge_report.failed.json stays when Snakemake clears a failed step's outputs away.

    python workflow_scripts/gather_scores.py --spec '{"kind": "checklist", "checklist": "",
        "judge": {"backend": "lexical"}}' --checklist resources/checklists/iclr.yaml \
        --judged papers=judged/corpus-papers/0-of-1.jsonl --prompts papers=prompts.parquet \
        --responses papers=responses.parquet --scores review_evaluations.jsonl \
        --report judge_report.json --manifest scores.manifest.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

from winnow.core.config import ChecklistSignal
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import replacing, write_json
from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.study import parse
from winnow.scoring.annotations import read_annotations
from winnow.scoring.checklist import load_checklist
from winnow.scoring.gather import Corpus, Joined, score_rows
from winnow.scoring.people import People
from winnow.scoring.report import JudgeReport, gate


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the study's signal, in JSON")
    for name in ("judged", "prompts", "responses"):
        parser.add_argument(f"--{name}", nargs="+", type=_named, required=True, help="NAME=PATH, NAME being a corpus")
    parser.add_argument("--annotations", type=Path, help="people's labels, .jsonl or .jsonl.gz")
    for name in ("checklist", "scores", "report", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def _corpora(args: argparse.Namespace) -> list[Corpus]:
    prompts, responses, judged = dict(args.prompts), dict(args.responses), {name for name, _ in args.judged}
    if not prompts.keys() == responses.keys() == judged:
        named = f"{sorted(judged)}, {sorted(prompts)} and {sorted(responses)}"
        raise WinnowError("--judged, --prompts, --responses", f"name {named}", "name the same corpora in all three")
    return [
        Corpus(name, [path for corpus, path in args.judged if corpus == name], prompts[name], responses[name])
        for name in sorted(judged)
    ]


def _write_report(args: argparse.Namespace, signal: ChecklistSignal, report: JudgeReport, more: dict[str, Any]) -> None:
    """Write the report, and stop where a gate failed."""
    failed_report = args.report.with_suffix(".failed.json")
    gates = [gate("null_rate", report.null_rate(), signal.max_null_rate)]
    content = report.as_dict() | more | {"gates": gates}
    write_json(args.report, content)
    if failed := [one for one in gates if not one["passed"]]:
        write_json(failed_report, content)
        problem = "; ".join(f"gate {one['name']}: {one['value']} is above {one['threshold']}" for one in failed)
        fix = "see which items and lengths go unanswered there; mend the judge or checklist, or raise max_null_rate"
        raise WinnowError(failed_report, problem, fix)
    failed_report.unlink(missing_ok=True)


def main() -> None:
    """Gather, report, and write the manifest last."""
    args = parse_args()
    signal = parse(ChecklistSignal, json.loads(args.spec), "--spec")
    corpora, checklist = _corpora(args), load_checklist(args.checklist)
    report, joined, tally = JudgeReport(checklist), Joined(checklist.sha256), Tally()
    people = People(args.annotations, read_annotations(args.annotations), checklist) if args.annotations else None
    for stale in (args.manifest, args.scores):
        stale.unlink(missing_ok=True)
    with replacing(args.scores) as part:
        with part.open("w", encoding="utf-8") as out:
            for row in score_rows(corpora, joined, items=len(checklist.questions)):
                out.write(canonical_json(row) + "\n")
                report.add(row)
                if people is not None:
                    people.add(row)
        joined.check(limit=signal.limit)
        more = {"judge": joined.judge, "human_agreement": people.report() if people else None}
        _write_report(args, signal, report, more)
    if more["human_agreement"] is not None:
        log(more["human_agreement"]["in_words"])
    tally.read = sum(joined.rows.values()) + sum(joined.unjudged.values())
    tally.kept = report.rows
    tally.drop("not drawn by signal.limit", sum(joined.unjudged.values()))
    tables = {f"{kind}/{c.name}": getattr(c, kind) for c in corpora for kind in ("prompts", "responses")}
    annotations = {"annotations": args.annotations} if args.annotations else {}
    write_manifest(
        args.manifest,
        step="gather_scores",
        inputs={"checklist": args.checklist} | tables | annotations,
        outputs={"scores": args.scores, "report": args.report},
        settings=signal.model_dump(mode="json", include={"judge", "limit", "max_null_rate"}),
        counts={"responses": tally.as_dict()},
        judged=joined.sha256,
        judge=joined.judge,
    )
    log(f"{report.rows:,} score rows, {report.null_rate():.2%} of answers missing")


if __name__ == "__main__":
    run(main, environment="data")

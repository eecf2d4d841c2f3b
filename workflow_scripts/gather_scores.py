"""Gather the judged shards of a study into score rows, and report on the judge.

Inputs: all judged shards, prompts and responses of every corpus, the checklist, the batches that judged a sample once
more (signal.reliability), and labels by people and a sheet that people filled in, if the study names any. Outputs:
review_evaluations.jsonl (one row per judged response, ordered by corpus and response_id), judge_report.json and a
manifest.

Where a gate fails, the report is written and the scores are not, so that nothing is built on them. Its
twin judge_report.failed.json stays when Snakemake clears a failed step's outputs away.

    python workflow_scripts/gather_scores.py --spec '{"kind": "checklist", "checklist": "",
        "judge": {"backend": "lexical"}, "reliability": {"sample": 0}}' --checklist resources/checklists/iclr.yaml \
        --judged papers=judged/corpus-papers/0-of-1.jsonl --prompts papers=prompts.parquet \
        --responses papers=responses.parquet --scores review_evaluations.jsonl \
        --report judge_report.json --manifest scores.manifest.json
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winnow.core.config.signals import ChecklistSignal
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import replacing, write_json
from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths, path_groups
from winnow.core.study import parse
from winnow.scoring.annotations import read_annotations
from winnow.scoring.checklist import Checklist, load_checklist
from winnow.scoring.gates import failure, gates_of
from winnow.scoring.gather import Corpus, Joined, score_rows
from winnow.scoring.people import People
from winnow.scoring.reliability import KINDS, Comparison, Kind, SampleBatch, check_batches
from winnow.scoring.report import JudgeReport
from winnow.scoring.sheet import Sheet


def _batch(text: str) -> tuple[Kind, str, Path]:
    name, _, path = text.partition("=")
    kind, _, corpus = name.partition(":")
    if kind not in KINDS or not corpus or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND:CORPUS=PATH with KIND in {', '.join(KINDS)}")
    return kind, corpus, Path(path)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the study's signal, in JSON")
    for name in ("judged", "prompts", "responses"):
        parser.add_argument(f"--{name}", nargs="+", required=True, help="NAME=PATH, NAME being a corpus")
    parser.add_argument(
        "--compared", nargs="*", type=_batch, default=[], help="KIND:CORPUS=PATH, all shards of judged/KIND-CORPUS"
    )
    parser.add_argument("--sheet", type=Path, help="the sheet of write_sheet.py, filled in")
    parser.add_argument("--annotations", type=Path, help="people's labels, .jsonl or .jsonl.gz")
    for name in ("checklist", "scores", "report", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def _corpora(args: argparse.Namespace) -> list[Corpus]:
    judged = path_groups(args.judged, "--judged")
    prompts, responses = named_paths(args.prompts, "--prompts"), named_paths(args.responses, "--responses")
    if not prompts.keys() == responses.keys() == judged.keys():
        named = f"{list(judged)}, {list(prompts)} and {list(responses)}"
        raise WinnowError("--judged, --prompts, --responses", f"name {named}", "name the same corpora in all three")
    return [Corpus(name, paths, prompts[name], responses[name]) for name, paths in judged.items()]


def _comparison(
    args: argparse.Namespace, signal: ChecklistSignal, checklist: Checklist, corpora: Sequence[Corpus]
) -> Comparison:
    """Return the batches of the reliability tests, read, of which there must be those that the study asks for."""
    names = sorted({(kind, corpus) for kind, corpus, _ in args.compared})
    batches = [
        SampleBatch(kind, corpus, [path for *name, path in args.compared if tuple(name) == (kind, corpus)])
        for kind, corpus in names
    ]
    check_batches(batches, signal.reliability, [corpus.name for corpus in corpora])
    return Comparison(batches, checklist)


def _write_report(args: argparse.Namespace, signal: ChecklistSignal, report: dict[str, Any]) -> None:
    """Write the report, and stop where a gate failed."""
    failed_report = args.report.with_suffix(".failed.json")
    content = report | {"gates": gates_of(report, signal.gates)}
    write_json(args.report, content)
    if failed := [one for one in content["gates"] if one["passed"] is False]:
        write_json(failed_report, content)
        raise failure(failed_report, failed)
    failed_report.unlink(missing_ok=True)


def main() -> None:
    """Gather, report, and write the manifest last."""
    args = parse_args()
    signal = parse(ChecklistSignal, json.loads(args.spec), "--spec")
    corpora, checklist = _corpora(args), load_checklist(args.checklist)
    report, joined, tally = JudgeReport(checklist.questions), Joined(checklist.sha256), Tally()
    comparison = _comparison(args, signal, checklist, corpora)
    people = People(args.annotations, read_annotations(args.annotations), checklist) if args.annotations else None
    sheet = Sheet(args.sheet, checklist, {corpus.name: corpus.responses for corpus in corpora}) if args.sheet else None
    collectors = [one for one in (report, comparison, people, sheet) if one is not None]
    for stale in (args.manifest, args.scores):
        stale.unlink(missing_ok=True)
    with replacing(args.scores) as part:
        with part.open("w", encoding="utf-8") as out:
            for row in score_rows(corpora, joined, items=len(checklist.questions)):
                out.write(canonical_json(row) + "\n")
                for collector in collectors:
                    collector.add(row)
        joined.check(limit=signal.limit)
        comparison.check(joined.judge, joined.rows, signal.reliability.sample)
        more = {"judge": joined.judge, "human_agreement": people.report() if people else None}
        more["human_sheet"] = sheet.report() if sheet else None
        _write_report(args, signal, report.as_dict() | comparison.report() | more)
    for block in (more["human_agreement"], more["human_sheet"]):
        if block is not None:
            log(f"{block['file']}: {block['in_words']}")
    tally.read = sum(joined.rows.values()) + sum(joined.unjudged.values())
    tally.kept = report.rows
    tally.drop("not drawn by signal.limit", sum(joined.unjudged.values()))
    tables = {f"{kind}/{c.name}": getattr(c, kind) for c in corpora for kind in ("prompts", "responses")}
    given = {name: path for name in ("annotations", "sheet") if (path := getattr(args, name))}
    # Where the sheet lies is nobody's business; its hash is among the inputs.
    tests = signal.reliability.model_dump(mode="json", exclude={"sheet"})
    write_manifest(
        args.manifest,
        step="gather_scores",
        inputs={"checklist": args.checklist} | tables | given,
        outputs={"scores": args.scores, "report": args.report},
        settings=signal.model_dump(mode="json", include={"judge", "limit", "gates"}) | {"reliability": tests},
        counts={"responses": tally.as_dict()},
        judged=joined.sha256,
        compared=comparison.sha256,
        judge=joined.judge,
    )
    log(f"{report.rows:,} score rows, {report.null_rate():.2%} of answers missing")


if __name__ == "__main__":
    run(main, environment="data")

"""Choose the items of a checklist that tell good responses from poor ones, and say what the choice is worth.

Inputs: candidate items, their answers to the `optimize` part of train of every corpus (all shards), if there
is any a sample judged again, prompts (decision), responses (rating) and splits, and labels by people for target
quality. Outputs: optimal_checklist.json, which judge_responses takes as a checklist, the trace of the search,
and a manifest. docs/methods.md has the method.

A judged response of any other part is an error. With `strict: true` a checklist that is no better than chance
ends with exit status 3; it is written all the same, and its twin optimal_checklist.failed.json stays when
Snakemake clears a failed step's outputs away.

    python workflow_scripts/optimize_checklist.py --spec '{"target": "alignment"}' \
        --checklist resources/checklists/iclr_candidates.yaml --judged iclr=judged/candidates-iclr/0-of-1.jsonl \
        --prompts iclr=prompts.parquet --responses iclr=responses.parquet --splits iclr=splits.parquet \
        --out checklist/optimal_checklist.json --trace checklist/beam_search_trace.jsonl \
        --manifest checklist/manifest.json
"""

import argparse
import json
import sys
from pathlib import Path

from winnow.core.config.signals import ChecklistOptimization
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_json, write_text
from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.core.manifest import write_manifest
from winnow.core.named_paths import named_paths, path_groups
from winnow.core.study import parse
from winnow.scoring.checklist import load_checklist
from winnow.scoring.optimization.optimize import Outcome, optimize
from winnow.scoring.optimization.reading import Files, join, read_labels
from winnow.scoring.optimization.result import as_json, settings_that_count
from winnow.scoring.optimization.search import trace

NOT_BETTER_THAN_CHANCE = 3


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the study's signal.optimize, in JSON")
    for name in ("judged", "prompts", "responses", "splits"):
        parser.add_argument(f"--{name}", nargs="+", required=True, help="NAME=PATH, NAME being a corpus")
    parser.add_argument("--retests", nargs="*", default=[], help="NAME=PATH, a sample judged again")
    parser.add_argument("--labels", type=Path, help="CSV with response_id and label, for target quality")
    for name in ("checklist", "out", "trace", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def _corpora(args: argparse.Namespace) -> list[Files]:
    tables = {kind: named_paths(getattr(args, kind), f"--{kind}") for kind in ("prompts", "responses", "splits")}
    judged, retests = path_groups(args.judged, "--judged"), path_groups(args.retests, "--retests")
    if any(table.keys() != judged.keys() for table in tables.values()) or not retests.keys() <= judged.keys():
        named = ", ".join(f"--{kind} {list(table)}" for kind, table in tables.items())
        problem = f"--judged {list(judged)}, {named}, --retests {list(retests)}"
        raise WinnowError("corpora", problem, "name the same corpora in all, and in --retests no other")
    return [
        Files(
            name=name,
            judged=judged[name],
            retests=retests.get(name, []),
            **{kind: table[name] for kind, table in tables.items()},
        )
        for name in judged
    ]


def _in_words(outcome: Outcome) -> str:
    ours, status = outcome.baselines, outcome.status.replace("_", " ")
    return (
        f"{status.upper()}: {len(outcome.chosen)} items, AUC {outcome.auc:.3f} on papers held out, p {outcome.p:.3f}; "
        f"random items {ours.random_mean:.3f}, length alone {ours.length:.3f}"
    )


def main() -> None:
    """Choose, write, and write the manifest last."""
    args = parse_args()
    settings = parse(ChecklistOptimization, json.loads(args.spec), "--spec")
    if (settings.target == "quality") != (args.labels is not None):
        raise WinnowError("--labels", f"target is {settings.target}", "give labels for target quality, and only then")
    corpora, candidates = _corpora(args), load_checklist(args.checklist)
    failed_twin = args.out.with_suffix(".failed.json")
    for stale in (args.manifest, args.out, args.trace):
        stale.unlink(missing_ok=True)
    labels = read_labels(args.labels) if args.labels else None
    joined = join(corpora, candidates, settings.target, labels)
    matrix = joined.matrix(candidates)
    outcome = optimize(matrix, settings)
    content = as_json(outcome, matrix, joined, candidates, settings)
    ids = [matrix.items[item].id for item in outcome.screened.survivors]
    steps = trace(outcome.space, matrix.labels, ids)
    write_text(args.trace, "".join(canonical_json(step) + "\n" for step in steps))
    write_json(args.out, content)
    log(_in_words(outcome))
    if settings.strict and outcome.status != "validated":
        write_json(failed_twin, content)
        print(f"error: {failed_twin}: {_in_words(outcome)}", file=sys.stderr)
        print("  fix: see its dropped, curve and baselines; a better judge or other candidates", file=sys.stderr)
        raise SystemExit(NOT_BETTER_THAN_CHANCE)
    failed_twin.unlink(missing_ok=True)
    tables = {f"{kind}/{c.name}": getattr(c, kind) for c in corpora for kind in ("prompts", "responses", "splits")}
    write_manifest(
        args.manifest,
        step="optimize_checklist",
        inputs={"checklist": args.checklist} | tables | ({"labels": args.labels} if args.labels else {}),
        outputs={"checklist": args.out, "trace": args.trace},
        settings=settings_that_count(settings),
        counts={"responses": joined.tally.as_dict()},
        software=["numpy"],
        judged=joined.judged_sha,
        judge=joined.judge,
        status=outcome.status,
    )


if __name__ == "__main__":
    run(main, environment="data")

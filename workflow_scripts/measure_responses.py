"""Measure every generated review, and every human review of the same papers, by all metrics of single responses.

Inputs: the generated responses as one table (gather_generations.py), what each run generated (tokens, stop reasons)
and how sure it was (rows.jsonl), the corpus they answer, the judge's answers to them, score rows of human responses,
and the tables that runs of each modality were trained on. Outputs: measured.jsonl, one row per response ordered by id,
and a manifest with the thresholds of decisions, how they were fitted, and the metrics of whole sets of texts.

Example:
    python workflow_scripts/measure_responses.py --spec '{"runs": {"base_clean": "clean", "sft_clean": "clean"}}' \
        --responses results/demo/evaluation/heldout/responses.parquet \
        --generations base_clean=results/demo/evaluation/heldout/base_clean/generations.jsonl ... \
        --rows base_clean=results/demo/evaluation/heldout/base_clean/rows.jsonl ... \
        --prompts prompts.parquet --corpus responses.parquet --splits splits.parquet \
        --judged results/demo/judged/generated-papers/0-of-1.jsonl --scores review_evaluations.jsonl \
        --training clean=results/demo/datasets/sft/clean/train.parquet \
        --measured measured.jsonl --manifest measured.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_text
from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths, path_groups

SOFTWARE = ["numpy", "pyarrow", "rouge-score", "sacrebleu", "scikit-learn", "scipy"]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help='{"runs": {run: modality}}, as JSON')
    parser.add_argument("--responses", type=Path, required=True, help="what all runs generated, as a table")
    for name in ("generations", "rows"):
        parser.add_argument(f"--{name}", nargs="+", required=True, metavar="RUN=PATH")
    for name in ("prompts", "corpus", "splits"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="of the corpus whose prompts were answered")
    parser.add_argument("--judged", nargs="*", type=Path, default=[], help="all shards of the judge's answers")
    parser.add_argument("--judged-second", nargs="*", type=Path, default=[], help="the second judge's")
    parser.add_argument("--scores", type=Path, required=True, help="score rows of the corpus's own responses")
    parser.add_argument("--training", nargs="*", default=[], metavar="MODALITY=PATH")
    for name in ("measured", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Read each source once, measure, and write the manifest last."""
    args = parse_args()
    modalities: dict[str, str] = json.loads(args.spec)["runs"]
    generations, entropies = named_paths(args.generations, "--generations"), named_paths(args.rows, "--rows")
    training = path_groups(args.training, "--training")
    for option, given in (("--generations", generations), ("--rows", entropies)):
        if given.keys() != modalities.keys():
            differing = ", ".join(sorted(given.keys() ^ modalities.keys()))
            raise WinnowError(option, f"and the spec do not name the same runs: {differing}", "give one for every run")
    args.manifest.unlink(missing_ok=True)

    # The scientific libraries take a second: arguments are checked first.
    from winnow.evaluation.reviews.copying import known_runs  # noqa: PLC0415 - as said above
    from winnow.evaluation.reviews.decisions import FIXED, fit_thresholds  # noqa: PLC0415 - as said above
    from winnow.evaluation.reviews.generated import read_answers, read_generated  # noqa: PLC0415 - as said above
    from winnow.evaluation.reviews.measuring import HUMAN, World, count_rows, measure_all  # noqa: PLC0415 - as said above
    from winnow.evaluation.reviews.papers import add_reviews, rated_papers, read_papers  # noqa: PLC0415 - as said above
    from winnow.evaluation.reviews.similarity import other_papers  # noqa: PLC0415 - as said above
    from winnow.evaluation.reviews.trained import training_texts  # noqa: PLC0415 - as said above

    tally, validation = Tally(), Tally()
    generated = read_generated(args.responses, generations, entropies, tally)
    reviews = [review for of_run in generated.values() for review in of_run]
    papers = read_papers(args.prompts, {review.prompt_id for review in reviews})
    if unknown := sorted({review.prompt_id for review in reviews} - papers.keys()):
        raise WinnowError(args.prompts, f"lacks {unknown[0]}, for which reviews were generated", "generate them again")
    add_reviews(papers, args.corpus, tally)
    rated = rated_papers(args.prompts, args.corpus, args.splits, validation)
    human = {review.identity for paper in papers.values() for review in paper.reviews}
    wanted = human | {review.identity for review in reviews}
    world = World(
        papers=papers,
        shuffled=other_papers([prompt for prompt, paper in papers.items() if paper.reviews]),
        thresholds=fit_thresholds(rated, {paper.scale for paper in papers.values() if paper.scale}),
        training={
            modality: known_runs(training_texts(training.get(modality, [])))
            for modality in sorted(set(modalities.values()))
        },
        answers=read_answers([args.scores, *args.judged], wanted),
        second=read_answers(args.judged_second, wanted),
    )
    log(f"{len(reviews):,} generated and {len(human):,} human reviews of {len(papers):,} papers")

    rows, sets = measure_all(generated, modalities, world)
    count_rows(rows, tally)
    write_text(args.measured, "".join(canonical_json(row) + "\n" for row in rows))
    fitted = {",".join(f"{rating:g}" for rating in scale): t.as_dict() for scale, t in world.thresholds.items()}
    tables = {"prompts": args.prompts, "corpus": args.corpus, "splits": args.splits, "scores": args.scores}
    write_manifest(
        args.manifest,
        step="measure_responses",
        inputs={"responses": args.responses, **tables}
        | {f"generations/{name}": path for name, path in generations.items()}
        | {f"rows/{name}": path for name, path in entropies.items()}
        | {f"judged/{path.parent.name}/{path.name}": path for path in (*args.judged, *args.judged_second)}
        | {f"training/{name}/{path.parent.parent.name}": path for name, paths in training.items() for path in paths},
        outputs={"measured": args.measured},
        settings={"runs": modalities},
        counts={"responses": tally.as_dict(), "validation_papers": validation.as_dict()},
        software=SOFTWARE,
        task="reviews",
        classes=["accept", "reject"],
        reference=HUMAN,
        thresholds={"fitted": fitted, "fixed": FIXED},
        sets=sets,
        training_runs_of_words={modality: len(runs) for modality, runs in world.training.items()},
    )
    log(f"{len(rows):,} rows")


if __name__ == "__main__":
    run(main, environment="report")

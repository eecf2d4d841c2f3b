"""How often a checklist is called valid where labels mean nothing: what the permutation test is worth.

Random answers, some items close to others, and random labels, a search for each random seed. Prints Markdown.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts .venv/bin/python benchmarks/checklist_null.py --seeds 1000
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
from scipy.stats import kstest

from winnow.core.config.signals import ChecklistOptimization
from winnow.scoring.checklist import Item
from winnow.scoring.optimization.matrix import Labelled, Matrix
from winnow.scoring.optimization.optimize import Outcome, optimize
from winnow.scoring.optimization.significance import p_value

PAPERS, RESPONSES, ITEMS, DOUBLES = 40, 3, 14, 3
SETTINGS = ChecklistOptimization(max_items=10, bootstraps=1, random_subsets=50)


def random_matrix(seed: int, *, by_paper: bool) -> Matrix:
    """Return random answers and labels; the last items are close to the first ones (phi about 0.9).

    Args:
        seed: of everything.
        by_paper: whether all responses to a paper have one label.
    """
    generator = np.random.default_rng(seed)
    rows = PAPERS * RESPONSES
    answers = generator.random((rows, ITEMS)) < generator.uniform(0.25, 0.75, ITEMS)
    for item in range(DOUBLES):
        changed = generator.random(rows) < 0.05
        answers[:, -1 - item] = answers[:, item] ^ changed
    papers = np.arange(rows) // RESPONSES
    labels = generator.random(PAPERS)[papers] < 0.5 if by_paper else generator.random(rows) < 0.5
    # Questions without a common run of letters, so that answers alone make doubles.
    items = [Item(id=f"i{n:02d}", category="c", text=f"{chr(97 + n) * 12}?") for n in range(ITEMS)]
    return Matrix.of(
        (
            Labelled(
                id=f"r{row:04d}",
                paper=f"p{papers[row]:03d}",
                group=f"p{papers[row]:03d}",
                label=bool(labels[row]),
                answers={item.id: "yes" if answers[row, n] else "no" for n, item in enumerate(items)},
                tokens=int(generator.integers(50, 500)),
                rating=None,
            )
            for row in range(rows)
        ),
        items,
    )


def search(seed: int, *, by_paper: bool, permutations: int) -> tuple[float, float, int, bool]:
    """Return p, p with all steps anew, the length, and whether it is called valid."""
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        found: Outcome = optimize(random_matrix(seed, by_paper=by_paper), SETTINGS, permutations=permutations)
    own = p_value(found.permutations.null_all_steps, found.auc)
    return found.p, own, len(found.chosen), found.status == "validated"


def lines(seeds: int, permutations: int) -> Iterator[str]:
    """Yield the rows of the table."""
    yield "| labels | p | seeds | p <= 0.05 | p <= 0.1 | mean p | KS against uniform | called valid | items, mean |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for by_paper, name in ((True, "one per paper"), (False, "one per response")):
        table = np.array([search(seed, by_paper=by_paper, permutations=permutations) for seed in range(seeds)])
        for column, kind in ((0, "doubles and length fixed (p)"), (1, "all steps anew (p_all_steps)")):
            values = table[:, column]
            test = kstest(values, "uniform")
            yield (
                f"| {name} | {kind} | {seeds} | {(values <= 0.05).mean():.3f} | {(values <= 0.1).mean():.3f} | "
                f"{values.mean():.3f} | D {test.statistic:.3f}, p {test.pvalue:.3g} | "
                f"{int(table[:, 3].sum()) if column == 0 else ''} | {table[:, 2].mean():.1f} |"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--permutations", type=int, default=199)
    args = parser.parse_args()
    print("\n".join(lines(args.seeds, args.permutations)))


if __name__ == "__main__":
    main()

"""How often verdicts are wrong: simulated runs with a known effect and with none, through the code that compares.

Prompts differ in difficulty, samples of one prompt are alike, and both runs answer the same prompts. Prints Markdown.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts .venv/bin/python benchmarks/verdicts.py --simulations 2000
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.statistics import bootstrap_interval, drawn_times
from winnow.evaluation.estimates import row_values
from winnow.evaluation.paired import length_controlled, row_differences
from winnow.evaluation.resampling import BOOTSTRAP_SEED, intervals
from winnow.evaluation.review_metrics import REVIEWS
from winnow.evaluation.seeds import crossed_interval, two_level_draws
from winnow.evaluation.set_metrics import DECISION_FUNCTIONS, RATING_FUNCTIONS
from winnow.evaluation.set_statistics import decision_statistics, rating_sd, spearman
from winnow.evaluation.significance import DETECTABLE
from winnow.evaluation.verdicts import LEVEL, NO_DIFFERENCE, verdicts

Numbers = NDArray[np.float64]
SHARE, MEAN = "decision_correct", "rouge_l_mean"
PROMPTS = (3, 5, 8, 12, 20, 50, 200)


@dataclass(frozen=True)
class World:
    """What is simulated.

    Attributes:
        name: for the table.
        metric: whose kind, share or mean, decides test and interval.
        samples: responses of each run to each prompt.
        draw: generator, prompts, samples, true difference → our and their values. Shapes: [prompts, samples].
    """

    name: str
    metric: str
    samples: int
    draw: Callable[[np.random.Generator, int, int, float], tuple[Numbers, Numbers]]

    @property
    def most(self) -> float:
        """The largest difference that is simulated; a share cannot gain more than what is missing to 1."""
        return 0.45 if REVIEWS.metrics[self.metric].kind == "share" else 2.0

    @lru_cache  # noqa: B019 - it keeps its five worlds alive, which live as long as the process anyway
    def detectable(self, prompts: int) -> float:
        """Return 2.8 true standard errors of the difference over so many prompts, or the most that is simulated."""
        effect = 0.1
        for _ in range(5):  # the spread of shares depends on the effect
            ours, theirs = self.draw(np.random.default_rng(0), 100_000, self.samples, effect)
            effect = min(self.most, DETECTABLE * float((ours - theirs).mean(axis=1).std()) / prompts**0.5)
        return effect


def shares(generator: np.random.Generator, prompts: int, samples: int, effect: float) -> tuple[Numbers, Numbers]:
    """Return zeros and ones, prompts being of every difficulty; a part of what is missing to 1 is gained."""
    theirs = generator.beta(1.2, 1.2, prompts)
    ours = theirs + 2 * effect * (1 - theirs)
    mine, other = (generator.binomial(1, np.repeat(rate[:, None], samples, axis=1)) for rate in (ours, theirs))
    return mine.astype(float), other.astype(float)


def normal(generator: np.random.Generator, prompts: int, samples: int, effect: float) -> tuple[Numbers, Numbers]:
    """Return normal values: a deviation of the prompt that both share, one of each run, and noise."""
    common = generator.normal(0, 0.4, prompts)[:, None]
    ours, theirs = (
        common + generator.normal(0, 0.1, (prompts, 1)) + generator.normal(0, 0.2, (prompts, samples)) for _ in "ab"
    )
    return ours + effect, theirs


def skewed(generator: np.random.Generator, prompts: int, samples: int, effect: float) -> tuple[Numbers, Numbers]:
    """Return log-normal values of each prompt and run, ours larger by a factor: few prompts make the difference."""
    ours, theirs = (
        generator.lognormal(-0.5, 1, (prompts, 1)) + generator.normal(0, 0.3, (prompts, samples)) for _ in "ab"
    )
    return ours * (1 + effect), theirs


WORLDS = (
    World("share, greedy", SHARE, 1, shares),
    World("share, 4 samples", SHARE, 4, shares),
    World("normal, greedy", MEAN, 1, normal),
    World("normal, 4 samples", MEAN, 4, normal),
    World("skewed, 4 samples", MEAN, 4, skewed),
)


def rows_of(**values: Numbers) -> list[dict[str, Any]]:
    """Return rows of measured.jsonl with these metrics. Shapes: [prompts, samples]."""
    prompts, samples = next(iter(values.values())).shape
    return [
        {
            "prompt_id": f"p{prompt:04d}",
            "words": 100,
            "values": {metric: float(table[prompt, sample]) for metric, table in values.items()},
        }
        for prompt in range(prompts)
        for sample in range(samples)
    ]


def difference(metric: str, ours: Numbers, theirs: Numbers) -> dict[str, Any]:
    """Return the difference of two runs in a metric, as comparison.json has it."""
    return row_differences(rows_of(**{metric: ours}), rows_of(**{metric: theirs}), REVIEWS, [metric])[metric]


def holds(interval: Sequence[float], truth: float) -> bool:
    """Say whether an interval has the truth in it; its bounds are rounded to 6 digits."""
    return interval[0] - 1e-6 <= truth <= interval[1] + 1e-6


def plain(ours: Numbers, theirs: Numbers) -> tuple[float, float]:
    """Return the plain percentile interval of the difference, which is not what Winnow writes."""
    differences = (ours - theirs).mean(axis=1)
    drawn = [times @ differences for times in drawn_times(len(differences), seed=BOOTSTRAP_SEED)]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975]) / len(differences)
    return float(low), float(high)


@dataclass(frozen=True)
class Rates:
    """Shares of simulations.

    Attributes:
        covered: the interval has the true difference in it.
        percentile: the same of a plain percentile interval.
        false_alarms: p <= 0.05 between runs that do not differ.
        found: p <= 0.05 with a difference of 2.8 standard errors.
        value: the interval of a run's own value has the truth in it.
    """

    covered: float
    percentile: float
    false_alarms: float
    found: float
    value: float


def rates(world: World, prompts: int, simulations: int) -> Rates:
    """Return how often interval and test of one world are right."""
    generator, effect = np.random.default_rng(prompts), world.detectable(prompts)
    truth = float(world.draw(np.random.default_rng(1), 400_000, 1, 0.0)[1].mean())
    found = np.zeros((simulations, 5), dtype=bool)
    for number in range(simulations):
        ours, theirs = world.draw(generator, prompts, world.samples, effect)
        entry = difference(world.metric, ours, theirs)
        alike = world.draw(generator, prompts, world.samples, 0.0)
        value = row_values(rows_of(**{world.metric: theirs}), REVIEWS, [world.metric])[world.metric]
        found[number] = (
            holds(entry["interval"], effect),
            holds(plain(ours, theirs), effect),
            difference(world.metric, *alike)["p"] <= LEVEL,
            entry["p"] <= LEVEL,
            holds(value["interval"], truth),
        )
    return Rates(*found.mean(axis=0))


def family(generator: np.random.Generator, prompts: int, runs: int, better: int) -> tuple[bool, bool, float]:
    """Simulate runs compared with one base model in all primary metrics.

    Args:
        generator: of everything.
        prompts: that all answer.
        runs: how many.
        better: in how many metrics each run is better than the base, by twice the difference that a test would find.

    Returns:
        whether there is a false verdict, whether there would be one without correction, the share of effects found.
    """
    lines: list[dict[str, Any]] = [{"run": "base_clean", "parent": None, "to_base": None, "to_parent": None}]
    worlds = {metric: WORLDS[0 if REVIEWS.metrics[metric].kind == "share" else 2] for metric in REVIEWS.primary}
    for run in range(runs):
        ours, theirs = {}, {}
        for place, metric in enumerate(REVIEWS.primary):
            effect = min(worlds[metric].most, 2 * worlds[metric].detectable(prompts)) if place < better else 0.0
            ours[metric], theirs[metric] = worlds[metric].draw(generator, prompts, 1, effect)
        entries = row_differences(rows_of(**ours), rows_of(**theirs), REVIEWS, REVIEWS.primary)
        lines.append({"run": f"run{run}", "parent": "base_clean", "to_base": entries, "to_parent": entries})
    verdicts({"clean": {"greedy": {"rows": lines}}}, REVIEWS)
    nothing = [line["to_base"][metric] for line in lines[1:] for metric in REVIEWS.primary[better:]]
    effects = [line["to_base"][metric] for line in lines[1:] for metric in REVIEWS.primary[:better]]
    return (
        any(entry["verdict"] != NO_DIFFERENCE for entry in nothing),
        any(entry["p"] < LEVEL for entry in nothing),
        float(np.mean([entry["verdict"] != NO_DIFFERENCE for entry in effects])) if effects else 0.0,
    )


def seeds_covered(seeds: int, prompts: int, spread: float, simulations: int) -> tuple[float, float]:
    """Return how often the interval over seeds and prompts has the truth in it, and how often resampling both has.

    Prompts deviate by 1, a seed on a prompt by 0.7 and a seed on all prompts by `spread`.
    """
    generator, found = np.random.default_rng([seeds, prompts]), []
    for _ in range(simulations):
        table = generator.normal(0, spread, (seeds, 1)) + generator.normal(0, 1, prompts)
        table += generator.normal(0, 0.7, (seeds, prompts))
        interval = crossed_interval(table)
        drawn = np.quantile(two_level_draws({"": table})[""], [0.025, 0.975])
        found.append((interval is not None and holds(interval, 0.0), holds(drawn, 0.0)))
    first, second = np.mean(found, axis=0)
    return float(first), float(second)


def length_covered(prompts: int, simulations: int) -> tuple[float, float]:
    """Return how often a pure effect of length is called none at equal length, and how often as it is."""
    generator, found = np.random.default_rng(prompts), []
    for _ in range(simulations):
        lengths = generator.normal(0.3, 0.3, prompts)
        differences = 0.5 * lengths + generator.normal(0, 0.1, prompts)
        controlled = length_controlled(differences, lengths)
        drawn = bootstrap_interval(
            np.concatenate([times @ differences / prompts for times in drawn_times(prompts, seed=0)]), prompts
        )
        assert controlled is not None
        assert drawn is not None
        found.append((holds(controlled["interval"], 0), holds(drawn, 0)))
    first, second = np.mean(found, axis=0)
    return float(first), float(second)


SETS = ("accuracy", "macro_f1", "mcc", "rating_sd", "spearman")


def rated(generator: np.random.Generator, prompts: int) -> list[dict[str, Any]]:
    """Return one response to each paper: its rating is people's and noise, its decision is the rating's."""
    human = np.round(3 * generator.uniform(2, 9, prompts)) / 3  # the mean of three
    accepted = human + generator.normal(0, 1, prompts) > 6
    ours = np.clip(np.round(human + generator.normal(0, 2, prompts)), 1, 10)
    unread = generator.random(prompts) < 0.05
    return [
        {
            "run": "a",
            "prompt_id": f"p{paper:06d}",
            "decision": ("reject", "accept")[int(accepted[paper])],
            "predicted": None if unread[paper] else ("reject", "accept")[int(ours[paper] >= 6)],
            "human_rating": float(human[paper]),
            "rating_scale": [1.0, 10.0],
            "values": {"rating": None if unread[paper] else float(ours[paper]), "decision_correct": 0.0},
        }
        for paper in range(prompts)
    ]


def sets_covered(prompts: int, simulations: int) -> dict[str, float]:
    """Return how often the interval of each metric of a whole set has in it what 20,000 papers give."""
    generator = np.random.default_rng(prompts)
    many = rated(np.random.default_rng(0), 20_000)
    truths = {name: function(many, REVIEWS.classes) for name, function in DECISION_FUNCTIONS.items()}
    truths |= {name: function(many) for name, function in RATING_FUNCTIONS.items() if name in SETS}
    found = dict.fromkeys(SETS, 0)
    for _ in range(simulations):
        rows = rated(generator, prompts)
        papers = [row["prompt_id"] for row in rows]
        made = {"rating_sd": rating_sd(rows, papers), "spearman": spearman(rows, papers)}
        made |= decision_statistics(rows, papers, REVIEWS.classes)
        for name, interval in intervals({name: made[name] for name in SETS}, prompts).items():
            truth = truths[name]
            assert truth is not None
            found[name] += interval is not None and holds(interval, truth)
    return {name: count / simulations for name, count in found.items()}


def lines(simulations: int) -> Iterator[str]:
    """Yield the tables."""
    yield "| world | prompts | interval of the difference | plain percentile | false alarms | found at 2.8 SE | value |"
    yield "|---|---|---|---|---|---|---|"
    for world in WORLDS:
        for prompts in PROMPTS:
            r = rates(world, prompts, simulations)
            found = f"{r.found:.3f}" if world.detectable(prompts) < world.most else "–"
            yield (
                f"| {world.name} | {prompts} | {r.covered:.3f} | {r.percentile:.3f} | {r.false_alarms:.3f} "
                f"| {found} | {r.value:.3f} |"
            )
    yield ""
    yield "| family | prompts | tests | any false verdict | without Holm | effects found |"
    yield "|---|---|---|---|---|---|"
    for runs, better in ((1, 0), (3, 0), (3, 2)):
        generator = np.random.default_rng(runs)
        found = np.mean([family(generator, 50, runs, better) for _ in range(simulations // 2)], axis=0)
        name = "nothing differs" if not better else f"{better} of {len(REVIEWS.primary)} metrics differ"
        yield f"| {name} | 50 | {runs * len(REVIEWS.primary)} | {found[0]:.3f} | {found[1]:.3f} | {found[2]:.3f} |"
    yield ""
    yield "| seeds | prompts | spread of seeds | interval | two-level bootstrap |"
    yield "|---|---|---|---|---|"
    for seeds in (2, 3, 5):
        for spread in (0.0, 0.1, 0.5):
            first, second = seeds_covered(seeds, 50, spread, simulations // 2)
            yield f"| {seeds} | 50 | {spread} | {first:.3f} | {second:.3f} |"
    yield ""
    yield f"| prompts | {' | '.join(SETS)} |"
    yield "|---" * (1 + len(SETS)) + "|"
    for prompts in (8, 20, 50, 200):
        shares_covered = sets_covered(prompts, simulations // 2)
        yield f"| {prompts} | " + " | ".join(f"{shares_covered[name]:.3f}" for name in SETS) + " |"
    yield ""
    yield "| a pure effect of length | prompts | called none at equal length | as it is |"
    yield "|---|---|---|---|"
    for prompts in (8, 20, 50, 200):
        first, second = length_covered(prompts, simulations // 2)
        yield f"| 0.5 per log word | {prompts} | {first:.3f} | {second:.3f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2_000, help="for each line; a minute for a hundred")
    for line in lines(parser.parse_args().simulations):
        print(line, flush=True)


if __name__ == "__main__":
    main()

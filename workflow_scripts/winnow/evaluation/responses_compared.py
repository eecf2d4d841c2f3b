"""Generated reviews side by side: tables of values and differences, verdicts of a family of tests, groups of papers."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.evaluation.catalogue import METRICS, PRIMARY
from winnow.evaluation.decisions_compared import decisions
from winnow.evaluation.estimates import failures, row_values, values
from winnow.evaluation.measured import DECODINGS, HUMAN, Measured, Row, grouped, of_prompts, prompts_of
from winnow.evaluation.paired import paired_differences
from winnow.evaluation.resampling import rounded
from winnow.evaluation.seeds import over_seeds
from winnow.evaluation.significance import DETECTABLE, holm

LEVEL = 0.05
POWER = 0.8
NO_DIFFERENCE = "no difference shown"
GROUPS = ("year", "decision")

Tables = dict[str, dict[str, Any]]


def _same_prompts(runs: Mapping[str, Sequence[Row]], decoding: str) -> None:
    """Check that all runs answered the same prompts.

    Raises:
        WinnowError: if one did not, or has no response at all.
    """
    names = list(runs)
    for name in names[1:]:
        if lacking := len(set(prompts_of(runs[name])) ^ set(prompts_of(runs[names[0]]))):
            raise WinnowError(
                f"{name} and {names[0]}",
                f"have {decoding} responses to different prompts: {lacking} are in one of them only",
                "generate again: run snakemake with --forcerun generate_responses",
            )


def _groups(runs: Mapping[str, Sequence[Row]], human: Sequence[Row]) -> dict[str, Any]:
    """Return the primary metrics of every run, people among them, in each group of papers; "none" is not known."""

    def kind_of(row: Row, key: str) -> str:
        return "none" if row[key] is None else str(row[key])

    found: dict[str, Any] = {}
    for key in GROUPS:
        everyone = {HUMAN: human, **runs}
        kinds = sorted({kind_of(row, key) for rows in runs.values() for row in rows})
        found[key] = {
            kind: {
                run: {
                    metric: {name: entry[name] for name in ("n", "value", "interval")}
                    for metric, entry in row_values([row for row in rows if kind_of(row, key) == kind], PRIMARY).items()
                }
                for run, rows in everyone.items()
            }
            for kind in kinds
        }
    return found


def _arms(runs: Sequence[ResolvedRun], alike: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[Row]]) -> Any:
    """Return the means over seeds of runs alike but for the seed, with their difference to the base model."""
    by_name = {run.name: run for run in runs}
    groups = sorted({tuple(sorted(names)) for names in alike.values() if len(names) > 1})
    arms = []
    for group in groups:
        if group[0] not in found:
            continue
        rows = [found[name] for name in group]
        arms.append(
            {
                "runs": list(group),
                "seeds": sorted(by_name[name].seed for name in group),
                "stage": by_name[group[0]].stage,
                "values": over_seeds(rows),
                "to_base": over_seeds(rows, found[f"base_{by_name[group[0]].modality}"]),
            }
        )
    return arms


def verdicts(tables: Tables) -> dict[str, Any]:
    """Correct the p of every primary metric for the family of all of them, and write the verdicts into the tables.

    The family is every test from which this comparison draws a verdict: all primary metrics, runs, modalities and both
    decodings. A difference to a parent that is the base model is one test, shown twice.

    Source: Holm 1979.

    Returns:
        what the family is.
    """
    tests: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for modality, by_decoding in tables.items():
        for decoding, table in by_decoding.items():
            for row in table["rows"]:
                for key in ("to_base", "to_parent"):
                    other = row["parent"] if key == "to_parent" else f"base_{modality}"
                    for metric in PRIMARY if row[key] else ():
                        entry = row[key][metric]
                        entry["p_holm"] = None
                        if entry["p"] is not None:
                            tests.setdefault((modality, decoding, row["run"], other, metric), []).append(entry)
    corrected = holm([entries[0]["p"] for entries in tests.values()])
    # The strictest level that Holm asks for, that of the smallest p, in standard errors.
    strictest = NormalDist().inv_cdf(1 - LEVEL / (2 * max(1, len(tests)))) + NormalDist().inv_cdf(POWER)
    for (*_, metric), p in zip(tests, corrected, strict=True):
        for entry in tests[(*_, metric)]:
            entry |= {
                "p_holm": rounded(p),
                "verdict": _verdict(metric, entry["value"], p),
                "mde_family": None if entry["mde"] is None else rounded(entry["mde"] / DETECTABLE * strictest),
            }
    return {"method": "holm", "level": LEVEL, "metrics": list(PRIMARY), "tests": len(tests)}


def _verdict(metric: str, value: float, p: float) -> str:
    if p >= LEVEL or value == 0:
        return NO_DIFFERENCE
    return "better" if (value > 0) == (METRICS[metric].better == "higher") else "worse"


def compare_responses(
    measured: Measured,
    *,
    modalities: Sequence[str],
    runs: Sequence[ResolvedRun],
    alike: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return what comparison.json says of generated reviews: values, differences, verdicts, decisions, groups, seeds.

    Args:
        measured: of every response, human ones among them.
        modalities: in the order of the study.
        runs: of the study, resolved.
        alike: for each run the runs that have its settings but for the seed, itself among them.
    """
    groups = grouped(measured.rows)
    people = groups.get((HUMAN, HUMAN), [])
    responses: Tables = {}
    found: dict[str, dict[str, Any]] = {"decisions": {}, "breakdown": {}, "arms": {}}
    for modality in modalities:
        own = {run.name: run for run in runs if run.modality == modality}
        base = f"base_{modality}"
        for decoding in DECODINGS:
            rows = {name: groups.get((name, decoding), []) for name in (base, *own)}
            if not any(rows.values()):
                continue
            _same_prompts(rows, decoding)
            human = of_prompts(people, prompts_of(rows[base]))
            texts = {name: of_run.get(decoding, {}) for name, of_run in measured.sets.items()}
            lines = [_line(own.get(name), rows, human, base, texts) for name in rows]
            for line in lines[1:]:
                line["seeds"] = sorted(own[name].seed for name in alike[line["run"]])
            responses.setdefault(modality, {})[decoding] = {
                HUMAN: values(human, human, measured.sets.get(HUMAN, {}).get(HUMAN, {})),
                "rows": lines,
            }
            for part, content in (
                ("decisions", decisions(rows, human, measured.thresholds)),
                ("breakdown", _groups(rows, human)),
                ("arms", _arms(list(own.values()), alike, rows)),
            ):
                if content:
                    found[part].setdefault(modality, {})[decoding] = content
    family = verdicts(responses)
    metrics = {name: metric.as_dict() for name, metric in METRICS.items()}
    return {"metrics": metrics, "family": family, "responses": responses, **found}


def _line(
    run: ResolvedRun | None,
    rows: Mapping[str, Sequence[Row]],
    human: Sequence[Row],
    base: str,
    of_texts: Mapping[str, Mapping[str, float | None]],
) -> dict[str, Any]:
    """Return one run of a table; the base model, which is no run, has no seed, no parent and no differences."""
    name = run.name if run else base
    ours = rows[name]
    line = {
        "run": name,
        "n": len(ours),
        "prompts": len(prompts_of(ours)),
        "failures": failures(ours),
        "values": values(ours, human, of_texts.get(name, {})),
    }
    if run is None:
        return line | {"stage": "base", "seeds": []} | dict.fromkeys(("parent", "seed", "to_base", "to_parent"))
    parent = run.parent or base
    to_base = paired_differences(ours, rows[base], human)
    to_parent = to_base if parent == base else paired_differences(ours, rows[parent], human)
    return line | {"stage": run.stage, "parent": parent, "seed": run.seed, "to_base": to_base, "to_parent": to_parent}

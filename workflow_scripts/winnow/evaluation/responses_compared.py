"""Responses side by side: tables of values and differences, with verdicts, decisions, groups of prompts and seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.evaluation.catalogue import Task
from winnow.evaluation.decisions_compared import decisions
from winnow.evaluation.estimates import failures, row_values, values
from winnow.evaluation.measured import Measured, Row, grouped, of_prompts, prompts_of
from winnow.evaluation.paired import paired_differences
from winnow.evaluation.seeds import over_seeds
from winnow.evaluation.verdicts import Tables, to_reference, verdicts

_MADE_BY = {"logprob": "evaluate_run"}


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
                f"make them again: run snakemake with --forcerun {_MADE_BY.get(decoding, 'generate_responses')}",
            )


def _groups(runs: Mapping[str, Sequence[Row]], reference: Sequence[Row], task: Task) -> dict[str, Any]:
    """Return the primary metrics of every run and the reference in each group of prompts; "none" is not known."""

    def kind_of(row: Row, key: str) -> str:
        return "none" if row[key] is None else str(row[key])

    found: dict[str, Any] = {}
    for key in task.groups:
        everyone = {task.reference: reference, **runs}
        kinds = sorted({kind_of(row, key) for rows in runs.values() for row in rows})
        found[key] = {
            kind: {
                run: {
                    metric: {name: entry[name] for name in ("n", "value", "interval")}
                    for metric, entry in row_values(
                        [row for row in rows if kind_of(row, key) == kind], task, task.primary
                    ).items()
                }
                for run, rows in everyone.items()
            }
            for kind in kinds
        }
    return found


def _arms(
    runs: Sequence[ResolvedRun], alike: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[Row]], task: Task
) -> list[dict[str, Any]]:
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
                "values": over_seeds(rows, task),
                "to_base": over_seeds(rows, task, found[f"base_{by_name[group[0]].modality}"]),
            }
        )
    return arms


def compare_responses(
    measured: Measured,
    *,
    modalities: Sequence[str],
    runs: Sequence[ResolvedRun],
    alike: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return what comparison.json says of responses: task, values, differences, verdicts, decisions, groups, seeds.

    Args:
        measured: of every response, those of the task's reference among them.
        modalities: in the order of the study.
        runs: of the study, resolved.
        alike: for each run the runs that have its settings but for the seed, itself among them.
    """
    task, groups = measured.task, grouped(measured.rows)
    of_reference = groups.get((task.reference, task.reference_decoding), [])
    reference_texts = measured.sets.get(task.reference, {}).get(task.reference_decoding, {})
    responses: Tables = {}
    found: dict[str, dict[str, Any]] = {"decisions": {}, "breakdown": {}, "arms": {}}
    for modality in modalities:
        own = {run.name: run for run in runs if run.modality == modality}
        base = f"base_{modality}"
        for decoding in task.decodings:
            rows = {name: groups.get((name, decoding), []) for name in (base, *own)}
            if not any(rows.values()):
                continue
            _same_prompts(rows, decoding)
            reference = of_prompts(of_reference, prompts_of(rows[base]))
            texts = {name: of_run.get(decoding, {}) for name, of_run in measured.sets.items()}
            lines = [_line(own.get(name), rows, reference, base=base, of_texts=texts, task=task) for name in rows]
            for line in lines[1:]:
                line["seeds"] = sorted(own[name].seed for name in alike[line["run"]])
            responses.setdefault(modality, {})[decoding] = {
                "reference": values(reference, reference, reference_texts, task),
                "rows": lines,
            }
            for part, content in (
                ("decisions", decisions(rows, reference, measured.thresholds, task)),
                ("breakdown", _groups(rows, reference, task)),
                ("arms", _arms(list(own.values()), alike, rows, task)),
            ):
                if content:
                    found[part].setdefault(modality, {})[decoding] = content
    return {
        "task": task.as_dict(),
        "metrics": task.described_metrics(),
        "family": verdicts(responses, task),
        "responses": responses,
        **found,
    }


def _line(
    run: ResolvedRun | None,
    rows: Mapping[str, Sequence[Row]],
    reference: Sequence[Row],
    *,
    base: str,
    of_texts: Mapping[str, Mapping[str, float | None]],
    task: Task,
) -> dict[str, Any]:
    """Return one run of a table; the base model, which is no run, has no seed, no parent and no differences."""
    name = run.name if run else base
    ours = rows[name]
    line = {
        "run": name,
        "n": len(ours),
        "prompts": len(prompts_of(ours)),
        "failures": failures(ours, task),
        "values": values(ours, reference, of_texts.get(name, {}), task),
    }
    if task.tests_reference:
        line["to_reference"] = to_reference(name, ours, reference, task)
    if run is None:
        return line | {"stage": "base", "seeds": []} | dict.fromkeys(("parent", "seed", "to_base", "to_parent"))
    parent = run.parent or base
    to_base = paired_differences(ours, rows[base], reference, task)
    to_parent = to_base if parent == base else paired_differences(ours, rows[parent], reference, task)
    return line | {"stage": run.stage, "parent": parent, "seed": run.seed, "to_base": to_base, "to_parent": to_parent}

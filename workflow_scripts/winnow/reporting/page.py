"""The report: one HTML file that needs nothing else, from the files of a study."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting import (
    answers,
    checklists,
    comparing,
    cost,
    distributions,
    funnel,
    judging,
    labels,
    lineage,
    provenance,
    responses,
    samples,
    scores,
    status,
    trainings,
    validation,
)
from winnow.reporting.json_tables import tables_of
from winnow.reporting.sources import Results
from winnow.reporting.task import COMPARISON, inside, task_of
from winnow.reporting.words import FILTERS, excludes_zero

TEMPLATES = Path(__file__).parents[3] / "resources" / "report"
JUDGE_REPORT = "scores/judge_report.json"

# Parts of the judge report that have a place of their own, or are counted from the score rows themselves.
_SHOWN_ELSEWHERE = {"rows", "items", "checkmark_counts", "parse_statuses", "injection_flags", "gates"}
_SHOWN_ELSEWHERE |= {"human_agreement", "human_sheet", "retest", "reordered", "injected", "second"}


def environment() -> Environment:
    """Return a Jinja environment that escapes everything and stops at a name it does not know."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS, inside=inside, label=labels.title)
    made.tests["clear"] = excludes_zero
    return made


def in_order(study: ResolvedStudy) -> ResolvedStudy:
    """Return the study with SFT before DPO: a spec that travelled as JSON is in the order of the alphabet."""

    def order(item: tuple[str, Any]) -> tuple[bool, str]:
        return item[1].stage != "sft", item[0]

    runs, datasets = sorted(study.runs.items(), key=order), sorted(study.datasets.items(), key=order)
    return study.model_copy(update={"runs": dict(runs), "datasets": dict(datasets)})


def content(results: Results, study: ResolvedStudy, checklist: Path | None) -> dict[str, Any]:
    """Return all that the template shows, section by section."""
    summary = scores.summarise(results, study)
    judge, comparison = results.json(JUDGE_REPORT), results.json(COMPARISON)
    checked = validation.summaries(results, study)
    trained = [trainings.training(results, run) for run in study.runs.values()]
    usage = results.json(cost.USAGE)
    own = _of_judging if study.signal.judges else _of_labels
    shown: dict[str, Any] = {
        "study": study,
        "judge_source": JUDGE_REPORT,
        "judge": judge,
        "gates": judging.gates(judge),
        "scores_source": scores.SCORES,
        "summary": summary,
        "funnel": funnel.summary(results, study, summary.total),
        "steps": funnel.steps(results, study),
        "splits": funnel.split_counts(results, study),
        "ledgers": funnel.ledgers(results, study),
        "validations": checked,
        "trainings": trained,
        "comparison": comparison,
        "comparison_source": COMPARISON,
        "task": task_of(comparison),
        "compared": comparing.tables(comparison),
        "metrics": responses.metrics(comparison),
        "responses": responses.tables(comparison),
        "sweeps": responses.sweeps(comparison),
        "software": provenance.software(results, study),
        "hashes": provenance.hashes(results, study),
        "cards": lineage.cards(results, study),
        "gaps": lineage.all_gaps(results, study),
        "seeds": provenance.seeds(study),
        "cost": cost.summary(usage) if usage else None,
        "cost_source": cost.USAGE,
        "uncounted": cost.uncounted(results, study, usage) if usage else [],
        **own(results, study, checklist, summary, judge),
    }
    shown["status"] = [
        status.data_status(study),
        status.model_status(study),
        *shown["scores_status"],
        status.validation_status(checked),
        *status.training_status(trainings.alarms(results, study), {run["name"]: run["changed"] for run in trained}),
        *status.baseline_status(comparison, COMPARISON),
        *status.verdict_status(comparison, COMPARISON),
        *status.failure_status(comparison, COMPARISON),
        *status.lineage_status(shown["gaps"]),
        *status.missing_status(results.missing),
    ]
    return shown


def _of_judging(
    results: Results, study: ResolvedStudy, checklist: Path | None, summary: scores.ScoreSummary, judge: Any
) -> dict[str, Any]:
    """Return what a page shows of responses that a judge scored, and of those that models wrote for people to read."""
    chosen = checklists.read_result(study, checklist)
    sampled = samples.samples(results, study, checklists.questions(study, checklist))
    further = {key: judge[key] for key in judge if key not in _SHOWN_ELSEWHERE} if judge else {}
    return {
        "sections": _sections("checklist", "judge", "distributions", samples="samples"),
        "judge_tables": tables_of(further, "") if judge else [],
        "agreements": judging.agreements(judge),
        "injected": (judge or {}).get("injected"),
        "judge_drawings": judging.drawings(judge, summary, JUDGE_REPORT),
        "checklist": chosen if checklists.is_told(chosen) else None,
        "checklist_drawing": checklists.drawing(chosen) if chosen and checklists.is_told(chosen) else None,
        "baselines": checklists.baselines(chosen) if chosen else [],
        "baseline_tables": [],
        "drawings": [*distributions.score_drawings(summary), *distributions.pair_drawings(results, study)],
        "samples": sampled,
        "sample_filters": samples.filters(sampled),
        "scores_status": [status.checklist_status(study, chosen), status.gate_status(judge, JUDGE_REPORT)],
    }


def _of_labels(
    results: Results, study: ResolvedStudy, _checklist: Path | None, _summary: scores.ScoreSummary, judge: Any
) -> dict[str, Any]:
    """Return what a page shows of responses that were scored by labels, and of what models answered."""
    answered = answers.answers(results, study)
    drawings = distributions.pair_drawings(results, study)
    return {
        "sections": _sections("scores", *(["distributions"] if drawings else []), samples="answers"),
        "agreement": labels.agreement(results, study, judge),
        "label_words": labels.words_of(study),
        "baseline_tables": labels.baseline_tables(results),
        "baseline_source": labels.MEASURED,
        "drawings": drawings,
        "samples": answered,
        "sample_filters": answers.filters(answered),
        "scores_status": [status.gate_status(judge, JUDGE_REPORT, "Scores")],
    }


def _sections(*of_scores: str, samples: str) -> list[tuple[str, str, str]]:
    """Return anchor, title and template of each section of the page, in their order.

    Args:
        of_scores: the sections on scores, between data and validation.
        samples: the template that shows what models wrote.
    """
    names = ("data", *of_scores, "validation", "training", "comparison", "samples", "cost", "provenance")
    return [(name, name.capitalize(), samples if name == "samples" else name) for name in names]


def render(results: Results, study: ResolvedStudy, checklist: Path | None) -> str:
    """Return the report as HTML.

    Args:
        results: of the study.
        study: resolved.
        checklist: optimal_checklist.json of the study's own search; None where it made none.
    """
    style, script = _own("style.css"), _own("script.js")
    shown = content(results, in_order(study), checklist)
    template = environment().get_template("report.html.j2")
    return template.render(style=style, script=script, policy=policy(script), **shown)


def policy(script: str) -> str:
    """Return what a browser may do with the page: apply its styles and run this one script, and fetch nothing.

    So a text by a model or a reviewer that found a way past the escaping could neither run nor call home.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _own(name: str) -> Markup:
    """Return a file of ours that stands in the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - not from outside

"""The rules that each dataset was checked against, and what they found."""

from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.sources import Results

_VERDICTS = {"pass": "pass", "warn": "warn", "fail": "fail", "not_applicable": "not applicable"}


def verdict(rule: dict[str, Any]) -> str:
    """Return pass, warn, not applicable or fail; what is not understood is a fail, never a pass."""
    return _VERDICTS.get(str(rule.get("status")), "fail")


def summaries(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return for each dataset and modality its rules with verdict, counts, measurements and examples."""
    tables = []
    for dataset in study.datasets:
        for modality in study.modalities:
            source = f"datasets/{dataset}/{modality}/validation.json"
            rules = (results.json(source) or {}).get("rules") or []
            tables.append(
                {"dataset": dataset, "modality": modality, "rules": [_rule(rule) for rule in rules], "source": source}
            )
    return tables


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "rule": rule["id"],
        "name": rule.get("name", ""),
        "verdict": verdict(rule),
        "checked": rule.get("checked"),
        "failures": rule.get("failures"),
        "reason": rule.get("reason"),
        "measured": rule.get("measured") or {},
        "examples": rule.get("examples") or [],
    }

"""The rules that each dataset was checked against, and what they found."""

from typing import Any

from winnow.core.config import ResolvedStudy
from winnow.reporting.sources import Results

_VERDICTS = {"pass": "pass", "passed": "pass", "ok": "pass", "true": "pass", "warn": "warn", "warning": "warn"}
_VERDICTS |= {"skip": "skipped", "skipped": "skipped", "not_applicable": "skipped"}
_NAMES = ("rule", "id", "name", "code")
_TEXTS = ("message", "text", "detail", "details", "description", "problem")


def verdict(rule: dict[str, Any]) -> str:
    """Return pass, warn, skipped or fail; what is not understood is a fail, never a pass."""
    for key in ("verdict", "status", "passed", "ok"):
        if key in rule:
            return _VERDICTS.get(str(rule[key]).lower(), "fail")
    return "fail"


def summaries(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return for each dataset and modality its rules with verdict, count and words."""
    tables = []
    for dataset in study.datasets:
        for modality in study.modalities:
            source = f"datasets/{dataset}/{modality}/validation.json"
            report = results.json(source) or {}
            rules = report.get("rules") or []
            if isinstance(rules, dict):
                rules = [{"rule": name, **rule} for name, rule in rules.items()]
            tables.append(
                {"dataset": dataset, "modality": modality, "rules": [_rule(rule) for rule in rules], "source": source}
            )
    return tables


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    name = next((str(rule[key]) for key in _NAMES if rule.get(key)), "?")
    words = [str(rule[key]) for key in _TEXTS if rule.get(key) and str(rule[key]) != name]
    used = {*_NAMES, *_TEXTS, "verdict", "status", "passed", "ok"}
    return {
        "rule": name,
        "verdict": verdict(rule),
        "words": " · ".join(words),
        "facts": {key: value for key, value in sorted(rule.items()) if key not in used and value not in (None, [], {})},
    }

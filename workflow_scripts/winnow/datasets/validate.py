"""All rules of a dataset, run in few passes over its files, and the report that training depends on."""

from collections.abc import Callable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from winnow.core.ids import sha256_file
from winnow.core.log import Progress
from winnow.core.tables import count_rows
from winnow.datasets import rules_bias, rules_dpo, rules_labels, rules_mined, rules_modalities, rules_sft, rules_splits
from winnow.datasets.checks import Check
from winnow.datasets.evidence import Evidence, Paths, ValidationSpec
from winnow.datasets.fitting import read_renderer
from winnow.datasets.render import tokenizer_files
from winnow.datasets.rendered import rendered_rows
from winnow.datasets.rules_rows import RowRules
from winnow.datasets.rules_tokens import TokenRules, token_rows

BATCH = 64  # rows that are tokenised together

Rule = Callable[[Evidence, Check], None]

# Rules on whole tables: key → what it asks, function. The letter after C8 tells its parts apart.
COMMON: dict[str, tuple[str, Rule]] = {
    "C2": ("no prompt is in two splits", rules_splits.prompt_in_one_split),
    "C3": ("held-out prompts are untouched", rules_splits.held_out_untouched),
    "C8a": ("score rows say what answers and sources say", rules_sft.scores_recounted),
    "C10": ("exactly the chosen rows are rendered", rules_modalities.ids_complete),
    "C10b": ("every modality has the same rows", rules_modalities.same_rows),
    "W9": ("no text is in train and in val", rules_bias.no_duplicates_across_splits),
}
LABEL_PAIRS: dict[str, tuple[str, Rule]] = {
    "C8b": ("chosen says the label of its prompt, rejected another", rules_labels.agreement_repeated),
    "C8c": ("texts of every pair differ, in one template and as long", rules_labels.texts_repeated),
    "C9": ("what else the choice favours: length, rating", rules_bias.dpo_bias),
    "W1": ("every candidate is chosen or in the ledger", rules_labels.ledger_complete),
    "W2": ("limits per prompt and per response hold", rules_dpo.pair_limits),
    "W3": ("the overlap policy holds", rules_dpo.overlap_kept),
    "W4": ("labels are balanced, and the pairs drawn are those whose turn it was", rules_labels.draw_repeated),
}
BY_POLICY: dict[str, dict[str, tuple[str, Rule]]] = {
    "top_fraction": {
        "C8b": ("exactly the best fraction is chosen", rules_sft.selection_repeated),
        "C9": ("what else the choice favours: length, rating", rules_bias.sft_bias),
        "W1": ("every candidate is chosen or in the ledger", rules_sft.ledger_complete),
    },
    "all": {
        "C8b": ("exactly the right responses are chosen", rules_sft.every_right_repeated),
        "C9": ("what else the choice favours: length, rating", rules_bias.sft_bias),
        "W1": ("every candidate is chosen or in the ledger", rules_sft.ledger_complete),
    },
    "contrastive": {
        "C8b": ("margins of every pair hold", rules_dpo.margins_repeated),
        "C8c": ("texts of every pair differ enough", rules_dpo.texts_repeated),
        "C9": ("what else the choice favours: length, rating", rules_bias.dpo_bias),
        "W1": ("every candidate is chosen or in the ledger", rules_dpo.ledger_complete),
        "W2": ("limits per prompt and per response hold", rules_dpo.pair_limits),
        "W3": ("the overlap policy holds", rules_dpo.overlap_kept),
        "W4": ("the best pairs of each prompt are chosen", rules_dpo.ranking_repeated),
    },
    "by_label": LABEL_PAIRS
    | {
        "W10": ("neither template nor length tells the chosen side", rules_labels.templates_tell_nothing),
    },
    "mined": LABEL_PAIRS
    | {
        "W10": ("length does not tell the chosen side", rules_mined.length_tells_nothing),
        "W11": ("rejected is what the run said to this very prompt, chosen the right word", rules_mined.said_by_run),
        "W12": ("all that the run said is a candidate", rules_mined.all_candidates),
    },
}


def table_checks(evidence: Evidence) -> list[Check]:
    """Run the rules on whole tables."""
    checks = []
    for key, (name, rule) in (COMMON | BY_POLICY[evidence.spec.policy.policy]).items():
        check = Check(key, name)
        rule(evidence, check)
        checks.append(check)
    return checks


def row_checks(evidence: Evidence) -> list[Check]:
    """Run the rules on single rendered rows and their tokens, in one pass over the rows."""
    by_row, by_token = RowRules(evidence), TokenRules(evidence)
    row_rules = [(Check(key, name), rule) for key, (name, rule) in by_row.rules.items()]
    token_rules = [(Check(key, name), rule) for key, (name, rule) in by_token.rules.items()]
    paths, stage = evidence.paths, evidence.spec.stage
    rows = chain.from_iterable(
        rendered_rows(split, path, paths.prompts, paths.responses, stage) for split, path in paths.rendered()
    )
    progress = Progress("rows validated", sum(count_rows(path) for _, path in paths.rendered()))
    while batch := list(islice(rows, BATCH)):
        for rendered in batch:
            for check, rule in row_rules:
                rule(rendered, check)
        for tokens in token_rows(evidence.renderer, batch):
            for check, token_rule in token_rules:
                token_rule(tokens, check)
        progress.step(len(batch))
    return [check for check, _ in row_rules] + [check for check, _ in token_rules]


def _order(key: str) -> tuple[str, int, str]:
    """Order C2 before C10."""
    digits = "".join(filter(str.isdigit, key))
    return key[0], int(digits), key


def validate(spec: ValidationSpec, paths: Paths, model: Path) -> dict[str, Any]:
    """Return the validation report of one dataset in one modality.

    Args:
        spec: how the dataset was chosen and rendered.
        paths: its files and its sources.
        model: folder of the base model, whose tokenizer counts.
    """
    evidence = Evidence(spec, paths, read_renderer(model, spec, paths.images))
    checks = sorted([*table_checks(evidence), *row_checks(evidence)], key=lambda check: _order(check.id))
    return {
        "ok": not any(check.status == "fail" for check in checks),
        "stage": spec.stage,
        "dataset": spec.dataset,
        "modality": spec.modality,
        "rules": [check.result() for check in checks],
        "settings": spec.model_dump(
            mode="json", exclude={name for name in ("images", "answers") if getattr(spec, name) is None}
        ),
        "inputs": {name: sha256_file(path) for name, path in _inputs(paths, model).items()},
    }


def _inputs(paths: Paths, model: Path) -> Mapping[str, Path]:
    files = {name: path for name, path in vars(paths).items() if isinstance(path, Path)}
    files |= {f"others/{name}": path for name, path in paths.others.items()}
    files |= {f"generations/{split}": path for split, path in paths.generations.items()}
    return files | {f"modalities/{name}": path for name, path in paths.modalities.items()} | tokenizer_files(model)


def failed_rules(report: Mapping[str, Any]) -> list[str]:
    """Return one line for each failed rule, with its first example."""
    return [
        f"{rule['id']} ({rule['name']}): {rule['failures']} of {rule['checked']}"
        + "".join(f"; {example['id']} {example['what']}" for example in rule["examples"][:1])
        for rule in report["rules"]
        if rule["status"] == "fail"
    ]

"""W10 to W12 for pairs mined from a model: what it said, to which prompt, and that length does not tell the sides."""

import math
from collections import Counter

from winnow.core.tables import read_rows
from winnow.datasets.checks import Check
from winnow.datasets.evidence import Evidence
from winnow.datasets.mistakes import read_generations
from winnow.datasets.pair_by_label import MinedSpec
from winnow.datasets.rules_bias import auc
from winnow.datasets.rules_labels import AUC_TOLERANCE, Z_LIMIT, texts_of_pairs
from winnow.graders.verdicts import read_verdict

Said = tuple[str, str, str]  # response id, prompt id, text without the blanks around it


def _spec(evidence: Evidence) -> MinedSpec:
    assert isinstance(evidence.spec.policy, MinedSpec)
    return evidence.spec.policy


def length_tells_nothing(evidence: Evidence, check: Check) -> None:
    """W10: the length of a response in tokens does not tell the right word from what the run said.

    Few pairs may be further from 0.5 by chance: up to Z_LIMIT standard errors of an AUC that tells nothing, which is
    sqrt((2n + 1) / (12 n^2)) of n pairs without ties, and less with them (Mann and Whitney 1947).
    """
    rows = [
        row for _, path in evidence.paths.rendered() for row in read_rows(path, ["chosen_tokens", "rejected_tokens"])
    ]
    length = auc([row["chosen_tokens"] for row in rows], [row["rejected_tokens"] for row in rows])
    if length is None:
        check.not_applicable = "there are no pairs"
        return
    limit = max(AUC_TOLERANCE, Z_LIMIT * math.sqrt((2 * len(rows) + 1) / 12) / len(rows))
    check.measured |= {"length_auc": length, "limit": limit}
    said = f"tells the chosen side with AUC {length:.3f} (limit 0.5 \u00b1 {limit:.2g})"
    check.expect(abs(length - 0.5) <= limit, "length", f"{said}: set length_caliper, and balance: true")


def _by_run(evidence: Evidence) -> set[Said]:
    """Return all that the run said."""
    paths = list(evidence.paths.generations.values())
    return {(row["id"], row["prompt_id"], row["text"].strip()) for row in read_generations(paths)}


def said_by_run(evidence: Evidence, check: Check) -> None:
    """W11: each rejected response is one that the run gave to the pair's prompt, read and wrong; chosen the right word.

    What it said is read from the generations, not from the table that was made of them.
    """
    answers, by_run, texts = evidence.spec.answers or {}, _by_run(evidence), texts_of_pairs(evidence)
    for row in evidence.chosen:
        name, label = row["pair_id"], evidence.labels.get(row["prompt_id"])
        chosen, rejected = texts.get(row["chosen_id"]), texts.get(row["rejected_id"])
        if chosen is None or rejected is None:
            continue  # agreement_repeated says so
        text = rejected["text"].strip()
        found = (row["rejected_id"], row["prompt_id"], text) in by_run
        check.expect(found, name, f"the run did not say {text[:60]!r} to {row['prompt_id']} as {row['rejected_id']}")
        verdict = read_verdict(text, answers)
        check.expect(verdict is not None and verdict != label, name, f"rejected says {verdict}, its prompt is {label}")
        right = answers.get(label or "")
        check.expect(chosen["text"].strip() == right, name, f"chosen is {chosen['text'][:60]!r}, the word is {right}")
        check.expect(chosen["author_kind"] != "model", name, "chosen was said by a model")


def all_candidates(evidence: Evidence, check: Check) -> None:
    """W12: the table of responses holds what the run said, each text once for a prompt, and nothing else of a model.

    Every prompt was asked as often as the settings say, and by the run that they name.
    """
    spec, counts, runs = _spec(evidence), Counter[str](), set[str]()
    wanted: dict[tuple[str, str], set[str]] = {}
    for row in read_generations(list(evidence.paths.generations.values())):
        counts[row["prompt_id"]] += 1
        runs.add(row["run"])
        wanted.setdefault((row["prompt_id"], row["text"].strip()), set()).add(row["id"])
    check.expect(runs <= {spec.run}, "generations", f"are of {', '.join(sorted(runs))}, not of {spec.run} alone")
    for prompt_id, count in counts.items():
        check.expect(count == 1 + spec.samples, prompt_id, f"has {count} responses, not {1 + spec.samples}")
    check.measured |= {"prompts": len(counts), "responses": counts.total(), "different": len(wanted)}
    for row in read_rows(evidence.paths.responses, ["response_id", "prompt_id", "text", "author_kind", "source"]):
        ids = wanted.pop((row["prompt_id"], row["text"].strip()), set())
        if row["author_kind"] == "model":
            found = row["response_id"] in ids and row["source"] == spec.run
            check.expect(found, row["response_id"], "is in the table once more, or the run did not say it")
    for prompt_id, text in wanted:
        check.fail(prompt_id, f"the run said {text[:60]!r}, which is in no row")

"""Model cards and dataset cards in the hub's form: YAML for machines, Markdown for people, by rule from manifests."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from winnow.core.config.runs import ResolvedRun
from winnow.core.config.studies import ResolvedStudy
from winnow.core.errors import WinnowError
from winnow.core.mined import mining_manifests
from winnow.reporting import limits, validation
from winnow.reporting.funnel import Step, steps
from winnow.reporting.lineage import last_manifest, lineage
from winnow.reporting.sources import Results
from winnow.reporting.words import FILTERS, count, interval, number, share

TEMPLATES = Path(__file__).parents[3] / "resources" / "cards"
# The hub's classes of size, by their upper ends.
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def _render(template: str, **content: Any) -> str:
    """Fill a template; Markdown escapes nothing, so what comes from outside is kept on one line."""
    made = Environment(  # noqa: S701 - Markdown, not HTML; no text of a corpus is shown
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(FILTERS)
    return made.get_template(template).render(**content)


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()


def _needed(results: Results, name: str) -> dict[str, Any]:
    """Return a file that a card cannot do without."""
    content = results.json(name)
    if not isinstance(content, dict):
        raise WinnowError(results.root / name, "is not there, and a card needs it", f"run snakemake on {name} first")
    return content


def _base(results: Results, run: ResolvedRun) -> tuple[str, dict[str, Any]]:
    """Return what the base model is, in words, and the hub's keys for it: none for a model that is not there."""
    made = _needed(results, f"models/{run.model}/manifest.json")["model"]
    if made["kind"] == "hub":
        relation = {"base_model_relation": "finetune"}  # an adapter is merged, so that whole weights are given
        return f"{made['source']} at commit {made['revision']}", {"base_model": [made["source"]]} | relation
    if made["kind"] == "path":
        return f"a model of a local folder ({Path(made['source']).name}), named by the hashes below", {}
    return f"a tiny random model that was built here (`{run.model}`)", {}


def _tags(study: ResolvedStudy, corpora: set[str], *more: str) -> list[str]:
    made_up = any(study.corpora[name].adapter == "demo" for name in corpora)
    return ["winnow", *more, *(["synthetic"] if made_up else [])]


def _measured(metrics: Mapping[str, Any], responses: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of every measurement, each with its n.

    Args:
        metrics: metrics.json of a run or of the untrained model.
        responses: what the held-out ones are.
    """
    held = metrics.get("heldout") or {}
    if held:
        yield (
            f"loss of {responses}, nats per token (n = {count(held['n'])} responses to {count(held['prompts'])}"
            " prompts)",
            f"{number(held['loss'])} {interval(held['loss_interval'])}",
        )
        yield (
            f"perplexity (n = {count(held['n'])})",
            f"{number(held['perplexity'])} {interval(held['perplexity_interval'])}",
        )
    for name, pairs in sorted((metrics.get("preferences") or {}).items()):
        yield (
            f"`{name}`: share of pairs whose chosen response is the likelier (n = {count(pairs['n'])};"
            f" always the {pairs['length_only_rule']} one: {share(pairs['length_only_accuracy'])})",
            f"{share(pairs['accuracy'])} {interval(pairs['interval'], 1, 100)}",
        )
    generated = metrics.get("generations") or {}
    if generated.get("n"):
        yield (
            f"mean length of generated responses, tokens (n = {count(generated['n'])})",
            number(generated["mean_tokens"], 1),
        )


def _results(results: Results, study: ResolvedStudy, run: ResolvedRun) -> list[dict[str, str]]:
    """Return the measurements of a run beside those of the untrained model."""
    responses = "people's responses" if study.signal.judges else "the right answers"
    own, base = (
        dict(_measured(results.json(f"evaluation/heldout/{name}/metrics.json") or {}, responses))
        for name in (run.name, f"base_{run.modality}")
    )
    return [{"name": name, "own": value, "base": base.get(name, "–")} for name, value in own.items()]


def model_card(results: Results, study: ResolvedStudy, name: str) -> str:
    """Return the card of a run's finished model.

    Raises:
        WinnowError: if the run, its base model or its dataset has no manifest.
    """
    run = study.runs[name]
    manifest = _needed(results, f"runs/{name}/manifest.json")
    base, keys = _base(results, run)
    dataset = study.datasets[run.dataset]
    start = f"the finished model of run `{run.parent}`" if run.parent else base
    front = {
        "license": study.license,
        "library_name": "transformers",
        "pipeline_tag": "text-generation" if run.modality == "clean" else "image-text-to-text",
        **keys,
        "datasets": [f"{study.study}_{run.dataset}_{run.modality}"],
        "tags": _tags(study, {dataset.corpus}, run.stage, run.modality, *(["lora"] if run.is_adapter else [])),
    }
    return _render(
        "model.md.j2",
        front=_yaml(front),
        study=study,
        run=run,
        summary=f"`{name}` is {base}, trained by {run.stage.upper()}"
        + (f", from run `{run.parent}`" if run.parent else "")
        + (", as a LoRA adapter that was merged" if run.is_adapter else "")
        + ".",
        warnings=limits.warnings(study, {dataset.corpus}, run.model),
        data=limits.choice(dataset),
        manifest=manifest,
        start=start,
        recipe=_yaml(manifest["settings"]["recipe"]),
        software=", ".join(f"{package} {version}" for package, version in sorted(manifest["software"].items())),
        results=_results(results, study, run),
        limits=limits.of_model(results, study, run, manifest),
        lineage=lineage(results, study, name),
        weights=_needed(results, last_manifest(study, name))["weights"],
    )


def _scores(study: ResolvedStudy, name: str) -> str:
    """Return the manifest of the scores that a dataset is chosen by: the study's, of a mined one its own."""
    return (mining_manifests(study.datasets, name) or ["scores/scores.manifest.json"])[-1]


def _of_dataset(study: ResolvedStudy, name: str, modality: str, step: Step) -> bool:
    """Say whether a step's counts belong to a dataset as one modality shows it."""
    corpus = study.datasets[name].corpus
    return step.source in {
        *(f"corpus/{corpus}/{made}.manifest.json" for made in ("ingest", "splits", f"images/{modality}")),
        *mining_manifests(study.datasets, name),
        _scores(study, name),
        f"datasets/{name}/choose.manifest.json",
        *(f"datasets/{name}/{modality}/{made}.manifest.json" for made in ("render", "align")),
    }


def _asked(results: Results, study: ResolvedStudy, name: str) -> Iterator[dict[str, Any]]:
    """Yield what a run was asked for a mined dataset: which prompts, and the weights that answered."""
    for manifest in mining_manifests(study.datasets, name):
        if manifest.endswith(".generations.manifest.json"):
            made = _needed(results, manifest)
            split = manifest.rpartition("/")[2].partition(".")[0]
            answered = made["counts"]["generations"]["kept"]
            yield {"what": f"the prompts of {split}", "count": answered, "weights": made["weights"]}


def dataset_card(results: Results, study: ResolvedStudy, name: str, modality: str) -> str:
    """Return the card of a dataset as one modality shows it.

    Raises:
        WinnowError: if a step that made it has no manifest.
    """
    dataset = study.datasets[name]
    made = _needed(results, f"datasets/{name}/{modality}/align.manifest.json")
    ingested = _needed(results, f"corpus/{dataset.corpus}/ingest.manifest.json")
    scored = _needed(results, _scores(study, name))
    rows = {split: made["counts"][split]["kept"] for split in ("train", "val")}
    size = next((known for limit, known in _SIZES if sum(rows.values()) < limit), "n>1M")
    front = {
        "license": study.license,
        "pretty_name": f"{study.study}: {name}, {modality}",
        "task_categories": ["text-generation" if modality == "clean" else "image-text-to-text"],
        "size_categories": [size],
        "tags": _tags(study, {dataset.corpus}, dataset.stage, modality),
    }
    what = "pairs of a chosen and a rejected response" if dataset.stage == "dpo" else "chosen responses"
    rules = next(
        table["rules"]
        for table in validation.summaries(results, study)
        if (table["dataset"], table["modality"]) == (name, modality)
    )
    failed = [rule["rule"] for rule in rules if rule["verdict"] == "fail"]
    return _render(
        "dataset.md.j2",
        front=_yaml(front),
        study=study,
        name=name,
        modality=modality,
        summary=f"{what.capitalize()} from the corpus `{dataset.corpus}`, as `{modality}` shows them to a model:"
        f" {limits.choice(dataset)}",
        warnings=limits.warnings(study, {dataset.corpus}, None),
        splits=[{"name": split, "rows": rows[split], "sha256": made["outputs"][split]} for split in rows],
        steps=[step for step in steps(results, study) if _of_dataset(study, name, modality, step)],
        raws=[{"name": raw, "sha256": sha256} for raw, sha256 in sorted(ingested["inputs"].items())],
        settings=_yaml(dataset.model_dump(mode="json")),
        judged=limits.scored_by(study.signal, scored["judge"]),
        asked=list(_asked(results, study, name)),
        verdict=f"{len(rules)} rules, recomputed from source rows: "
        + (f"**failed: {', '.join(failed)}**." if failed or not rules else "none failed."),
        rules=rules,
        limits=limits.of_dataset(study, dataset, rows),
    )

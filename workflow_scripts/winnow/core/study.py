"""Reading config.yaml and studies: `extends`, placeholders, recipes, sweeps, and errors that help."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from winnow.core.config.base import SCHEDULING, Modality, Settings
from winnow.core.config.runs import ResolvedRun, Run
from winnow.core.config.studies import ResolvedStudy, Site, Study
from winnow.core.errors import WinnowError
from winnow.core.mined import resolve_mined
from winnow.core.references import check_references, refer

_UNIONS = (Union, UnionType)

SettingsT = TypeVar("SettingsT", bound=Settings)

_SECRET_KEY = re.compile(r"(^|_)(token|password|passwd|secret|api_?key|access_?key|credentials?)$", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|ghp_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16})\b")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        WinnowError: if the file is absent, is not YAML, repeats a key or is not a mapping.
    """
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], 1)
        raise WinnowError(path, "there is no such file", f"did you mean {near[0]}?" if near else "check the path")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - derives from SafeLoader
    except yaml.YAMLError as error:
        raise WinnowError(path, f"is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise WinnowError(path, f"holds {type(content).__name__}, not keys with values")
    return content


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a repeated key win in silence; here it is an error. Own keys replace what `<<` merges in."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", key_node.start_mark)
            seen.add(key)
        return dict(super().construct_mapping(node, deep))


def _merge(base: Any, change: Any) -> Any:
    """Return `base` with `change` laid over it: mappings key by key, all else replaced; null removes a key."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    merged = dict(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(base.get(key), value)
    return merged


def _extended(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a study's keys with those of the study it extends beneath them."""
    if path in seen:
        raise WinnowError(path, f"extends itself: {' → '.join(p.stem for p in (*seen, path))}")
    keys = read_yaml(path)
    base = keys.pop("extends", None)
    if base is None:
        return keys
    return dict(_merge(_extended(path.with_name(f"{base}.yaml"), (*seen, path)), keys))


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{index}]")
    else:
        yield place, value


def refuse_secrets(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse keys and values that look like credentials: files are shared and specs are saved.

    Raises:
        WinnowError: naming the key, never the value.
    """
    for place, value in _leaves(content):
        if _SECRET_KEY.search(place.rsplit(".", 1)[-1]) or (isinstance(value, str) and _SECRET_VALUE.search(value)):
            raise WinnowError(f"{path}, key {place}", "looks like a secret", "remove it and set it in the environment")


def _walk(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, list[str]]:
    """Follow a pydantic error location through the types.

    Returns:
        The type that the location ends in, if it is a group of keys, and the keys as the user wrote
        them: pydantic adds the tag of a discriminated union, which stands nowhere in the file.
    """
    here: Any = model
    keys: list[str] = []
    for part in location:
        options = [o for o in get_args(here) if o is not type(None)] if get_origin(here) in _UNIONS else [here]
        options = [get_args(o)[0] if get_origin(o) is Annotated else o for o in options]
        groups = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        tagged = [
            g for g in groups if len(options) > 1 and any(_is_tag(f.annotation, part) for f in g.model_fields.values())
        ]
        if tagged:
            here = tagged[0]
            continue
        keys.append(str(part))
        owner = next((g for g in groups if part in g.model_fields), None)
        if owner is not None:
            here = owner.model_fields[str(part)].annotation
        else:
            inner = get_args(options[0]) if options else ()
            here = inner[-1] if inner and inner[-1] is not Ellipsis else (inner[0] if inner else None)
        if get_origin(here) is Annotated:
            here = get_args(here)[0]
    ends = [o for o in (*get_args(here), here) if isinstance(o, type) and issubclass(o, BaseModel)]
    return (ends[0] if ends else None), keys


def _is_tag(annotation: Any, part: int | str) -> bool:
    return get_origin(annotation) is Literal and part in get_args(annotation)


def parse(model: type[SettingsT], content: Any, path: Path | str) -> SettingsT:
    """Check `content` against a type.

    Raises:
        WinnowError: listing every mistake with file, key, what was found, and what is allowed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_explain(model, dict(mistake)) for mistake in error.errors()]
        raise WinnowError(path, "; ".join(lines)) from None


def _explain(model: type[Settings], mistake: dict[str, Any]) -> str:
    """Say one pydantic mistake in words."""
    _, keys = _walk(model, mistake["loc"])
    place = ".".join(keys) or "the whole"
    if mistake["type"] == "extra_forbidden":
        owner, _ = _walk(model, mistake["loc"][:-1])
        allowed = sorted(owner.model_fields) if owner else []
        near = difflib.get_close_matches(keys[-1], allowed, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"key {place}: unknown key{hint}" + (f" (allowed: {', '.join(allowed)})" if allowed else "")
    if mistake["type"] == "missing":
        return f"key {place}: is required and absent"
    found = "" if mistake["type"] == "value_error" else f" (found {mistake['input']!r})"
    return f"key {place}: {mistake['msg'].removeprefix('Value error, ')}{found}"


def load_site(content: Mapping[str, Any], path: Path = Path("config.yaml")) -> Site:
    """Check the site's settings, as Snakemake merged them from config.yaml and --config."""
    refuse_secrets(path, content)
    content = dict(content)
    if isinstance(content.get("studies"), str):  # --config studies=demo,sarcasm
        content["studies"] = content["studies"].split(",")
    return parse(Site, content, path)


def load_study(path: Path, site: Site, root: Path) -> ResolvedStudy:
    """Read a study and resolve all that it refers to.

    Args:
        path: the study's file.
        site: gives `{data_root}`.
        root: the folder against which recipes are found.

    Raises:
        WinnowError: naming file, key, what was found and what is allowed.
    """
    keys = _extended(path)
    refuse_secrets(path, keys)
    keys = _replace(keys, "{data_root}", site.data_root.rstrip("/"))
    study = parse(Study, keys, path)
    if study.study != path.stem:
        raise WinnowError(f"{path}, key study", f"is {study.study!r}, the file is {path.name}", "make them equal")
    check_references(study, path)
    runs = _resolve_runs(study, path, root)
    fields = study.model_dump() | {"runs": runs}
    fields["datasets"] |= {name: mined.model_dump() for name, mined in resolve_mined(study, runs, path).items()}
    return ResolvedStudy.model_validate(fields)


def _replace(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replace(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner, old, new) for inner in value]
    return value.replace(old, new) if isinstance(value, str) else value


def _resolve_runs(study: Study, path: Path, root: Path) -> dict[str, ResolvedRun]:
    """Expand `{modality}` and sweeps, merge recipes, and check what runs refer to."""
    runs: dict[str, ResolvedRun] = {}
    scored = _scored_labels(study, path)
    for template, run in study.runs.items():
        _check_run_names(path, template, run)
        for modality in study.modalities if run.modality is None else (run.modality,):
            refer(path, f"runs.{template}.modality", modality, study.modalities)
            recipe = _recipe(run, root / run.recipe, f"{path}, key runs.{template}")
            for values in itertools.product(*run.sweep.values()):
                point = dict(zip(run.sweep, values, strict=True))
                name = "-".join([template.format(modality=modality), *itertools.starmap(_label, point.items())])
                if name in runs:
                    raise WinnowError(f"{path}, key runs.{template}.sweep", f"makes two runs of the name {name}")
                seed = int(point.pop("seed", run.seed))
                merged = recipe | run.overrides | point
                runs[name] = ResolvedRun(
                    name=name,
                    stage=run.stage,
                    dataset=run.dataset,
                    modality=modality,
                    model=study.modalities[modality].model,
                    parent=run.parent.format(modality=modality) if run.parent else None,
                    seed=seed,
                    **_pixels(study, modality),
                    recipe=merged,
                    pack_to=study.modalities[modality].context if merged.get("packing") else None,
                    **scored,
                    processes=run.processes or max(1, run.gpu),
                    **run.model_dump(include={"gpu", "nodes", *SCHEDULING}),
                )
    _check_runs(study, runs, path)
    return runs


def _scored_labels(study: Study, path: Path) -> dict[str, Any]:
    """Return what every run needs for scoring the SFT datasets of right words in training; nothing where there is none.

    The first label of a corpus is the positive one. It is named, since an order of keys does not outlive JSON.
    """
    if study.signal.kind != "label":
        return {}
    words = {name: study.corpora[d.corpus].words or {} for name, d in study.datasets.items() if d.policy == "all"}
    if not words:
        return {}
    first, *others = words
    for other in others:
        if list(words[other].items()) != list(words[first].items()):
            raise WinnowError(
                f"{path}, key datasets.{other}.corpus",
                f"answers with {words[other]}, that of {first} with {words[first]}, and every run is scored on both",
                "use the same words for labels in all corpora of SFT datasets of policy all",
            )
    return {"answers": words[first], "positive": next(iter(words[first]))}


def _pixels(study: Study, modality: Modality) -> dict[str, int]:
    """Return the area of a modality's images, nothing for the one that shows none."""
    return study.modalities[modality].model_dump(include={"max_pixels", "min_pixels"} if modality != "clean" else set())


def _check_run_names(path: Path, template: str, run: Run) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\{modality\}[a-z0-9_]*)?", template):
        raise WinnowError(f"{path}, key runs.{template}", "run names are lower case, with {modality} at most once")
    if ("{modality}" in template) == (run.modality is not None):
        raise WinnowError(f"{path}, key runs.{template}", "give {modality} in the name or the key modality, not both")
    processes = run.processes or max(1, run.gpu)
    if run.gpu and processes != run.gpu:
        raise WinnowError(
            f"{path}, key runs.{template}.processes", f"is {processes}, but each of {run.gpu} GPUs has one"
        )
    if processes % run.nodes:
        raise WinnowError(f"{path}, key runs.{template}.nodes", f"{processes} processes do not divide by {run.nodes}")
    for key, values in run.sweep.items():
        if not values or not all(map(_can_be_a_name, values)) or (key == "seed" and set(map(type, values)) != {int}):
            raise WinnowError(
                f"{path}, key runs.{template}.sweep.{key}",
                "must be a list of at least one value; a value is a number, a word, a list of words, or null"
                " (a seed: a whole number)",
            )


def _can_be_a_name(value: Any) -> bool:
    """Say whether a value of a sweep can stand in the name of a run."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(part, str) and _can_be_a_name(part) for part in value)
    return value is None or isinstance(value, int | float) or bool(re.fullmatch(r"[a-z][a-z0-9_]*", str(value)))


def _label(key: str, value: Any) -> str:
    """Return what a run of a sweep is called by one of its values: beta0.1, loss_type_sigmoid_sft."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{key}{value:g}"
    words = value if isinstance(value, list | tuple) else ["null" if value is None else str(value).lower()]
    return "_".join([key, *words])


def _recipe(run: Run, file: Path, place: str) -> dict[str, Any]:
    recipe = read_yaml(file)
    refuse_secrets(file, recipe)
    for key in (*run.overrides, *(key for key in run.sweep if key != "seed")):
        if key not in recipe:
            near = difflib.get_close_matches(key, recipe, 1)
            fix = f"did you mean {near[0]!r}?" if near else f"add {key} with its default to {run.recipe}"
            raise WinnowError(place, f"changes {key!r}, which {run.recipe} does not set", fix)
    return recipe


def _check_runs(study: Study, runs: Mapping[str, ResolvedRun], path: Path) -> None:
    for name, run in runs.items():
        refer(path, f"runs.{name}.dataset", run.dataset, study.datasets)
        if study.datasets[run.dataset].stage != run.stage:
            raise WinnowError(f"{path}, key runs.{name}.dataset", f"{run.dataset!r} is not a {run.stage} dataset")
        if run.parent is not None:
            refer(path, f"runs.{name}.parent", run.parent, runs)
            if runs[run.parent].modality != run.modality:
                raise WinnowError(f"{path}, key runs.{name}.parent", f"{run.parent!r} has another modality")
        ancestors, parent = [name], run.parent
        while parent is not None:
            if parent in ancestors:
                raise WinnowError(f"{path}, key runs.{name}.parent", f"goes round: {' → '.join([*ancestors, parent])}")
            ancestors.append(parent)
            parent = runs[parent].parent

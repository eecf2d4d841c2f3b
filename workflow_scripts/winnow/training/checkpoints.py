"""Checkpoints that can be trusted: named by what they came from, whole or ignored, the newest whole one is resumed."""

import re
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from winnow.core.base_model import MODEL_FILE
from winnow.core.code import import_closure
from winnow.core.config.runs import OwnKeys, ResolvedRun
from winnow.core.entry import pins
from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.core.ids import canonical_json, sha256_file, sha256_text
from winnow.core.log import log
from winnow.core.model_folder import weight_hashes
from winnow.training.arguments import Request
from winnow.training.loading import weights_of
from winnow.training.metrics import read_metrics
from winnow.training.selection import best_step

MARKER = "complete.json"  # written last into a checkpoint; lists every file with its hash
METRICS = "metrics.jsonl"
FINGERPRINTS = "fingerprints.json"  # of weights that lie in parts

# Without any of these a resumed run would go on in silence with something fresh: patterns, with one of a kind for each
# process in place of {rank}. DeepSpeed writes into global_step<N>/ and has a file `latest` that names it.
_ALWAYS = (r"scheduler\.pt", r"trainer_state\.json", re.escape(METRICS))
_STATE = {
    "ddp": (r"optimizer\.pt",),
    "zero2": (
        "latest",
        r"global_step\d+/mp_rank_00_model_states\.pt",
        r"global_step\d+/(bf16_)?zero_pp_rank_{rank}_mp_rank_00_optim_states\.pt",
    ),
    "zero3": (
        "latest",
        re.escape(FINGERPRINTS),
        r"global_step\d+/zero_pp_rank_{rank}_mp_rank_00_model_states\.pt",
        r"global_step\d+/(bf16_)?zero_pp_rank_{rank}_mp_rank_00_optim_states\.pt",
    ),
    "fsdp": (r"optimizer\.bin", r"pytorch_model_fsdp\.bin", re.escape(FINGERPRINTS)),
}


def missing(names: Iterable[str], processes: int, sharing: str) -> list[str]:
    """Return what a checkpoint lacks that some process could not resume without.

    Args:
        names: its files, relative to it.
        processes: how many saved it.
        sharing: how they share the model (recipes.sharing).
    """
    random_state = r"rng_state_{rank}\.pth" if processes > 1 else r"rng_state\.pth"
    patterns = [
        pattern.replace("{rank}", str(rank))
        for pattern in (*_ALWAYS, *_STATE[sharing], random_state)
        for rank in range(processes if "{rank}" in pattern else 1)
    ]
    found = list(names)
    lacking = [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in found)]
    return [pattern.replace("\\", "") for pattern in lacking]


def _hashes(checkpoint: Path) -> dict[str, str]:
    """Return the hash of every file; threads help, since hashing waits for the disk and frees the interpreter."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != MARKER)
    with ThreadPoolExecutor(8) as pool:
        names = (str(file.relative_to(checkpoint)) for file in files)
        return dict(zip(names, pool.map(sha256_file, files), strict=True))


def folder_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a finished model or of a base model's small files."""
    return {file.name: sha256_file(file) for file in sorted(folder.iterdir()) if file.is_file()}


def identity(
    run: ResolvedRun, *, data: Mapping[str, Path], model: Path, weights: Path | None, script: Path
) -> dict[str, Any]:
    """Return everything that a run's weights follow from, as hashes.

    Threads, memory, run time and the number of GPUs, processes and nodes are not among it: they change how
    long it takes.

    Args:
        run: the resolved run.
        data: train and val tables, and those whose answers are scored: by them a run may end or choose its step.
        model: the folder of the base model, with tokenizer and revision.
        weights: the local folder that the weights are read from; None for a model of the hub, whose commit
            stands in `model`.
        script: the training script, of which the code follows.
    """
    source = read_json(model / MODEL_FILE)
    return {
        "run": {key: getattr(run, key) for key in ("stage", "modality", "seed", "recipe", "pixels", "pack_to")}
        | run.model_dump(include={"answers", "positive"}),
        "files": {name: sha256_file(Path(name)) for name in run.recipe_files},
        "device": "cuda" if run.gpu else "cpu",
        "data": {name: sha256_file(file) for name, file in data.items()},
        "model": {name: sha for name, sha in folder_hashes(model).items() if name not in ("manifest.json", MODEL_FILE)},
        "hub": [source["source"], source["revision"]] if source["kind"] == "hub" else None,
        "weights": weight_hashes(weights) if weights is not None else {},
        "code": {str(file.relative_to(script.parent)): sha256_file(file) for file in import_closure(script)},
        "pins": pins("train"),
    }


def identity_of(request: Request) -> dict[str, Any]:
    """Return the identity of what was asked for."""
    source = weights_of(request.model, request.parent)
    return identity(
        request.run,
        data={"train": request.train, "val": request.val} | label_inputs(request),
        model=request.model,
        weights=Path(source.source) if source.revision is None else None,
        script=request.script,
    )


def label_inputs(request: Request) -> dict[str, Path]:
    """Return the tables whose answers are scored, by names that no other input has."""
    return {f"labels/{name}": file for name, file in request.labels.items()}


def short_name(body: Mapping[str, Any]) -> str:
    """Return the name of the folder in which checkpoints of this identity lie."""
    return sha256_text(canonical_json(body))[:16]


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, complete or not, newest first."""
    return sorted((path for path in folder.glob("checkpoint-*") if path.is_dir()), key=step_of, reverse=True)


def mark_complete(checkpoint: Path, processes: int, sharing: str) -> None:
    """Say that a checkpoint is whole; its files must not change from now on.

    Raises:
        WinnowError: if a file is missing without which the run could not resume.
    """
    files = _hashes(checkpoint)
    if lacking := missing(files, processes, sharing):
        raise WinnowError(checkpoint, f"was saved without {', '.join(lacking)}", "report this: a run could not resume")
    marker = {"step": step_of(checkpoint), "processes": processes, "sharing": sharing, "files": files}
    write_json(checkpoint / MARKER, marker)


def what_is_wrong(checkpoint: Path) -> str | None:
    """Say why a checkpoint cannot be resumed from, or None."""
    if not (checkpoint / MARKER).is_file():
        return "it was not finished"
    marker = read_json(checkpoint / MARKER)
    saved, found = marker["files"], _hashes(checkpoint)
    if lacking := sorted({*missing(found, marker["processes"], marker["sharing"]), *(saved.keys() - found.keys())}):
        return f"{lacking[0]} is missing"
    if changed := sorted(name for name in found if found[name] != saved.get(name)):
        return f"{changed[0]} is not what was saved"
    return None


def last_complete(folder: Path, processes: int) -> Path | None:
    """Return the newest checkpoint that is whole, and remove newer ones that are not, saying so.

    Raises:
        WinnowError: if it was saved by another number of processes.
    """
    for checkpoint in checkpoints_in(folder):
        if (wrong := what_is_wrong(checkpoint)) is not None:
            log(f"WARNING: {checkpoint} cannot be used, {wrong}; looking for the one before it")
            shutil.rmtree(checkpoint)
            continue
        saved_by = read_json(checkpoint / MARKER)["processes"]
        if saved_by != processes:
            raise WinnowError(
                checkpoint,
                f"was saved by {saved_by} processes, this run has {processes}",
                "use as many again (the run's keys gpu and processes), or delete the folder to start over",
            )
        return checkpoint
    return None


def resume_point(folder: Path, processes: int, own: OwnKeys) -> Path | None:
    """Return the checkpoint to go on from: the newest whole one whose best step, where one is asked for, is whole too.

    Raises:
        WinnowError: if it was saved by another number of processes.
    """
    while (checkpoint := last_complete(folder, processes)) is not None:
        best = best_step(read_metrics(checkpoint / METRICS), own)
        if best is None or (wrong := what_is_wrong(folder / f"checkpoint-{best}")) is None:
            return checkpoint
        log(f"WARNING: the best checkpoint, of step {best}, cannot be used, {wrong}; going back to before it")
        for later in checkpoints_in(folder):
            if step_of(later) >= best:
                shutil.rmtree(later)
    return None


def rotate(folder: Path, keep: int | None, spare: int | None = None) -> None:
    """Remove all but the newest `keep` checkpoints; None keeps all. Call it once the newest is complete.

    Args:
        folder: of the checkpoints.
        keep: how many.
        spare: the step of one more, which stays however old it is.
    """
    for old in checkpoints_in(folder)[keep:] if keep is not None else ():
        if step_of(old) != spare:
            shutil.rmtree(old)

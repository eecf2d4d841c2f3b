"""Training a run from start or from its last complete checkpoint to a finished model, once, by one writer."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.locks import held
from winnow.core.log import log
from winnow.core.manifest import write_manifest
from winnow.training.arguments import Request
from winnow.training.callbacks import Judge, Pace, Recorder, Saver, StopOnSignal, StrictResume
from winnow.training.checkpoints import (
    METRICS,
    checkpoints_in,
    identity_of,
    resume_point,
    short_name,
    step_of,
    what_is_wrong,
)
from winnow.training.determinism import check_world, prepare_torch
from winnow.training.finished import (
    MANIFEST,
    SOFTWARE,
    SPEC,
    finished_folder,
    is_finished,
    publish,
    save_finished,
)
from winnow.training.health import alarms, check_kl
from winnow.training.loading import restore_weights, weights_of
from winnow.training.metrics import metrics_sha256, read_metrics
from winnow.training.recipes import read_recipe
from winnow.training.selection import best_step, check_selected, has_stopped
from winnow.training.setting import Setting, gather
from winnow.training.watch import Watch

Build = Callable[[Setting, list[Any], Watch], Any]
STOPPED = 143  # the exit status of a process that SIGTERM ended


def train(request: Request, build: Build) -> None:
    """Bring a run to its finished model, manifest and metrics; do nothing but publish if that was done before.

    Args:
        request: what to do.
        build: makes the trainer of the run's stage.

    Raises:
        WinnowError: if the run cannot be right.
        SystemExit: with status 143 after SIGTERM, once a checkpoint is saved.
    """
    processes = check_world(request.run.gpu)
    prepare_torch(request.run.gpu)
    body = identity_of(request)
    folder = request.checkpoints / short_name(body)
    with held(request.checkpoints / "writer.lock"):
        if is_finished(request, folder):
            log(f"{request.run.name} of this identity is finished; adopting it")
        else:
            _fit(request, build, folder, body, processes)
        publish(request, folder)
        for checkpoint in checkpoints_in(folder):
            shutil.rmtree(checkpoint)
        shutil.rmtree(folder / "datasets", ignore_errors=True)


def _fit(request: Request, build: Build, folder: Path, body: Mapping[str, Any], processes: int) -> None:
    """Train, and leave model/, metrics, spec and manifest in the checkpoint folders."""
    recipe = read_recipe(request.run)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SPEC, request.run.model_dump(mode="json"))
    checkpoint = resume_point(folder, processes, recipe.own)
    source = weights_of(request.model, request.parent)
    setting = gather(request, recipe, source, folder, processes)
    trainer = _train(setting, build, folder, checkpoint, processes)
    rows = read_metrics(folder / METRICS)
    check_kl(rows)
    check_selected(rows, recipe.own, folder / METRICS)
    if (best := best_step(rows, recipe.own)) is not None:
        _take_best(trainer.model, folder / f"checkpoint-{best}")
    adapter = request.run.is_adapter
    final = finished_folder(request.checkpoints, adapter=adapter)
    weights = save_finished(trainer.model, request.model, final, request.run.pixels)
    _write_manifest(setting, folder, body, weights, trainer.model, processes=processes)


def _take_best(model: Any, checkpoint: Path) -> None:
    """Load the weights that the recipe selects.

    Raises:
        WinnowError: if their checkpoint is damaged.
    """
    if (wrong := what_is_wrong(checkpoint)) is not None:
        raise WinnowError(
            checkpoint, f"is the best of the run, and {wrong}", "run the same command again: it goes back"
        )
    log(f"the finished model is that of step {step_of(checkpoint)}")
    restore_weights(model, checkpoint)


def _train(setting: Setting, build: Build, folder: Path, checkpoint: Path | None, processes: int) -> Any:
    """Run the trainer to the last step, resuming where there is a checkpoint, and return it."""
    run, recipe = setting.request.run, setting.recipe
    recorder = Recorder(folder / METRICS, run.stage, run.recipe)
    watch = Watch(float(run.recipe.get("beta", 0.1)) if run.stage == "dpo" else None)
    stop = StopOnSignal()
    saver = Saver(folder, processes, recipe.trainer.get("save_total_limit"), recipe.own)
    judge = Judge(recorder, recipe.own)
    callbacks = [recorder, Pace(watch), stop, judge, saver]
    setting.config.eval_on_start = checkpoint is None
    if checkpoint is None:
        (folder / METRICS).unlink(missing_ok=True)
        log(f"training {run.name} from the start, {setting.steps.total_steps} steps")
    else:
        shutil.copyfile(checkpoint / METRICS, folder / METRICS)
        callbacks.append(StrictResume(checkpoint))
        log(f"training {run.name} on from step {step_of(checkpoint)} of {setting.steps.total_steps}")
    trainer = build(setting, callbacks, watch)
    trainer.remove_callback(PrinterCallback)
    if checkpoint is not None:
        # TRL counts from 0 again after a resume.
        trainer._total_train_tokens = read_metrics(folder / METRICS)[-1]["num_tokens"]
        if step_of(checkpoint) >= setting.steps.total_steps or has_stopped(read_metrics(folder / METRICS), recipe.own):
            restore_weights(trainer.model, checkpoint)  # Trainer would take one step too many
            return trainer
    stop.listen()
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        if "No space left on device" in str(error) and not isinstance(error, OSError):
            raise OSError(28, "No space left on device", str(folder)) from error
        raise
    finally:
        stop.let_go()
    done = trainer.state.global_step
    if done < setting.steps.total_steps and not judge.stopped:
        if not stop.asked:
            raise WinnowError(folder, f"training ended at step {done} of {setting.steps.total_steps}", "report this")
        log(f"stopped by SIGTERM after step {done}; run the same command again to go on")
        raise SystemExit(STOPPED)
    return trainer


def _write_manifest(
    setting: Setting, folder: Path, body: Mapping[str, Any], weights: dict[str, str], model: Any, *, processes: int
) -> None:
    """Write down what was made and from what: `made_from` is the body of the run's identity, every input by hash."""
    request = setting.request
    run, rows = request.run, read_metrics(folder / METRICS)
    raised = alarms(rows)
    for alarm in raised:
        log(f"ALARM {alarm['name']} at step {alarm['step']}: {alarm['value']:.4g}; {alarm['message']}")
    parameters = list(model.parameters())
    write_manifest(
        folder / MANIFEST,
        step=f"train_{run.stage}",
        inputs={"train": request.train, "val": request.val, "tokenizer": request.model / "tokenizer.json"},
        outputs={"spec": folder / SPEC},
        settings=run.model_dump(mode="json", include={"recipe"}),
        counts={
            "rows": {"train": len(setting.train), "val": len(setting.val), "left_out_by_train_rows": setting.left_out}
        },
        software=SOFTWARE,
        run=run.model_dump(mode="json", include={"name", "stage", "dataset", "modality", "model", "parent", "seed"})
        | {"identity": folder.name, "adapter": run.is_adapter, "pixels": run.pixels},
        made_from=body,
        weights=weights,
        steps=max(row["step"] for row in rows),
        planned_steps=setting.steps.total_steps,
        stopped_early=has_stopped(rows, setting.recipe.own),
        selected_step=best_step(rows, setting.recipe.own),
        alarms=raised,
        first_loss=next(row["loss"] for row in rows if row["kind"] == "train"),
        metrics_sha256=metrics_sha256(rows),
        world_size=processes,
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        parameters=sum(p.numel() for p in parameters),
    )

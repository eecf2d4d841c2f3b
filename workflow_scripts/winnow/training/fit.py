"""Training a run from start or from its last complete checkpoint to a finished model, once, by one writer."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.locks import held
from winnow.core.log import log
from winnow.core.manifest import write_manifest
from winnow.core.tables import count_rows
from winnow.training.arguments import Request
from winnow.training.callbacks import AlreadyTrained, Judge, Pace, Recorder, Saver, StopOnSignal, StrictResume
from winnow.training.checkpoints import (
    METRICS,
    checkpoints_in,
    identity_of,
    label_inputs,
    resume_point,
    short_name,
    step_of,
    what_is_wrong,
)
from winnow.training.determinism import prepare_torch
from winnow.training.finished import (
    MANIFEST,
    SOFTWARE,
    SPEC,
    finished_folder,
    is_finished,
    publish,
    save_trained,
)
from winnow.training.health import alarms, check_kl
from winnow.training.loading import restore_weights, weights_of
from winnow.training.metrics import metrics_sha256, read_metrics
from winnow.training.recipes import Recipe, read_recipe, sharing
from winnow.training.selection import best_step, check_selected, has_stopped, outside_guard
from winnow.training.setting import Setting, gather
from winnow.training.sharding import is_sharded, size_of
from winnow.training.starts import STARTS, recorded
from winnow.training.trainable import trainable_parameters
from winnow.training.watch import Watch
from winnow.training.world import World, check_sharing, together

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
    with together(request.run) as world:
        prepare_torch(request.run.gpu)
        body = world.told(lambda: identity_of(request))
        folder = request.checkpoints / short_name(body)
        with held(request.checkpoints / "writer.lock") if world.is_first else nullcontext():
            if world.told(lambda: is_finished(request, folder)):
                log(f"{request.run.name} of this identity is finished; adopting it")
            else:
                _fit(request, build, folder, body, world)
            if world.is_first:
                _publish(request, folder)


def _publish(request: Request, folder: Path) -> None:
    """Hand out a finished run's files, and remove what only training needed."""
    publish(request, folder)
    for checkpoint in checkpoints_in(folder):
        shutil.rmtree(checkpoint)
    shutil.rmtree(folder / "datasets", ignore_errors=True)


def _fit(request: Request, build: Build, folder: Path, body: Mapping[str, Any], world: World) -> None:
    """Train, and leave model/, metrics, spec and manifest in the checkpoint folders."""
    recipe = read_recipe(request.run)
    checkpoint = world.told(lambda: _begin(request, folder, recipe, world))
    from_step = step_of(checkpoint) if checkpoint else 0
    record = recorded(request.checkpoints / STARTS, identity=folder.name, from_step=from_step, processes=world.size)
    with record if world.is_first else nullcontext():
        source = weights_of(request.model, request.parent)
        setting = gather(request, recipe, source, folder, world)
        trainer = _train(setting, build, folder, checkpoint, world)
        rows = read_metrics(folder / METRICS)
        check_kl(rows)
        check_selected(rows, recipe.own, folder / METRICS)
        if (best := best_step(rows, recipe.own)) is not None:
            _take_best(trainer.model, folder / f"checkpoint-{best}", world)
        final = finished_folder(request.checkpoints, adapter=request.run.is_adapter)
        weights = save_trained(trainer.model, request.model, final, request.run.pixels, world)
        if world.is_first:
            _write_manifest(setting, folder, body, weights, trainer.model, world=world)


def _take_best(model: Any, checkpoint: Path, world: World) -> None:
    """Load the weights that the recipe selects; weights in parts are refused before (incompatibilities.py).

    Raises:
        WinnowError: if their checkpoint is damaged, or the weights lie in parts.
    """
    if (wrong := world.told(lambda: what_is_wrong(checkpoint))) is not None:
        raise WinnowError(
            checkpoint, f"is the best of the run, and {wrong}", "run the same command again: it goes back"
        )
    if is_sharded(model):
        raise WinnowError(checkpoint, "is the best of the run, whose weights lie in parts", "use select: last")
    log(f"the finished model is that of step {step_of(checkpoint)}")
    restore_weights(model, checkpoint)


def _begin(request: Request, folder: Path, recipe: Recipe, world: World) -> Path | None:
    """Prepare the folder of the checkpoints, with the metrics up to the one that is resumed, and return that one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SPEC, request.run.model_dump(mode="json"))
    checkpoint = resume_point(folder, world.size, recipe.own)
    if checkpoint is None:
        (folder / METRICS).unlink(missing_ok=True)
    else:
        shutil.copyfile(checkpoint / METRICS, folder / METRICS)
    return checkpoint


def _train(setting: Setting, build: Build, folder: Path, checkpoint: Path | None, world: World) -> Any:
    """Run the trainer to the last step, resuming where there is a checkpoint, and return it."""
    run, recipe = setting.request.run, setting.recipe
    recorder = Recorder(folder / METRICS, run.stage, run.recipe, world)
    watch = Watch(float(run.recipe.get("beta", 0.1)) if run.stage == "dpo" else None, world)
    stop = StopOnSignal(world)
    saver = Saver(folder, recipe.trainer.get("save_total_limit"), recipe.own, sharing(recipe), world)
    judge = Judge(recorder, recipe.own)
    callbacks = [recorder, Pace(watch), stop, judge, saver]
    setting.config.eval_on_start = checkpoint is None
    if checkpoint is None:
        log(f"training {run.name} from the start, {setting.steps.total_steps} steps")
    else:
        ended = has_stopped(read_metrics(folder / METRICS), recipe.own)
        callbacks.append(StrictResume(checkpoint, is_last=ended or step_of(checkpoint) >= setting.steps.total_steps))
        log(f"training {run.name} on from step {step_of(checkpoint)} of {setting.steps.total_steps}")
    trainer = build(setting, callbacks, watch)
    check_sharing(trainer.accelerator, sharing(recipe), world)
    trainer.remove_callback(PrinterCallback)
    if checkpoint is not None:
        # TRL counts from 0 again after a resume.
        trainer._total_train_tokens = read_metrics(folder / METRICS)[-1]["num_tokens"]
    stop.listen()
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except AlreadyTrained:
        return trainer
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
    setting: Setting, folder: Path, body: Mapping[str, Any], weights: dict[str, str], model: Any, *, world: World
) -> None:
    """Write down what was made and from what: `made_from` is the body of the run's identity, every input by hash."""
    request = setting.request
    run, rows = request.run, read_metrics(folder / METRICS)
    selected = best_step(rows, setting.recipe.own)
    raised = outside_guard(rows, setting.recipe.own) + alarms(rows, selected)
    for alarm in raised:
        log(f"ALARM {alarm['name']} at step {alarm['step']}: {alarm['value']:.4g}; {alarm['message']}")
    write_manifest(
        folder / MANIFEST,
        step=f"train_{run.stage}",
        inputs={"train": request.train, "val": request.val, "tokenizer": request.model / "tokenizer.json"}
        | label_inputs(request),
        outputs={"spec": folder / SPEC},
        settings=run.model_dump(mode="json", include={"recipe"}),
        counts={
            "rows": {"train": len(setting.train), "val": len(setting.val), "left_out_by_train_rows": setting.left_out},
            "repeated": setting.steps.repeated,
        }
        | ({"scored": {name: count_rows(file) for name, file in request.labels.items()}} if request.labels else {}),
        software=SOFTWARE,
        run=run.model_dump(mode="json", include={"name", "stage", "dataset", "modality", "model", "parent", "seed"})
        | {"identity": folder.name, "adapter": run.is_adapter, "pixels": run.pixels},
        made_from=body,
        weights=weights,
        steps=max(row["step"] for row in rows),
        planned_steps=setting.steps.total_steps,
        stopped_early=has_stopped(rows, setting.recipe.own),
        selected_step=selected,
        alarms=raised,
        first_loss=next(row["loss"] for row in rows if row["kind"] == "train"),
        metrics_sha256=metrics_sha256(rows),
        world_size=world.size,
        sharing=sharing(setting.recipe),
        trainable_parameters=trainable_parameters(model),
        parameters=sum(size_of(p) for p in model.parameters()),
    )

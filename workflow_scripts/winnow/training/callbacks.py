"""What happens around the steps of a training: recording, judging, saving whole checkpoints, stopping when told."""

import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from winnow.core.config.runs import OwnKeys
from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.core.ids import canonical_json
from winnow.core.log import Progress, log
from winnow.training.checkpoints import FINGERPRINTS, METRICS, mark_complete, rotate
from winnow.training.health import check_explosion, check_first_step, check_numbers
from winnow.training.loading import restore_weights
from winnow.training.metrics import Row, read_metrics
from winnow.training.selection import best_step, check_measured, has_stopped
from winnow.training.sharding import fingerprints, is_sharded
from winnow.training.watch import Watch
from winnow.training.world import World

# Clock readings of transformers, and what every line has anyway.
_NOT_KEPT = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "epoch", "total_flos")


class Recorder(TrainerCallback):
    """Writes metrics.jsonl, a line per step and measurement, and stops a training whose numbers are wrong."""

    def __init__(self, file: Path, stage: str, recipe: Mapping[str, Any], world: World) -> None:
        self.file = file
        self.world = world
        self.stage = stage
        self.recipe = recipe
        self.rows: list[Row] = []

    def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Go on after the lines of the checkpoint that is resumed."""
        self.rows = read_metrics(self.file)

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Judge and write what was measured."""
        if "train_runtime" in logs:  # the closing summary repeats what the lines say
            return
        kind = "eval" if any(key.startswith("eval_") for key in logs) else "train"
        row: Row = {"step": state.global_step, "epoch": state.epoch or 0.0, "kind": kind}
        row |= {key.removeprefix("eval_"): value for key, value in logs.items() if key not in _NOT_KEPT}
        if kind == "train":
            past = [past for past in self.rows if past["kind"] == "train"]
            check_numbers(row, past)
            check_explosion(row, past, float(self.recipe.get("max_grad_norm", 1.0)))
            if self.stage == "dpo" and state.global_step == 1:
                check_first_step(row, self.recipe)
        if self.world.is_first:  # all processes have the same row
            with self.file.open("a", encoding="utf-8") as file:
                file.write(canonical_json(row) + "\n")
        self.rows.append(row)
        if kind == "eval":
            kl = f", KL {row['kl_tok']:.4g} nats per token" if "kl_tok" in row else ""
            labels = "".join(f", {name} {value:.3f}" for name, value in row.items() if name.startswith("macro_f1/"))
            log(f"step {row['step']}: validation loss {row['loss']:.4f}{kl}{labels}")


class Saver(TrainerCallback):
    """Completes a checkpoint: the metrics up to it, the marker, and only then are old ones removed."""

    def __init__(self, folder: Path, keep: int | None, own: OwnKeys, sharing: str, world: World) -> None:
        self.folder = folder
        self.keep = keep
        self.own = own
        self.sharing = sharing
        self.world = world

    def on_save(self, _args: Any, state: Any, _control: Any, model: Any = None, **_: Any) -> None:
        """Finish what the trainer has just saved, once every process has saved its part."""
        checkpoint = self.folder / f"checkpoint-{state.global_step}"
        held = fingerprints(model) if is_sharded(model) else None
        self.world.wait()
        self.world.told(lambda: self._finish(checkpoint, held))

    def _finish(self, checkpoint: Path, held: Mapping[str, str] | None) -> None:
        if held is not None:
            write_json(checkpoint / FINGERPRINTS, held)
        shutil.copyfile(self.folder / METRICS, checkpoint / METRICS)
        for file in (path for path in checkpoint.rglob("*") if path.is_file()):
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        mark_complete(checkpoint, self.world.size, self.sharing)
        rotate(self.folder, self.keep, best_step(read_metrics(checkpoint / METRICS), self.own))


class Judge(TrainerCallback):
    """After each measurement: saves a checkpoint of the best so far, and stops where nothing gets better."""

    def __init__(self, recorder: Recorder, own: OwnKeys) -> None:
        self.recorder = recorder
        self.own = own
        self.stopped = False

    def on_evaluate(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Judge the lines so far, the newest included."""
        rows = self.recorder.rows
        if state.global_step == 0:
            check_measured(rows[-1], self.own)
        is_best, self.stopped = best_step(rows, self.own) == state.global_step, has_stopped(rows, self.own)
        if is_best:
            control.should_save = True
        if self.stopped:
            assert self.own.early_stopping is not None
            metric, patience = self.own.early_stopping.metric, self.own.early_stopping.patience
            log(f"step {state.global_step}: {metric} has not improved for {patience} measurements, stopping early")
            control.should_training_stop = True


class AlreadyTrained(Exception):  # noqa: N818 - a signal, not an error
    """Ends a training that was resumed from its last step, where Trainer would take one step too many."""


class StrictResume(TrainerCallback):
    """Makes sure that a resumed model holds its checkpoint's weights, every one of them.

    Trainer may load none and only warn, so they are loaded once more; where they lie in parts, which only
    DeepSpeed or FSDP can load, they are compared with what was held when they were saved.
    """

    def __init__(self, checkpoint: Path, *, is_last: bool) -> None:
        self.checkpoint = checkpoint
        self.is_last = is_last  # nothing is left to train

    def on_train_begin(self, _args: Any, state: Any, _control: Any, model: Any = None, **_: Any) -> None:
        """Check and load."""
        if state.global_step != read_json(self.checkpoint / "trainer_state.json")["global_step"]:
            raise RuntimeError(f"{self.checkpoint}: the trainer did not resume from it")
        if is_sharded(model):
            held, saved = fingerprints(model), read_json(self.checkpoint / FINGERPRINTS)
            if wrong := sorted(name for name in held.keys() | saved.keys() if held.get(name) != saved.get(name)):
                raise WinnowError(
                    self.checkpoint,
                    f"was resumed, but {len(wrong)} of {len(saved)} weights are not what was saved, first {wrong[0]}",
                    "delete this checkpoint",
                )
        else:
            restore_weights(model, self.checkpoint)
        if self.is_last:
            raise AlreadyTrained


class StopOnSignal(TrainerCallback):
    """On SIGTERM ends the step, saves and stops, so that a retry goes on with equal bits.

    transformers' own (enable_jit_checkpoint) saves between a step's gradients and its update, and
    before the step is logged: random numbers are used up and a line of the metrics is lost.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked = False
        self._before: Any = None

    def listen(self) -> None:
        """Take over SIGTERM."""
        self._before = signal.signal(signal.SIGTERM, self._ask)

    def let_go(self) -> None:
        """Give SIGTERM back."""
        signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_: Any) -> None:
        self.asked = True
        log("SIGTERM: saving a checkpoint after this step, then stopping")

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        """Save and stop if any process was asked: all do so after the same step."""
        self.asked = self.world.is_any(self.asked)
        if self.asked:
            control.should_save = control.should_training_stop = True


class Pace(TrainerCallback):
    """Measures the time of steps, says how far the run is, and measures the model after its last step."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.progress: Progress | None = None
        self._began = 0.0

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clock; the last step is measured whatever eval_steps is."""
        self.watch.add_seconds(time.perf_counter() - self._began)
        self.progress = self.progress or Progress("training steps", state.max_steps, done=state.global_step - 1)
        self.progress.step()
        if state.global_step >= state.max_steps:
            control.should_evaluate = True

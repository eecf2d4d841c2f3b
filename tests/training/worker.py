"""Runs a training script in this process, with faults planted in it or with the shim for FSDP on CPUs.

Usage: worker.py FAULTS SCRIPT [the script's arguments]

FAULTS are joined by commas, `none` for none; `@RANK` plants one in that process alone:
    SIGKILL, SIGTERM    sends itself the signal at a random moment after its second step
    full_disk           the disk is full when the optimiser is saved at step 4
    fsdp_on_cpu         no fault: lets FSDP shard on CPUs, which accelerate does not (breaking.py)
"""

import os
import random
import runpy
import signal
import sys
import threading
from pathlib import Path
from typing import Any

faults, script, *arguments = sys.argv[1:]
sys.path[:0] = [str(Path(script).parent), str(Path(__file__).parents[1])]
sys.argv = [script, *arguments]

from winnow.training.process import prepare_process  # noqa: E402 - found by the path set above

prepare_process()


def send(sent: signal.Signals) -> None:
    from winnow.training.callbacks import Recorder

    on_log = Recorder.on_log

    def then_kill(self: Recorder, args: Any, state: Any, control: Any, logs: dict[str, Any], **others: Any) -> None:
        on_log(self, args, state, control, logs, **others)
        if state.global_step == 2:
            threading.Timer(random.uniform(0, 0.04), os.kill, (os.getpid(), int(sent))).start()

    Recorder.on_log = then_kill  # type: ignore[method-assign] # the planted fault


def full_disk() -> None:
    from winnow.training.trainers import WatchedSFTTrainer

    real = WatchedSFTTrainer._save_optimizer_and_scheduler

    def full(self: Any, output_dir: str) -> None:
        if self.state.global_step == 4:
            # What PyTorch raises then is no OSError.
            raise RuntimeError("[enforce fail at inline_container.cc:672] . No space left on device")
        real(self, output_dir)

    WatchedSFTTrainer._save_optimizer_and_scheduler = full


for fault in faults.split(","):
    name, _, rank = fault.partition("@")
    if rank in ("", os.environ.get("RANK", "0")):
        match name:
            case "SIGKILL" | "SIGTERM":
                send(signal.Signals[name])
            case "full_disk":
                full_disk()
            case "fsdp_on_cpu":
                from training.breaking import fsdp_on_cpu

                fsdp_on_cpu()
            case _:
                assert name == "none", name
runpy.run_path(script, run_name="__main__")

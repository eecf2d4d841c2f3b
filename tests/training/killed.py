"""Runs a training script in this process and sends it a signal at a random moment after its second step.

Usage: killed.py SCRIPT SIGNAL [the script's arguments]
"""

import os
import random
import runpy
import sys
import threading
from pathlib import Path
from typing import Any

script, sent, *arguments = sys.argv[1:]
sys.path.insert(0, str(Path(script).parent))
sys.argv = [script, *arguments]

from winnow.training.process import prepare_process  # noqa: E402

prepare_process()

from winnow.training.callbacks import Recorder  # noqa: E402

_on_log = Recorder.on_log


def _then_kill(self: Recorder, args: Any, state: Any, control: Any, logs: dict[str, Any], **others: Any) -> None:
    _on_log(self, args, state, control, logs, **others)
    if state.global_step == 2:
        threading.Timer(random.uniform(0, 0.04), os.kill, (os.getpid(), int(sent))).start()


Recorder.on_log = _then_kill  # type: ignore[method-assign]
runpy.run_path(script, run_name="__main__")

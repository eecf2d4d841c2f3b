"""Trains several runs in the same processes, one after the other.

Starting Python with its libraries takes longer than a tiny training, and twice so in two processes.

Usage: batch.py TASKS.json, under the launcher. A task is the pickled request of a run, its working directory, and a
step to break off at or none; what came of it goes to TASKS.out, a line for each.
"""

import json
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow_scripts"), str(Path(__file__).parents[1])]

# E402: the project is found by the line above, and the libraries read what prepare_process() sets.
from winnow.training.process import prepare_process  # noqa: E402

prepare_process()

from accelerate.state import AcceleratorState  # noqa: E402

from training.breaking import BUILD, CutAt, PowerCutError, fsdp_on_cpu  # noqa: E402
from winnow.core.errors import WinnowError  # noqa: E402
from winnow.training import fit  # noqa: E402
from winnow.training.arguments import Request  # noqa: E402
from winnow.training.world import World, together  # noqa: E402


def outcome(request: Request, cut: int | None) -> str:
    build = BUILD[request.run.stage]
    extra = [CutAt(cut, "on_step_begin")] if cut is not None else []
    try:
        fit.train(request, lambda setting, callbacks, watch: build(setting, [*callbacks, *extra], watch))
    except PowerCutError:
        return "cut"
    except WinnowError as error:
        return str(error)
    return "finished"


file = Path(sys.argv[1])
tasks: list[dict[str, Any]] = json.loads(file.read_text())
if "fsdp_on_cpu" in sys.argv:
    fsdp_on_cpu()
requests = [pickle.loads(bytes.fromhex(task["request"])) for task in tasks]
with together(requests[0].run) as world, file.with_suffix(".out").open("w" if world.is_first else "a") as out:

    @contextmanager
    def already_together(_run: Any) -> Iterator[World]:
        yield world

    # One group of processes for all runs: it can be made only once in a process.
    fit.together = already_together  # type: ignore[assignment]
    for request, task in zip(requests, tasks, strict=True):
        AcceleratorState._reset_state()
        os.chdir(task["root"])
        said = outcome(request, task["cut"])
        if world.is_first:
            out.write(json.dumps(said) + "\n")
        world.wait()

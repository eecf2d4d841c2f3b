"""Starting a run's launcher on every machine of a SLURM job (docs/decisions/0019)."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.log import log
from winnow.training.launching import exit_status
from winnow.training.meeting import BEAT_S, Nodes, Roll, open_store


def launch_everywhere(launcher: Path, command: Sequence[str], processes: int, count: int) -> int:
    """Start the launcher once per machine of this SLURM job with srun, and return their common exit status.

    All that the launchers need to find each other is of this call: the machines are those that SLURM gave this time,
    and the meeting place is opened here, at a free port. So a job that was put back into the queue starts anew.

    Args:
        launcher: the script that is started on each machine.
        command: the training script and its arguments.
        processes: on all machines together.
        count: of machines.

    Raises:
        WinnowError: if this is no SLURM job.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise WinnowError(
            f"--nodes {count}",
            "this is no SLURM job, so there is nothing to start other machines with",
            "use `snakemake --profile slurm`, set nodes: 1, or start it on each machine by hand (docs/scale_out.md)",
        )
    store = open_store()
    srun = ["srun", f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]
    # One that ends badly ends all; each may use every CPU and GPU that the job has on its machine.
    srun += ["--kill-on-bad-exit=1", "--cpu-bind=none", "--input=none"]
    member = [sys.executable, str(launcher), "--processes", str(processes), "--nodes", str(count)]
    started = subprocess.Popen([*srun, *member, "--meet", f":{store.port}", *command])
    signal.signal(signal.SIGTERM, lambda sent, _: started.send_signal(sent))
    roll = Roll(store, count)
    while True:
        try:
            status = started.wait(BEAT_S)
            break
        except subprocess.TimeoutExpired:
            if silent := roll.silent():
                log(f"machine {silent[0]} of {count}, counted from 0, is silent; ending the run on all of them")
                started.kill()
    failed = [told for told in roll.statuses() if told]
    return exit_status(failed or [status]) if status else 0


def here(count: int, port: int) -> Nodes:
    """Return the machines of a run as a launcher that srun started finds them.

    The keeper of the meeting place is where srun was called, at the address that SLURM reached this machine from:
    names of machines need not resolve.
    """
    return Nodes(count, int(os.environ["SLURM_NODEID"]), os.environ["SLURM_LAUNCH_NODE_IPADDR"], port)

"""Starting the processes of a run through torchrun's own agent (docs/decisions/0014)."""

import signal
import sys
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

# Seconds for a checkpoint to be saved after SIGTERM; torchrun's 30 would kill the processes in the middle of it.
# What ends a stuck job sooner is the scheduler.
SAVING_TIME = 3600
STOPPED = 128 + signal.SIGTERM
REFUSED = 2  # the exit status of an error that was explained


@dataclass(frozen=True)
class Nodes:
    """The machines of a job.

    Attributes:
        count: how many.
        rank: which one this is, from 0; the process with rank 0 is on the first.
        meet: HOST:PORT of the first one, where they find each other; empty for one machine.
    """

    count: int = 1
    rank: int = 0
    meet: str = ""


def exit_status(statuses: Iterable[int]) -> int:
    """Return one exit status for those of the processes that ended otherwise than well, by what tells most.

    An explained error explains the others; then a stop with a checkpoint; then a process that was killed, since
    its peers fail because of it; last those that the agent itself ended with SIGTERM when another had failed.

    Args:
        statuses: negative for a process that a signal ended.
    """

    def rank(status: int) -> int:
        if status in (REFUSED, STOPPED):
            return (REFUSED, STOPPED).index(status)
        return 4 if status == -signal.SIGTERM else 2 if status < 0 else 3

    telling = min(statuses, key=rank)
    return telling if telling >= 0 else 128 - telling


def launch(command: Sequence[str], processes: int, nodes: Nodes) -> int:
    """Run a Python script in several processes, and return their common exit status.

    When one fails the others are ended. SIGTERM is passed on, and the processes are waited for.

    Args:
        command: the script and its arguments.
        processes: on all machines together.
        nodes: the machines; each runs this with its own rank.
    """
    with tempfile.TemporaryDirectory(prefix="winnow-launch-") as folder:
        config = LaunchConfig(
            min_nodes=nodes.count,
            max_nodes=nodes.count,
            nproc_per_node=processes // nodes.count,
            run_id=nodes.meet or str(uuid.uuid4()),
            rdzv_backend="static" if nodes.meet else "c10d",
            rdzv_endpoint=nodes.meet or "localhost:0",  # 0: any free port
            rdzv_configs={"rank": nodes.rank} if nodes.meet else {},
            local_addr=None if nodes.meet else "localhost",
            max_restarts=0,  # a restart is the workflow's business
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=SAVING_TIME,
        )
        try:
            elastic_launch(config, sys.executable)(*command)
        except ChildFailedError as error:
            return exit_status(failure.exitcode for failure in error.failures.values())
        except SignalException as error:
            return 128 + error.sigval
    return 0

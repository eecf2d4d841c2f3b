"""Starting the processes of a run through torchrun's own agent (docs/decisions/0014)."""

import signal
import sys
import tempfile
import uuid
from collections.abc import Iterable, Sequence

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from winnow.core.errors import WinnowError
from winnow.training.meeting import ARRIVAL, BACKEND, Nodes, attended

# Seconds for a checkpoint to be saved after SIGTERM; torchrun's 30 would kill the processes in the middle of it.
# What ends a stuck job sooner is the scheduler.
SAVING_TIME = 3600
KILLED = 128  # and the signal: the exit status of what a signal ended
STOPPED = KILLED + signal.SIGTERM
REFUSED = 2  # the exit status of an error that was explained


ONE = Nodes()


class _Stop:
    """Passes SIGTERM on to the processes once.

    SLURM sends it to every process of a job and srun passes it on as well: by itself torchrun's agent would take the
    second for a reason to leave while the first is obeyed.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, sent: int, _: object) -> None:
        if not self.asked:
            self.asked = True
            raise SignalException("asked to stop", signal.Signals(sent))


def exit_status(statuses: Iterable[int]) -> int:
    """Return one exit status for those of the processes that ended otherwise than well, by what tells most.

    An explained error explains the others; then a stop with a checkpoint; then a process that was killed, since
    its peers fail because of it; last those that the agent itself ended with SIGTERM when another had failed.

    Args:
        statuses: negative for a process that a signal ended, 128 + signal for a launcher of such processes.
    """

    def rank(status: int) -> int:
        if status in (REFUSED, STOPPED):
            return (REFUSED, STOPPED).index(status)
        return 4 if status == -signal.SIGTERM else 2 if status < 0 or status > KILLED else 3

    telling = min(statuses, key=rank)
    return telling if telling >= 0 else KILLED - telling


def launch(command: Sequence[str], processes: int, nodes: Nodes = ONE) -> int:
    """Run a Python script in several processes, and return their common exit status.

    When one fails the others are ended. SIGTERM is passed on, and the processes are waited for.

    Args:
        command: the script and its arguments.
        processes: on all machines together.
        nodes: the machines; each runs this with its own rank.

    Raises:
        WinnowError: if the machines do not meet.
    """
    stop = _Stop()
    with tempfile.TemporaryDirectory(prefix="winnow-launch-") as folder, attended(nodes, lambda: stop.asked) as tell:
        several = nodes.count > 1
        config = LaunchConfig(
            min_nodes=nodes.count,
            max_nodes=nodes.count,
            nproc_per_node=processes // nodes.count,
            run_id="run" if several else str(uuid.uuid4()),
            rdzv_backend=BACKEND if several else "c10d",
            rdzv_endpoint=f"{nodes.host}:{nodes.port}" if several else "localhost:0",  # 0: any free port
            rdzv_configs={"rank": nodes.rank} if several else {},
            local_addr=None if several else "localhost",
            max_restarts=0,  # a restart is the workflow's business
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=SAVING_TIME,
            signals_to_handle="SIGINT,SIGHUP,SIGQUIT",
        )
        signal.signal(signal.SIGTERM, stop)
        status = 0
        try:
            elastic_launch(config, sys.executable)(*command)
        except ChildFailedError as error:
            status = exit_status(failure.exitcode for failure in error.failures.values())
        except SignalException as error:
            status = KILLED + error.sigval
        except DistError as error:
            raise WinnowError(
                f"machine {nodes.rank} of {nodes.count}, counted from 0",
                f"did not meet the others within {ARRIVAL.seconds // 60} minutes ({error})",
                "see the log for one that could not start",
            ) from None
        tell(status)
    return status

"""The processes that train one run together: who writes, and what they tell each other.

Training libraries move gradients; here is only what keeps the processes in step around them. It goes
through a process group of its own (gloo, on CPUs), so that it may wait for hours without upsetting
the group that the libraries use.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.log import log, silence

Told = TypeVar("Told")

STEP_TIMEOUT = timedelta(minutes=60)  # a step's own exchange: a process that is silent for longer has died
PATIENCE = timedelta(days=30)  # until another writer of the same run is done
_FAILED = "winnow/failed"


class PeerFailedError(Exception):
    """The first process failed at what all wait for; it says why."""


class World:
    """One process's view of all that train together; by itself it is the whole world.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1, group: Any = None) -> None:
        self.rank = rank
        self.size = size
        self._group = group

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until every process is here."""
        if self._group is not None:
            dist.barrier(self._group)

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Let the first process go through the block before the others."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def told(self, find: Callable[[], Told]) -> Told:
        """Return, in every process, what the first one finds.

        Raises:
            PeerFailedError: in the others, if the first one fails.
        """
        if self._group is None:
            return find()
        found: list[Any] = [None, False]
        failure: Exception | None = None
        if self.is_first:
            try:
                found[0] = find()
            except Exception as error:  # noqa: BLE001 - raised again below, once the others know
                failure, found[1] = error, True
        dist.broadcast_object_list(found, src=0, group=self._group)
        if failure is not None:
            raise failure
        if found[1]:
            raise PeerFailedError
        return found[0]

    def is_any(self, flag: bool) -> bool:
        """Say whether the flag is set in any process."""
        return self.largest(float(flag)) > 0

    def largest(self, value: float) -> float:
        """Return the largest value of all processes."""
        return self._reduced(torch.tensor([value], dtype=torch.float64), dist.ReduceOp.MAX)[0].item()

    def totals(self, values: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Return the sums over all processes; a name that one lacks counts as 0 there.

        Args:
            values: name → scalar on the CPU.
        """
        names = sorted(set().union(*self._collected(sorted(values))))
        if not names:
            return {}
        mine = torch.stack([values.get(name, torch.zeros(())).double() for name in names])
        return dict(zip(names, self._reduced(mine, dist.ReduceOp.SUM).tolist(), strict=True))

    def _collected(self, value: Told) -> list[Told]:
        if self._group is None:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self._group)
        return found

    def _reduced(self, values: torch.Tensor, operation: Any) -> torch.Tensor:
        if self._group is not None:
            dist.all_reduce(values, operation, group=self._group)
        return values

    def fails_after_another(self) -> bool:
        """Say whether another process failed before this one, whose error follows from that."""
        if self._group is None:
            return False
        return bool(dist.distributed_c10d._get_default_store().add(_FAILED, 1) > 1)


def world_size() -> int:
    """Return how many processes train together, as their launcher says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_world(run: ResolvedRun) -> None:
    """Check that as many processes were started as the run asks for.

    Raises:
        WinnowError: if there are fewer or more: the effective batch would not be the recipe's.
    """
    if world_size() != run.processes:
        raise WinnowError(
            "the run's key processes",
            f"is {run.processes}, and {world_size()} were started by {sys.argv[0]}",
            "start the script with workflow_scripts/launch.py --processes N, or set processes: 1",
        )
    if run.is_launched and "LOCAL_RANK" not in os.environ:
        raise WinnowError(
            "the run's key processes", "needs a launcher, and none was used", "use workflow_scripts/launch.py"
        )


@contextmanager
def together(run: ResolvedRun) -> Iterator[World]:
    """Meet the other processes of a run, and leave together.

    A process whose error only follows from another's ends without a word of its own.

    Raises:
        WinnowError: if the number of processes is not the run's.
    """
    check_world(run)
    if not run.is_launched:
        yield World()
        return
    world = _meet(run)
    try:
        yield world
    except SystemExit:  # all stop at the same step
        _part(world)
        raise
    except PeerFailedError:
        raise SystemExit(1) from None
    except BaseException:
        if world.fails_after_another():
            log(f"process {world.rank} ends because another one failed")
            raise SystemExit(1) from None
        raise
    _part(world)


def _meet(run: ResolvedRun) -> World:
    """Open the process groups; on a CPU the libraries are told that there is no accelerator."""
    if run.gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # accelerate would choose a number of its own
    dist.init_process_group("cpu:gloo,cuda:nccl" if run.gpu else "gloo", timeout=STEP_TIMEOUT)
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    world = World(dist.get_rank(), dist.get_world_size(), group)
    if not world.is_first:
        silence()
    if run.recipe.get("deepspeed") and not run.gpu:
        _prepare_deepspeed_on_cpu()
    return world


def _part(world: World) -> None:
    """Leave only when all are done: a launcher takes a process whose peer is gone for a failure."""
    world.wait()
    dist.destroy_process_group()


def _prepare_deepspeed_on_cpu() -> None:
    """Let DeepSpeed run on CPUs: accelerate finds no backend by itself, and every process would be alone.

    `use_configured_state` (recipes.py) then makes transformers take this state instead of a new one.
    """
    os.environ["DS_ACCELERATOR"] = "cpu"
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    import deepspeed  # noqa: PLC0415 - slow, and only here
    from accelerate.state import PartialState  # noqa: PLC0415

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # a minute of compiling, for little on a CPU
    PartialState(backend="gloo")


def check_sharing(accelerator: Any, sharing: str, world: World) -> None:
    """Check that the processes share the model as the recipe says.

    Where accelerate finds no GPU it runs plain DDP for FSDP, or leaves every process alone, and says nothing.

    Raises:
        WinnowError: if they do not.
    """
    kind = accelerator.distributed_type.value
    allowed = {"zero2": {"DEEPSPEED"}, "zero3": {"DEEPSPEED"}, "fsdp": {"FSDP"}, "ddp": {"MULTI_GPU", "MULTI_CPU"}}
    fits = kind in allowed[sharing] or (kind == "NO" and sharing == "ddp" and world.size == 1)
    if not fits or accelerator.num_processes != world.size:
        raise WinnowError(
            "the recipe's keys deepspeed and fsdp",
            f"ask for {sharing} in {world.size} processes, and accelerate made {kind} in {accelerator.num_processes}",
            "FSDP needs GPUs; for a test on a CPU use deepspeed, or neither",
        )

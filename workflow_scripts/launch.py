"""Start a training script in several processes that train one run together.

Inputs: how many processes on all machines (--processes), and of how many machines (--nodes). In a SLURM job
of several machines this is called once, on one of them, and starts itself on each with srun. Without
SLURM it is called on each by hand, with the number of the machine (--node) and a port of the first where
all meet (--meet). Everything after the script's name goes to the script. Outputs: the script's own. If a
process fails all are ended, and the exit status is the failed one's; SIGTERM is passed on, so that a
checkpoint is saved, and gives 143.

Example:
    python workflow_scripts/launch.py --processes 8 workflow_scripts/train_sft.py --spec "$(cat spec.json)" ...
    python workflow_scripts/launch.py --processes 16 --nodes 2 workflow_scripts/train_sft.py ...
    python workflow_scripts/launch.py --processes 16 --nodes 2 --node 0 --meet first-host:29500 \
        workflow_scripts/train_sft.py ...
"""

import argparse
import re
import sys
from pathlib import Path

from winnow.core.entry import run
from winnow.core.errors import WinnowError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", required=True, type=int, help="on all machines together")
    parser.add_argument("--nodes", default=1, type=int, help="machines")
    parser.add_argument("--node", type=int, help="which machine this is, from 0; without SLURM")
    parser.add_argument(
        "--meet", default="", help="HOST:PORT, where machine 0 listens; :PORT is what srun's machines are given"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the script and its arguments")
    args = parser.parse_args()
    if args.processes < 1 or args.nodes < 1 or args.processes % args.nodes:
        raise WinnowError("--processes", f"{args.processes} cannot be shared evenly by {args.nodes} nodes")
    by_hand = bool(args.meet) and not args.meet.startswith(":")
    if (args.meet and args.nodes == 1) or by_hand != (args.node is not None):
        raise WinnowError(
            "--nodes", "by hand, several machines need --node and --meet HOST:PORT; else neither is given"
        )
    if args.meet and not re.fullmatch(r".*:\d+", args.meet):
        raise WinnowError("--meet", f"{args.meet!r} is not HOST:PORT")
    if by_hand and not 0 <= args.node < args.nodes:
        raise WinnowError("--node", f"{args.node} is not below {args.nodes}, counted from 0")
    if not args.command:
        raise WinnowError("the command", "names no script to start")
    return args


def main() -> None:
    """Start the processes and end as they do."""
    args = parse_args()
    # Slow to import, so only once the arguments are known to be right.
    from winnow.training.launching import launch  # noqa: PLC0415 - as said above
    from winnow.training.meeting import Nodes  # noqa: PLC0415 - the same
    from winnow.training.slurm import here, launch_everywhere  # noqa: PLC0415 - the same

    host, _, port = args.meet.rpartition(":")
    if args.nodes > 1 and not args.meet:
        status = launch_everywhere(Path(__file__).resolve(), args.command, args.processes, args.nodes)
    elif args.nodes > 1 and not host:
        status = launch(args.command, args.processes, here(args.nodes, int(port)))
    elif args.nodes > 1:
        nodes = Nodes(args.nodes, args.node, host, int(port), keeps=args.node == 0)
        status = launch(args.command, args.processes, nodes)
    else:
        status = launch(args.command, args.processes)
    if status:
        sys.exit(status)


if __name__ == "__main__":
    run(main, environment="train")

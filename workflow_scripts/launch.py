"""Start a training script in several processes that train one run together.

Inputs: how many processes on all machines (--processes), and where there are several machines their
number (--nodes), which one this is (--node) and where they meet (--meet). Everything after the
script's name goes to the script. Outputs: the script's own. If a process fails all are ended, and the
exit status is the failed one's; SIGTERM is passed on, so that a checkpoint is saved, and gives 143.

Example:
    python workflow_scripts/launch.py --processes 8 workflow_scripts/train_sft.py --spec "$(cat spec.json)" ...
    python workflow_scripts/launch.py --processes 16 --nodes 2 --node "$SLURM_PROCID" --meet node1:29500 \
        workflow_scripts/train_sft.py ...
"""

import argparse
import sys

from winnow.core.entry import run
from winnow.core.errors import WinnowError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", required=True, type=int, help="on all machines together")
    parser.add_argument("--nodes", default=1, type=int, help="machines")
    parser.add_argument("--node", default=0, type=int, help="which machine this is, from 0")
    parser.add_argument("--meet", default="", help="HOST:PORT of the first machine, for several")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the script and its arguments")
    args = parser.parse_args()
    if args.processes < 1 or args.nodes < 1 or args.processes % args.nodes:
        raise WinnowError("--processes", f"{args.processes} cannot be shared evenly by {args.nodes} nodes")
    if (args.nodes > 1) != bool(args.meet) or not 0 <= args.node < args.nodes:
        raise WinnowError("--nodes", "several machines need --node below their number and --meet, one needs neither")
    if not args.command:
        raise WinnowError("the command", "names no script to start")
    return args


def main() -> None:
    """Start the processes and end as they do."""
    args = parse_args()
    # Slow to import, so only once the arguments are known to be right.
    from winnow.training.launching import Nodes, launch  # noqa: PLC0415

    status = launch(args.command, args.processes, Nodes(args.nodes, args.node, args.meet))
    if status:
        sys.exit(status)


if __name__ == "__main__":
    run(main, environment="train")

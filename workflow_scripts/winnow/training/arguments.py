"""What both training scripts are asked on their command line."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.named_paths import named_paths
from winnow.core.study import parse

TRACKERS = ("wandb", "trackio", "tensorboard")


@dataclass(frozen=True)
class Request:
    """What a training script was asked to do.

    Attributes:
        run: the resolved run.
        train: rendered rows to train on.
        val: rendered rows to measure on.
        model: folder of the base model: tokenizer, revision.
        parent: folder of the parent run's finished model, or None to start from the base model.
        checkpoints: folder of this run, for checkpoints and the finished model.
        spec_out: where the resolved run is saved.
        metrics: where metrics.jsonl goes at the end.
        manifest: written last.
        trackers: names that transformers' report_to takes.
        script: the training script, whose code is a part of the run's identity.
        reference_cache: folder of reference log-probabilities, which runs share.
        labels: dataset → rendered rows whose answers are scored at every measurement.
    """

    run: ResolvedRun
    train: Path
    val: Path
    model: Path
    parent: Path | None
    checkpoints: Path
    spec_out: Path
    metrics: Path
    manifest: Path
    trackers: tuple[str, ...]
    script: Path
    reference_cache: Path = Path("cache/reference")
    labels: Mapping[str, Path] = field(default_factory=dict)


def read_request(stage: str, description: str, script: Path) -> Request:
    """Read what a training script is asked to do from its command line.

    Raises:
        WinnowError: if the run is of another stage, or a tracker is unknown or not installed.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the resolved run, as JSON")
    parser.add_argument("--train", required=True, type=Path, help="rendered rows to train on")
    parser.add_argument("--val", required=True, type=Path, help="rendered rows to measure on")
    parser.add_argument("--labels", nargs="*", default=[], help="DATASET=PATH: rendered rows whose answers are scored")
    parser.add_argument("--model", required=True, type=Path, help="folder of the base model")
    parser.add_argument("--parent", type=Path, help="the parent run's finished model: .../model")
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of this run")
    parser.add_argument("--reference-cache", type=Path, default=Path("cache/reference"), help="of log-probabilities")
    parser.add_argument("--trackers", default="", help=f"any of {', '.join(TRACKERS)}, with commas")
    parser.add_argument("--manifest", required=True, type=Path)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--spec-out", required=True, type=Path)
    args = parser.parse_args()
    run = parse(ResolvedRun, json.loads(args.spec), "--spec")
    if run.stage != stage:
        raise WinnowError(
            "--spec, key stage", f"is {run.stage!r}, this script trains {stage!r}", "use the other script"
        )
    return Request(
        run=run,
        train=args.train,
        val=args.val,
        model=args.model,
        parent=args.parent,
        checkpoints=args.checkpoints,
        spec_out=args.spec_out,
        metrics=args.metrics,
        manifest=args.manifest,
        trackers=read_trackers(args.trackers),
        script=script,
        reference_cache=args.reference_cache,
        labels=named_paths(args.labels, "--labels"),
    )


def read_trackers(text: str) -> tuple[str, ...]:
    """Return the trackers of a comma-separated list.

    Raises:
        WinnowError: for one that is unknown or not installed.
    """
    trackers = tuple(name for name in text.split(",") if name)
    for name in trackers:
        if name not in TRACKERS:
            raise WinnowError("trackers", f"{name!r} is unknown", f"use any of {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise WinnowError("trackers", f"{name} is not installed", f"pip install {name}, or leave it out")
    return trackers

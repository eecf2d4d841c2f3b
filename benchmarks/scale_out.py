"""The losses of tiny trainings in one process and in two, for each way to share a model. Prints Markdown.

The real trainers under the real launcher, on CPUs; FSDP2 with the shim of the tests, since accelerate does not shard
there by itself.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts:tests .venv/bin/python benchmarks/scale_out.py
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import fixtures, images
from training.conftest import KINDS, VISION_KINDS, Finished, Study, batch, run_of
from winnow.training.determinism import prepare_torch

WAYS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "DDP": ({}, []),
    "ZeRO-2": (fixtures.ZERO2, []),
    "ZeRO-3": (fixtures.ZERO3, []),
    "FSDP2 (shim)": (fixtures.FSDP, ["fsdp_on_cpu"]),
}


def make_study(root: Path, *, vision: bool) -> Study:
    texts = fixtures.write_texts(root / "corpus")
    if vision:
        rows = {stage: images.write_rows(root, stage, 16, 4) for stage in ("sft", "dpo")}
        bare = Study(root, images.make_model(root / "model", texts), rows, texts)
    else:
        rows = {stage: fixtures.write_rows(root / stage, stage, 16, 4) for stage in ("sft", "dpo")}
        bare = Study(root, fixtures.make_model(root / "model", texts), rows, texts)
    return replace(bare, parent=bare.train(run_of("vision_sft" if vision else "sft"), root / "parent").folder)


def losses(run: Finished) -> list[float]:
    """The loss of each step, then those on validation rows."""
    return run.series("loss") + run.series("loss", "eval")


def line(kind: str, way: str, run: Finished, alone: Finished) -> str:
    """One row of the table."""
    largest = max(abs(mine - theirs) for mine, theirs in zip(losses(run), losses(alone), strict=True))
    shown = (" ".join(f"{loss:.4f}" for loss in run.series("loss", part)) for part in ("train", "eval"))
    return f"| {kind} | {way} | {' | '.join(shown)} | {largest:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="sft,dpo,vision_sft,vision_dpo", help=f"of {', '.join(KINDS)}")
    kinds = parser.parse_args().kinds.split(",")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare_torch(0)
        studies = {vision: make_study(root / str(vision), vision=vision) for vision in (False, True)}
        of = {kind: studies[kind in VISION_KINDS] for kind in kinds}
        alone = {kind: of[kind].train(run_of(kind, **fixtures.EVEN), root / f"alone-{kind}") for kind in kinds}
        print("| run | shared by | loss of each step | validation, before and after | largest difference |")
        print("|---|---|---|---|---|")
        for kind in kinds:
            print(line(kind, "one process", alone[kind], alone[kind]))
        for way, (sharing, faults) in WAYS.items():
            runs = {kind: run_of(kind, processes=2, **fixtures.EVEN, **sharing) for kind in kinds}
            tasks = [(of[kind], run, root / f"{way}-{kind}", None) for kind, run in runs.items()]
            batch(root / way, tasks, *faults)
            for kind, (study, run, where, _) in zip(kinds, tasks, strict=True):
                print(line(kind, way, Finished(study.request(run, where)), alone[kind]), flush=True)


if __name__ == "__main__":
    main()

"""The losses of one tiny training in one process and in two, for each way to share a model. Prints Markdown.

The real scripts under the real launcher, on CPUs; FSDP2 with the shim of the tests, since accelerate does not shard
there by itself.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts:tests .venv/bin/python benchmarks/scale_out.py
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import fixtures, images
from training.conftest import KINDS, VISION_KINDS, Finished, Study, run_of
from winnow.training.determinism import prepare_torch

WAYS: dict[str, tuple[int, dict[str, Any], str]] = {
    "one process": (1, {}, "none"),
    "DDP": (2, {}, "none"),
    "ZeRO-2": (2, fixtures.ZERO2, "none"),
    "ZeRO-3": (2, fixtures.ZERO3, "none"),
    "FSDP2 (shim)": (2, fixtures.FSDP, "fsdp_on_cpu"),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="sft,dpo,vision_sft,vision_dpo", help=f"of {', '.join(KINDS)}")
    args = parser.parse_args()
    print("| run | shared by | loss of each step | validation, before and after | largest difference |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        prepare_torch(0)
        studies = {vision: make_study(Path(folder) / str(vision), vision=vision) for vision in (False, True)}
        for kind in args.kinds.split(","):
            study = studies[kind in VISION_KINDS]
            alone: list[float] = []
            for way, (processes, sharing, faults) in WAYS.items():
                run = run_of(kind, processes=processes, **fixtures.EVEN, **sharing)
                found = study.finish(run, Path(folder) / f"{kind}-{way}", faults)
                alone = alone or losses(found)
                largest = max(abs(mine - theirs) for mine, theirs in zip(losses(found), alone, strict=True))
                shown = (" ".join(f"{loss:.4f}" for loss in found.series("loss", part)) for part in ("train", "eval"))
                print(f"| {kind} | {way} | {' | '.join(shown)} | {largest:.1e} |", flush=True)


if __name__ == "__main__":
    main()

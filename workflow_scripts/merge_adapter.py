"""Merge the LoRA adapter of a run into the model it was trained on.

Inputs: the run's manifest (--run-manifest), the folder of the base model (--model), the finished
model of the run's parent where there is one (--parent), CHECKPOINTS/adapter. Outputs: the finished
model in CHECKPOINTS/model, checked to answer as base and adapter do, and a manifest, written last.

Example:
    python workflow_scripts/merge_adapter.py --run-manifest runs/sft_lora_clean/manifest.json --model models/text \
        --checkpoints checkpoints/demo/sft_lora_clean --manifest runs/sft_lora_clean/merge.json
"""

import argparse
from pathlib import Path

from winnow.core.entry import run
from winnow.core.files import read_json
from winnow.core.manifest import write_manifest
from winnow.training.process import prepare_process


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-manifest", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path, help="folder of the base model")
    parser.add_argument("--parent", type=Path, help="the parent run's finished model: .../model")
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of this run")
    parser.add_argument("--manifest", required=True, type=Path)
    return parser.parse_args()


def main() -> None:
    """Merge one adapter."""
    args = parse_args()
    prepare_process()
    from winnow.training.determinism import prepare_torch  # noqa: PLC0415 - slow, so only for right arguments
    from winnow.training.merge import merge_adapter  # noqa: PLC0415

    prepare_torch(0)
    run_manifest = read_json(args.run_manifest)
    facts = merge_adapter(run_manifest, model=args.model, parent=args.parent, checkpoints=args.checkpoints)
    write_manifest(
        args.manifest,
        step="merge_adapter",
        inputs={"run": args.run_manifest, "tokenizer": args.model / "tokenizer.json"},
        outputs={},
        software=["torch", "transformers", "peft", "safetensors"],
        run=run_manifest["run"],
        **facts,
    )


if __name__ == "__main__":
    run(main, environment="train")

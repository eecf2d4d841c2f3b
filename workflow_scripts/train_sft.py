"""Fine-tune a model on chosen responses (SFT), from the start or from the last complete checkpoint.

Inputs: the resolved run as JSON (--spec), rendered rows (--train, --val), the folder of the base
model (--model), the finished model of the parent run where there is one (--parent). Outputs: the
resolved run (--spec-out), metrics.jsonl (--metrics) and a manifest, written last; the finished
model in CHECKPOINTS/model (an adapter in CHECKPOINTS/adapter), checkpoints while training.
After SIGTERM it saves, exits with status 143, and goes on when it is started again.

Example:
    python workflow_scripts/train_sft.py --spec "$(cat spec.json)" --train train.parquet --val val.parquet \
        --model models/text --checkpoints checkpoints/demo/sft_clean --manifest manifest.json \
        --metrics metrics.jsonl --spec-out spec.json
"""

from pathlib import Path

from winnow.core.entry import run
from winnow.training.arguments import read_request
from winnow.training.process import prepare_process


def main() -> None:
    """Train one run."""
    request = read_request("sft", __doc__ or "", Path(__file__).resolve())
    prepare_process()
    # Slow to import, so only once the arguments are known to be right.
    from winnow.training.fit import train  # noqa: PLC0415
    from winnow.training.sft import sft_trainer  # noqa: PLC0415

    train(request, sft_trainer)


if __name__ == "__main__":
    run(main, environment="train")

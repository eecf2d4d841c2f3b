"""What a verdict costs: prompt tokens computed and wall time of three designs, on the same reviews and model.

    item first    one prompt per item, the question before the review: what most judges do
    item mode     one prompt per item, the question last, so that the review's prefix is computed once
    batch mode    one prompt for all items, answered in JSON

Tokens are counted by the engine's own statistics. Item mode is then judged once more without a prefix cache, and the
answers are compared. Prints a Markdown table for docs/performance.md. First make a model (25 million random weights):

    .venv/bin/python workflow_scripts/prepare_model.py --spec '{"tiny": {"vocab_size": 4096, "hidden_size": 512,
        "layers": 8, "heads": 8, "kv_heads": 2, "intermediate_size": 1536, "words": ["yes", "no"],
        "initializer_range": 0.1}}' --texts RESPONSES.parquet --out MODEL --manifest MODEL/manifest.json
    PYTHONPATH=workflow_scripts .venv-judge/bin/python benchmarks/judging.py --model MODEL --responses RESPONSES.parquet
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from winnow.core.config.signals import VllmJudge
from winnow.scoring import prompting
from winnow.scoring.checklist import Item, load_checklist
from winnow.scoring.judge import Judgement
from winnow.scoring.shards import shard_rows
from winnow.scoring.vllm import Vllm

ROOT = Path(__file__).resolve().parents[1]
COUNTED = ("vllm:prompt_tokens", "vllm:prompt_tokens_cached")
SETTINGS = {"backend": "vllm", "model": "judge", "gpu": 0, "min_mass": 0, "max_model_len": 8192}


def judge(model: Path, mode: str, dtype: str, **engine: Any) -> Vllm:
    varied = {"mode": mode, "dtype": dtype, "engine": {"disable_log_stats": False}}
    settings = VllmJudge.model_validate(SETTINGS | varied)
    # Past the check that a study may not switch the prefix cache off.
    return Vllm(settings.model_copy(update={"engine": settings.engine | engine}), "", model)


class ItemFirst(Vllm):
    """The design that Winnow does not use: every prompt begins with its question."""

    def _prompts(self, asked: Sequence[prompting.Parts], room_to_answer: int = 1) -> tuple[list[list[int]], int]:
        prompts = []
        for parts in asked:
            closing, _, question = parts.after.partition("\n\n")
            turned = parts._replace(before=f"{question}\n\n{parts.before}", after=closing)
            prompts += super()._prompts([turned], room_to_answer)[0]
        return prompts, 0


def counts(judge: Vllm) -> dict[str, float]:
    return {metric.name: metric.value for metric in judge._engine.get_metrics() if metric.name in COUNTED}


def measured(judge: Vllm, texts: Sequence[str], items: Sequence[Item]) -> tuple[dict[str, float], list[Judgement]]:
    """Judge, and return tokens, seconds and what was judged."""
    judge.judge(texts[:1], items)  # the first call compiles and allocates
    before, start = counts(judge), time.perf_counter()
    judgements = judge.judge(texts, items)
    seconds, after = time.perf_counter() - start, counts(judge)
    tokens, cached = (after[name] - before[name] for name in COUNTED)
    return {"tokens": tokens, "computed": tokens - cached, "seconds": seconds}, judgements


def verdicts(judgements: Sequence[Judgement]) -> list[tuple[str | None, float | None]]:
    return [(one.answers[name], one.p_yes[name]) for one in judgements for name in one.answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder that prepare_model made")
    parser.add_argument("--responses", required=True, type=Path, help="responses.parquet")
    parser.add_argument("--reviews", type=int, default=24, help="how many, drawn by hash")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--checklist", type=Path, default=ROOT / "resources" / "checklists" / "iclr.yaml")
    args = parser.parse_args()
    items = load_checklist(args.checklist).questions[: args.items]
    texts = [row["text"] for row in shard_rows(args.responses, 0, 1, args.reviews)]

    shared = judge(args.model, "item", args.dtype)
    first = ItemFirst(shared._settings, "", args.model)
    batch = judge(args.model, "batch", args.dtype)
    vars(first)["_engine"] = vars(batch)["_engine"] = shared._engine  # one engine serves all three
    designs: dict[str, Callable[[], tuple[dict[str, float], list[Judgement]]]] = {
        "item first": lambda: measured(first, texts, items),
        "item mode": lambda: measured(shared, texts, items),
        "batch mode": lambda: measured(batch, texts, items),
    }
    results = {name: run() for name, run in designs.items()}
    base = results["item first"][0]
    print(f"{len(texts)} reviews, {len(items)} items, {args.dtype}.\n")
    print("| design | prompt tokens | computed | fewer | seconds | faster |\n|---|---|---|---|---|---|")
    for name, (cost, _) in results.items():
        fewer, faster = base["computed"] / cost["computed"], base["seconds"] / cost["seconds"]
        numbers = (
            f"{cost['tokens']:,.0f} | {cost['computed']:,.0f} | {fewer:.1f}x | {cost['seconds']:.1f} | {faster:.1f}x"
        )
        print(f"| {name} | {numbers} |")
    cached = verdicts(results["item mode"][1])
    uncached = verdicts(judge(args.model, "item", args.dtype, enable_prefix_caching=False).judge(texts, items))
    equal = sum(one[0] == other[0] for one, other in zip(cached, uncached, strict=True))
    moved = max(abs((one[1] or 0) - (other[1] or 0)) for one, other in zip(cached, uncached, strict=True))
    print(
        f"\nWithout a prefix cache {equal} of {len(cached)} verdicts are the same; p_yes moves by {moved:.4f} at most."
    )


if __name__ == "__main__":
    main()

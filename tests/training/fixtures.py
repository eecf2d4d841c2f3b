"""A small synthetic study for trainers: texts, a tiny model, rendered rows, and runs over them."""

import random
import re
from pathlib import Path
from typing import Any

from winnow.core.config.models import TinyModel
from winnow.core.config.runs import ResolvedRun
from winnow.core.files import write_json
from winnow.core.tables import PROMPTS, RENDERED_DPO, RENDERED_SFT, RESPONSES, Row, write_table

WORDS = re.findall(
    r"\w+",
    "method result figure proof clear weak strong novel missing baseline dataset theorem claim section experiment"
    " ablation noise bound sample model training reward prompt evidence unclear convincing writing related work",
)

# For several processes: four rows for each step and validation rows one by one, so that no row is taken twice.
EVEN = {"max_steps": 5, "eval_steps": 5, "save_steps": 2, "per_device_eval_batch_size": 1}
RESOURCES = Path(__file__).parents[2] / "resources"
ZERO2 = {"deepspeed": str(RESOURCES / "deepspeed" / "zero2.json")}
ZERO3 = {"deepspeed": str(RESOURCES / "deepspeed" / "zero3.json")}
FSDP = {"fsdp": True, "fsdp_config": str(RESOURCES / "fsdp" / "full_shard.json")}
SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"

TINY_RECIPE: dict[str, Any] = {
    "effective_batch_size": 4,
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 2,
    "num_train_epochs": 1,
    "max_steps": 6,
    "learning_rate": 1.0e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.0,
    "dtype": "float32",
    "bf16": False,
    "gradient_checkpointing": False,
    "attn_implementation": "sdpa",
    "use_peft": False,
    "eval_steps": 0.5,
    "save_steps": 2,
    "save_total_limit": 2,
}
LORA = {
    "use_peft": True,
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_target_modules": ["q_proj", "v_proj"],
    "learning_rate": 1.0e-2,
}


def sentence(rng: random.Random, words: int) -> str:
    """Return some words."""
    return " ".join(rng.choice(WORDS) for _ in range(words)) + "."


def write_texts(folder: Path, rows: int = 40) -> list[Path]:
    """Write a table of prompts and one of responses."""
    rng = random.Random(1)
    blank: Row = dict.fromkeys(PROMPTS.names)
    prompts = [
        blank | {"prompt_id": f"p{i:03}", "title": sentence(rng, 4), "body": sentence(rng, 60)} for i in range(rows)
    ]
    blank = dict.fromkeys(RESPONSES.names)
    responses = [
        blank | {"response_id": f"r{i:03}", "prompt_id": f"p{i:03}", "text": sentence(rng, 30)} for i in range(rows)
    ]
    write_table(folder / "prompts.parquet", prompts, PROMPTS, ["prompt_id"])
    write_table(folder / "responses.parquet", responses, RESPONSES, ["response_id"])
    return [folder / "prompts.parquet", folder / "responses.parquet"]


def write_rows(folder: Path, stage: str, train: int = 14, val: int = 5, *, ragged: bool = False) -> tuple[Path, Path]:
    """Write rendered rows of a stage: chosen responses are long and praise, rejected ones are short.

    With `ragged` chosen ones have from 1 to 25 words more, so that no two lengths are alike.
    """
    schema = RENDERED_SFT if stage == "sft" else RENDERED_DPO
    for name, count in (("train", train), ("val", val)):
        rng = random.Random(name)
        rows = []
        for index in range(count):
            row: Row = dict.fromkeys(schema.names)
            prompt = [{"role": "system", "content": "Review."}, {"role": "user", "content": sentence(rng, 20)}]
            good = [
                {
                    "role": "assistant",
                    "content": "clear and convincing " + sentence(rng, 1 + 2 * index if ragged else rng.randint(4, 14)),
                }
            ]
            poor = [{"role": "assistant", "content": "unclear " + sentence(rng, rng.randint(2, 8))}]
            row |= {"prompt": prompt, "prompt_id": f"{name}{index:03}", "split": name}
            if stage == "sft":
                row |= {"completion": good, "response_id": f"{name}{index:03}"}
            else:
                row |= {"chosen": good, "rejected": poor, "pair_id": f"{name}{index:03}"}
            rows.append(row)
        write_table(folder / f"{name}.parquet", rows, schema, ["response_id" if stage == "sft" else "pair_id"])
    return folder / "train.parquet", folder / "val.parquet"


def make_model(folder: Path, texts: list[Path], seed: int = 0) -> Path:
    """Build a tiny model in `folder`."""
    from winnow.core.config.models import Model
    from winnow.training.base_models import prepare_model

    tiny = TinyModel(vocab_size=512, hidden_size=32, intermediate_size=64, max_position_embeddings=1024, seed=seed)
    prepare_model(Model(tiny=tiny), texts, folder)
    return folder


def make_run(stage: str, processes: int = 1, **recipe: Any) -> ResolvedRun:
    """Return a run over the fixture's rows, in some processes; keyword arguments change its recipe."""
    return ResolvedRun(
        name=f"{stage}_clean",
        stage=stage,
        dataset=stage,
        modality="clean",
        model="text",
        parent=None,
        seed=3,
        recipe=TINY_RECIPE | recipe,
        gpu=0,
        processes=processes,
        threads=1,
        mem_mb=1000,
        runtime=5,
    )


def write_spec(path: Path, run: ResolvedRun) -> Path:
    """Write a run as JSON."""
    write_json(path, run.model_dump(mode="json"))
    return path

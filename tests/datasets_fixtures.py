"""A small corpus with scores, splits and a tokenizer, made by hand, for the tests of the datasets stage."""

import hashlib
import json
from functools import cache
from pathlib import Path

from winnow.core.ids import unit_interval
from winnow.core.tables import IMAGES, PROMPTS, RESPONSES, SPLITS, write_table

ITEMS = 12
SCALE = [1.0, 3.0, 5.0, 6.0, 8.0, 10.0]
VISION_MARKS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *VISION_MARKS]
WORDS = [
    "method",
    "baseline",
    "ablation",
    "theorem",
    "proof",
    "figure",
    "table",
    "dataset",
    "result",
    "claim",
    "novelty",
    "clarity",
    "weak",
    "strong",
    "missing",
    "convincing",
    "experiment",
    "variance",
    "seed",
    "budget",
    "related",
    "work",
    "comparison",
    "significance",
    "limitation",
    "question",
]


def words(key: str, count: int) -> str:
    """Text that depends on `key` alone; words differ from key to key, so that no two texts are alike."""
    picked = [WORDS[int(unit_interval(f"{key}/{i}") * len(WORDS))] for i in range(count)]
    return " ".join(
        f"{word}{int(unit_interval(f'{key}-{i}') * 90)}" if i % 3 == 0 else word for i, word in enumerate(picked)
    )


def score_row(response_id: str, prompt_id: str = "p0", **changes: object) -> dict:
    """A score row as gather_scores writes it; `yes` items are answered yes, `answered` at all."""
    yes, answered = changes.pop("yes", 6), changes.pop("answered", ITEMS)
    items = [f"q{i:02}" for i in range(ITEMS)]
    answers = {item: None if i >= answered else ("yes" if i < yes else "no") for i, item in enumerate(items)}
    p_yes = {item: None if answers[item] is None else (0.9 if answers[item] == "yes" else 0.1) for item in items}
    row = {
        "response_id": response_id,
        "prompt_id": prompt_id,
        "corpus": "papers",
        "response_idx": 0,
        "year": 2022,
        "decision": "accept",
        "rating": 6.0,
        "rating_scale": SCALE,
        "confidence": 3.0,
        "author_kind": "human",
        "n_tokens": 100,
        "answers": answers,
        "p_yes": p_yes,
        "checkmark_count": yes,
        "checkmark_max": answered,
        "checkmark_score": round(yes / answered, 6) if answered else None,
        "parse_status": "ok",
        "injection_flags": [],
        "judge": {},
        "answered_share": round(answered / ITEMS, 6),
    }
    return row | changes


def write_scores(path: Path, rows: list[dict]) -> Path:
    """Write score rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    return path


def prompt_row(prompt_id: str, **changes: object) -> dict:
    """A row of prompts.parquet."""
    row = dict.fromkeys(PROMPTS.names) | {
        "prompt_id": prompt_id,
        "title": f"On {words(prompt_id, 4)}",
        "abstract": words(f"{prompt_id} abstract", 60),
        "body": words(f"{prompt_id} body", 700 if prompt_id.endswith("5") else 250),
        "decision": "accept",
        "year": 2022,
        "source": "test",
        "text_sha256": prompt_id,
    }
    return row | changes


def response_row(response_id: str, prompt_id: str = "p0", **changes: object) -> dict:
    """A row of responses.parquet."""
    row = dict.fromkeys(RESPONSES.names) | {
        "response_id": response_id,
        "prompt_id": prompt_id,
        "text": words(response_id, 60),
        "rating": 6.0,
        "rating_label": "6: marginally above the acceptance threshold",
        "rating_scale": SCALE,
        "confidence": 3.0,
        "confidence_label": "3: fairly confident",
        "author_kind": "human",
        "flags": [],
        "source": "test",
        "text_sha256": response_id,
    }
    return row | changes


def split_of(index: int) -> str:
    """Of ten prompts one is for validation and one is held out."""
    return {3: "val", 7: "test"}.get(index % 10, "train")


class Corpus:
    """The tables of a corpus in a folder, with rows that a test may change before they are written."""

    def __init__(self, folder: Path, prompts: int = 40, responses_per_prompt: int = 4) -> None:
        self.folder = folder
        ids = [f"p{i:03}" for i in range(prompts)]
        decisions = {name: "reject" if i % 4 == 2 else "accept" for i, name in enumerate(ids)}
        self.prompts = [prompt_row(name, decision=decisions[name]) for name in ids]
        self.splits = [
            {
                "prompt_id": name,
                "split": split_of(i),
                "optimize": split_of(i) == "train" and i % 3 == 0,
                "group_id": name,
            }
            for i, name in enumerate(ids)
        ]
        self.responses, self.scores = [], []
        for name in ids:
            for k in range(responses_per_prompt):
                response = f"{name}-r{k}"
                rating = SCALE[int(unit_interval(response, "rating") * len(SCALE))]
                yes = min(ITEMS, int(unit_interval(response, "yes") * 6 + rating / 2))
                rated = unit_interval(response, "rated") > 0.05
                text = words(response, 40 + 3 * yes)
                self.responses.append(
                    response_row(
                        response,
                        name,
                        text=text,
                        rating=rating if rated else None,
                        rating_label=f"{rating:g}: as the form says" if rated else None,
                    )
                )
                facts = {"yes": yes, "rating": rating if rated else None, "decision": decisions[name]}
                self.scores.append(score_row(response, name, **facts))

    @property
    def paths(self) -> dict[str, Path]:
        """Where the tables lie."""
        names = {"scores": "scores.jsonl", "checklist": "checklist.yaml"}
        tables = ("prompts", "responses", "splits", "scores", "checklist")
        return {name: self.folder / names.get(name, f"{name}.parquet") for name in tables}

    def write(self) -> dict[str, Path]:
        """Write every table and return their paths."""
        paths = self.paths
        write_table(paths["prompts"], self.prompts, PROMPTS, ["prompt_id"])
        write_table(paths["responses"], self.responses, RESPONSES, ["response_id"])
        write_table(paths["splits"], self.splits, SPLITS, ["prompt_id"])
        write_scores(paths["scores"], self.scores)
        items = "".join(f"  - {{id: q{i:02}, text: 'Is it so?'}}\n" for i in range(ITEMS))
        paths["checklist"].write_text(f"questions:\n{items}")
        return paths


@cache
def qwen_template() -> str:
    """The chat template of Qwen2.5, as TRL ships it."""
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / "qwen2_5.jinja").read_text()


def make_tokenizer(folder: Path) -> Path:
    """Save a small byte-level tokenizer of Qwen's kind, special tokens after the merges, to a model folder."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        [" ".join(WORDS), "a\n\n\nb\n\nc\n\n\nd"] * 3, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIALS,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = qwen_template()
    tokenizer.save_pretrained(folder)
    (folder / "model.json").write_text(json.dumps({"kind": "tiny", "source": ".", "revision": None}))
    return folder


def make_vision_model(folder: Path) -> Path:
    """Save what rendering and TRL's collators need of a Qwen2.5-VL: tokenizer, its chat template, image settings."""
    import trl

    from winnow.models.processors import image_settings

    make_tokenizer(folder)
    template = Path(trl.__file__).parent / "chat_templates" / "qwen2_5_vl.jinja"
    (folder / "chat_template.jinja").write_text(template.read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl", "vision_config": {}}))
    (folder / "preprocessor_config.json").write_text(json.dumps(image_settings()))
    return folder


def draw_images(prompts: list[str], table: Path, kind: str, count: int = 3) -> Path:
    """Draw a few images for each prompt into cache/images of the working folder, and write the images table."""
    rows = []
    for prompt in prompts:
        for number in range(count):
            key = f"{prompt}/{kind}/{number}"
            width, height = (60 + int(unit_interval(key, side) * 200) for side in ("width", "height"))
            rows.append(image_row(prompt, number, kind, width, height))
    write_table(table, rows, IMAGES, ["prompt_id", "number"])
    return table


def image_row(prompt: str, number: int, kind: str, width: int, height: int) -> dict:
    """Draw one image and return its row of the images table."""
    import io

    from PIL import Image

    color = tuple(int(unit_interval(f"{prompt}/{number}", channel) * 255) for channel in "rgb")
    image, file = Image.new("RGB", (width, height), color), io.BytesIO()
    image.putpixel((0, 0), (number, len(prompt), 7 if kind == "page" else 8))
    image.save(file, "PNG")
    sha256 = hashlib.sha256(file.getvalue()).hexdigest()
    path = Path("cache/images") / sha256[:2] / f"{sha256}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())
    facts = {"kind": kind, "path": str(path), "sha256": sha256, "width": width, "height": height}
    return {"prompt_id": prompt, "number": number, **facts}


IMAGE_BUDGET = {"max_pixels": 9408, "min_pixels": 196, "max_images": 2, "with_text": False}
SFT_SPEC = {"stage": "sft", "corpus": "papers", "policy": "top_fraction", "fraction": 0.2, "min_answered": 0.9}
DPO_SPEC = {"stage": "dpo", "corpus": "papers", "policy": "contrastive", "min_answered": 0.9}
BUDGET = {"corpus": "papers", "prompt_fields": ["title", "abstract", "body"], "context": 1700, "response_tokens": 400}


def run_script(name: str, **options: object) -> None:
    """Call a script's main as its command line would; lists become several arguments."""
    import importlib
    import sys

    arguments = []
    for key, value in options.items():
        values = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else str(value)]
        arguments += [f"--{key.replace('_', '-')}", *values]
    before = sys.argv
    sys.argv = [name, *arguments]
    try:
        importlib.import_module(name).main()
    finally:
        sys.argv = before


def choose(stage: str, paths: dict[str, Path], out: Path, **changes: object) -> dict[str, Path]:
    """Run select or pair on a corpus and return its outputs."""
    outputs = {name: out / f"{name}.parquet" for name in ("chosen", "ledger")} | {"manifest": out / "choose.json"}
    if stage == "sft":
        run_script(
            "select_responses", spec=SFT_SPEC | changes, scores=paths["scores"], splits=paths["splits"], **outputs
        )
    else:
        inputs = {name: paths[name] for name in ("scores", "splits", "responses")}
        run_script("pair_responses", spec=DPO_SPEC | changes, **inputs, **outputs)
    return outputs


def render(
    stage: str, paths: dict[str, Path], chosen: Path, model: Path, out: Path, **changes: object
) -> dict[str, Path]:
    """Render a chosen dataset and return its outputs."""
    files = {name: out / f"{name}.parquet" for name in ("rendered", "left_out")} | {"manifest": out / "render.json"}
    inputs = {name: paths[name] for name in ("prompts", "responses", "scores")}
    spec = {"stage": stage} | BUDGET | changes
    modality = spec.get("modality", "clean")
    if modality != "clean":
        inputs["images"] = paths[modality]
    run_script("render_dataset", spec=spec, chosen=chosen, model=model, **inputs, **files)
    return align(stage, files, out, modality)


def align(stage: str, files: dict[str, Path], out: Path, modality: str = "clean", **others: Path) -> dict[str, Path]:
    """Make train and val of rendered rows, without what other modalities left out."""
    tables = {name: out / f"{name}.parquet" for name in ("train", "val")}
    options = {"others": [f"{name}={path}" for name, path in others.items()]} if others else {}
    spec = {"stage": stage, "modality": modality}
    rendered, manifest = files["rendered"], out / "align.json"
    run_script("align_modalities", spec=spec, rendered=rendered, manifest=manifest, **tables, **options)
    return files | tables | {"aligned": manifest}


VALIDATION = {"dataset": "main", "modality": "clean", "min_prompt_chars": 200, "splits": {"val": 0.1, "test": 0.1}}


def validation_options(
    stage: str, paths: dict[str, Path], made: dict[str, Path], model: Path, report: Path, **changes: object
) -> dict[str, object]:
    """The options of validate_dataset for a dataset whose files are in `made`; changes go to the policy."""
    policy = (SFT_SPEC if stage == "sft" else DPO_SPEC) | changes
    return {
        "spec": {"stage": stage, "policy": policy} | BUDGET | VALIDATION,
        "stage": stage,
        **{name: made[name] for name in ("train", "val", "left_out", "chosen", "ledger")},
        **{name: paths[name] for name in ("prompts", "responses", "splits", "scores", "checklist")},
        "model": model,
        "report": report,
    }

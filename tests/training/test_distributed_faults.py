"""Two processes stop and fail as one, and what they leave can be trusted."""

import signal
import socket
from pathlib import Path

import pytest

from training.conftest import Finished, Study, identity_folder, run_of
from training.fixtures import EVEN, FSDP, ZERO3
from winnow.core.errors import WinnowError
from winnow.training.checkpoints import MARKER, checkpoints_in, last_complete, step_of
from winnow.training.fit import STOPPED
from winnow.training.metrics import repeatable


@pytest.fixture(scope="module")
def unbroken(even_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return even_study.finish(run_of("sft_lora", processes=2, **EVEN, **ZERO3), tmp_path_factory.mktemp("unbroken"))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_one_process_is_signalled(even_study: Study, unbroken: Finished, tmp_path: Path, sent: signal.Signals) -> None:
    """Asked to stop, both save after the same step; killed, one takes the other with it. The retry ends alike."""
    run = run_of("sft_lora", processes=2, **EVEN, **ZERO3)
    status = even_study.start(run, tmp_path, f"{sent.name}@1").wait(timeout=300)
    assert status == {signal.SIGTERM: STOPPED, signal.SIGKILL: 128 + sent}[sent], (tmp_path / "log").read_text()
    assert not (tmp_path / "manifest.json").exists()
    if sent == signal.SIGTERM:
        newest = checkpoints_in(identity_folder(tmp_path))[0]
        assert (newest / MARKER).is_file()
        assert step_of(newest) >= 2
        with pytest.raises(WinnowError, match="was saved by 2 processes, this run has 1"):
            last_complete(identity_folder(tmp_path), 1)
    resumed = even_study.finish(run, tmp_path)
    assert resumed.weights() == unbroken.weights()
    assert repeatable(resumed.rows) == repeatable(unbroken.rows)
    assert resumed.manifest == unbroken.manifest


def test_a_disk_full_for_one_process_leaves_the_last_good_checkpoint(even_study: Study, tmp_path: Path) -> None:
    run = run_of("sft", processes=2, **EVEN, **ZERO3)
    assert even_study.start(run, tmp_path, "full_disk@1").wait(timeout=300) == 2
    said = (tmp_path / "log").read_text()
    assert said.count("error:") == 1
    assert "No space left on device" in said
    folder = identity_folder(tmp_path)
    assert [step_of(path) for path in checkpoints_in(folder)] == [4, 2]
    assert last_complete(folder, 2) == folder / "checkpoint-2"


def test_fsdp_without_a_gpu_is_refused(even_study: Study, tmp_path: Path) -> None:
    """A silent fault: accelerate would run plain DDP."""
    assert even_study.start(run_of("sft", processes=2, **EVEN, **FSDP), tmp_path).wait(timeout=300) == 2
    said = (tmp_path / "log").read_text()
    assert "ask for fsdp in 2 processes, and accelerate made MULTI_CPU in 2" in said
    assert said.count("error:") == 1
    assert not list(tmp_path.glob("checkpoints/*/checkpoint-*"))


def test_a_wrong_number_of_processes_is_refused(even_study: Study, tmp_path: Path) -> None:
    """Started alone, a run of two processes would have half its batch."""
    with pytest.raises(WinnowError, match="processes: is 2, and 1 were started by"):
        even_study.train(run_of("sft", processes=2, **EVEN), tmp_path)


def test_two_launchers_meet_as_on_two_machines(even_study: Study, tmp_path: Path) -> None:
    run = run_of("sft", processes=2, **EVEN).model_copy(update={"nodes": 2})
    with socket.socket() as free:
        free.bind(("localhost", 0))
        meet = f"localhost:{free.getsockname()[1]}"
    nodes = [even_study.start(run, tmp_path, node=(node, meet)) for node in (0, 1)]
    assert [node.wait(timeout=300) for node in nodes] == [0, 0], (tmp_path / "log").read_text()
    assert Finished(even_study.request(run, tmp_path)).manifest["world_size"] == 2

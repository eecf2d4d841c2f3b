"""Setting up a training process before the training libraries are imported."""

import ctypes
import os
import signal
import sys
import warnings


def prepare_process() -> None:
    """Set what the libraries read from the environment when they are imported.

    TRL reports each training to its makers unless told not to.
    """
    _end_with_launcher()
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on a GPU
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # TRL sets these names itself, whatever a recipe says.
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing. is deprecated", category=FutureWarning)


def _end_with_launcher() -> None:
    """Let the system send SIGTERM when the launcher is gone, so that no process trains on unwatched; on Linux alone."""
    if "LOCAL_RANK" in os.environ and sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM, 0, 0, 0)

"""Setting up a training process before the training libraries are imported."""

import os
import warnings


def prepare_process() -> None:
    """Set what the libraries read from the environment when they are imported.

    TRL reports each training to its makers unless told not to.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on a GPU
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # TRL sets these names itself, whatever a recipe says.
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing. is deprecated", category=FutureWarning)

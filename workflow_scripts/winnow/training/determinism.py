"""Equal work gives equal bits: threads and algorithms."""

import os

import datasets
import torch
import transformers

from winnow.core.errors import WinnowError

CPU_THREADS = 1  # on a CPU the number of threads changes the order of sums, and so the last bits of every weight


def prepare_torch(gpus: int) -> None:
    """Make equal work give equal bits.

    Raises:
        WinnowError: if GPUs are asked for and PyTorch sees none.
    """
    if gpus and not torch.cuda.is_available():
        raise WinnowError(
            "the run's key gpu",
            f"is {gpus}, and PyTorch ({torch.__version__}) sees no GPU here",
            "set gpu: 0 to train on a CPU, or run this on a GPU node with a CUDA build of PyTorch",
        )
    if not gpus:
        torch.set_num_threads(CPU_THREADS)
        os.environ["DS_ACCELERATOR"] = "cpu"  # or DeepSpeed, which accelerate imports where it is, looks for others
    torch.use_deterministic_algorithms(True, warn_only=True)
    # It would also fill every new tensor with NaN, to show reads of memory never written; TRL allocates tiles of the
    # logits of 268 MB each, and a quarter of a step would go there. Equal bits are tested without it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # a property of the module
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()

"""Whether a GPU had too little memory, however that is said."""

import torch

SAID_AS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""By the CUDA runtime, which raises torch.AcceleratorError, and by libraries that allocate memory of their own."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error is a GPU's out-of-memory, says so, or came about while one was handled.

    The last is so in the capture of a CUDA graph: its end, which an error does not spare, fails with another.
    """
    if error is None:
        return False
    if isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in SAID_AS):
        return True
    return is_out_of_memory(error.__cause__) or is_out_of_memory(error.__context__)

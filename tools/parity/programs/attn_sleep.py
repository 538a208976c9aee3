"""AttnSleep: emadeldeen24/AttnSleep at 6b4d266."""

import torch
from sources import checkout, module_at, of
from torch import nn

PYTORCH = f"PyTorch {torch.__version__.partition('+')[0]}"


@of("emadeldeen24/AttnSleep", "6b4d266", PYTORCH)
def network(shape: tuple[int, ...]) -> nn.Module:
    """For one channel."""
    return module_at(checkout("emadeldeen24/AttnSleep", "6b4d266", "model/model.py"), "attn_sleep_model").AttnSleep()

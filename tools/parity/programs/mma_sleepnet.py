"""MMASleepNet: buptantEEG/MMASleepNet at 8fa5de5."""

import importlib
from types import SimpleNamespace

import torch
from sources import checkout, of, stand_in
from torch import Tensor, nn

PYTORCH = f"PyTorch {torch.__version__.partition('+')[0]}"


class Logits(nn.Module):
    """Any number of EEG channels, then one of EOG and one of EMG; without the softmax at its end."""

    def __init__(self, n_channels: int):
        super().__init__()
        stand_in("turtle", forward=None)  # imported, not used, and asks for a display
        package = stand_in("model")  # its own __init__ imports files that are not in the repository
        package.__path__ = [str(checkout("buptantEEG/MMASleepNet", "8fa5de5", "model"))]
        settings = SimpleNamespace(
            **{"afr_reduced_cnn_size": 4, "d_model": 96, "inplanes": 4, "nhead": 4, "num_layers": 1},
            EEG_channels=n_channels - 2,
        )
        self.net = importlib.import_module("model.MMASleepNet").MMASleepNet(settings)
        self.net.linear2[1] = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x[:, :-2].contiguous(), x[:, -2], x[:, -1])


@of("buptantEEG/MMASleepNet", "8fa5de5", PYTORCH)
def network(shape: tuple[int, ...]) -> nn.Module:
    """For as many channels as the input has."""
    return Logits(shape[-2])

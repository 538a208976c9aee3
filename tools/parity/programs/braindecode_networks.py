"""Networks of braindecode 1.8.1, as `pip install braindecode==1.8.1` brings them."""

import braindecode
import torch
from sources import of
from torch import Tensor, nn

if braindecode.__version__ != "1.8.1":
    raise ImportError(f"braindecode is {braindecode.__version__}, expected 1.8.1")


OF_BRAINDECODE = of("braindecode/braindecode", "1.8.1", f"PyTorch {torch.__version__.partition('+')[0]}", "independent")


def _settings(shape: tuple[int, ...]) -> dict[str, int]:
    return {"n_chans": shape[-2], "sfreq": 100, "n_outputs": 5}


@OF_BRAINDECODE
def chambon2018(shape: tuple[int, ...]) -> nn.Module:
    """SleepStagerChambon2018."""
    return braindecode.models.SleepStagerChambon2018(**_settings(shape), input_window_seconds=30)


@OF_BRAINDECODE
def eegnet(shape: tuple[int, ...]) -> nn.Module:
    """EEGNet, the class as it is today."""
    return braindecode.models.EEGNet(**_settings(shape), n_times=3000)


class OfEpochs(nn.Module):
    """Its logits as ours lie: (batch, length, n_classes)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).reshape(len(x), 5, -1).transpose(1, 2)


@OF_BRAINDECODE
def u_sleep(shape: tuple[int, ...]) -> nn.Module:
    """USleep, with the epsilon of Keras' batch norm in place of PyTorch's."""
    net = braindecode.models.USleep(**_settings(shape), input_window_seconds=30)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eps = 1e-3
    return OfEpochs(net)

"""guisongliu/Nano-SleepNet: four networks by their authors, and two of others written again."""

import torch
from sources import checkout, module_at, of
from torch import nn

Shape = tuple[int, ...]
REPOSITORY = "guisongliu/Nano-SleepNet"
PYTORCH = f"PyTorch {torch.__version__.partition('+')[0]}"


def _network(commit: str, file: str, architecture: str, **settings: object) -> nn.Module:
    module = module_at(checkout(REPOSITORY, commit, file), file.removesuffix(".py"))
    return getattr(module, architecture)(**settings)


@of(REPOSITORY, "610e90a", PYTORCH)
def nano(shape: Shape) -> nn.Module:
    """NanoSleepNet."""
    return _network("610e90a", "NanoSeepNet.py", "NanoSleepNet")


@of(REPOSITORY, "effa368", PYTORCH)
def tcn(shape: Shape) -> nn.Module:
    """NanoSleepNet-TCN."""
    return _network("effa368", "Nanosleepnet_TCN.py", "NanoSleepNetTCN")


@of(REPOSITORY, "effa368", PYTORCH, remark="causal=True")
def causal(shape: Shape) -> nn.Module:
    """NanoSleepNet-TCN that does not look ahead."""
    return _network("effa368", "Nanosleepnet_TCN.py", "NanoSleepNetTCN", causal=True)


@of(REPOSITORY, "d4b7642", PYTORCH)
def micro(shape: Shape) -> nn.Module:
    """MicroSleepNet."""
    return _network("d4b7642", "microsleepnet.py", "cnn_new")


@of(REPOSITORY, "9efd851", PYTORCH, "independent")
def light(shape: Shape) -> nn.Module:
    """LightSleepNet, not by its authors."""
    return _network("9efd851", "lightsleepnet.py", "LightSleepNet")


@of(REPOSITORY, "9efd851", PYTORCH, "independent")
def lite(shape: Shape) -> nn.Module:
    """SleepNet-Lite, not by its authors."""
    return _network("9efd851", "sleepnet_lite.py", "SleepNetLite")

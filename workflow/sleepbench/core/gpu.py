"""Whether trainings go to a GPU, told without importing PyTorch, which takes seconds."""

import importlib.util
import os
import runpy
import shutil
from pathlib import Path

from sleepbench.core.errors import BenchmarkError

DEVICES = Path("/dev")
CPU_BUILD = (
    "This machine has a GPU, but PyTorch is installed without CUDA, so that trainings run on the CPU: "
    "make setup GPU=1 installs its CUDA build."
)


def takes_gpu(device: str) -> bool:
    """Whether trainings go to a GPU, one job at a time: there is one, and PyTorch is built for it."""
    return device != "cpu" and has_gpu() and is_built_for_cuda()


def is_gpu_idle(device: str) -> bool:
    """Whether there is a GPU that trainings would take if PyTorch were built for it; `CPU_BUILD` says so."""
    return device == "auto" and has_gpu() and not is_built_for_cuda()


def require_gpu(device: str) -> None:
    """BenchmarkError where trainings are to go to a GPU, and cannot."""
    if device == "cuda" and not takes_gpu(device):
        found = "PyTorch is installed without CUDA" if has_gpu() else "this machine has no GPU that a process may use"
        raise BenchmarkError(
            f"training.device is 'cuda', but {found}: set it to auto or cpu, or, where there is a GPU, install with "
            "make setup GPU=1"
        )


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that processes may use, and that CUDA_VISIBLE_DEVICES does not hide."""
    # A driver's tools may lie where no device is, as on a login node. In Windows' Linux the device has another name.
    is_there = any(DEVICES.glob("nvidia[0-9]*")) or (
        (DEVICES / "dxg").exists() and shutil.which("nvidia-smi") is not None
    )
    return is_there and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1")


def is_built_for_cuda() -> bool:
    """Whether the PyTorch beside this package has CUDA."""
    torch = importlib.util.find_spec("torch")
    return torch is not None and runpy.run_path(str(Path(torch.origin).with_name("version.py")))["cuda"] is not None

"""Where trainings go, on machines with and without a GPU, and with either build of PyTorch."""

import importlib.util
import stat
from types import SimpleNamespace

import pytest
import torch

from sleepbench.core import gpu


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make this machine have a GPU or not, and the PyTorch of some build, or none."""

    def make(has_gpu: bool, cuda: str | None = "13.0", visible: str | None = None, has_torch: bool = True) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(gpu, "DEVICES", tmp_path)
        if has_gpu:
            (tmp_path / "nvidia0").touch()
        (tmp_path / "version.py").write_text(f"from typing import Optional\ncuda: Optional[str] = {cuda!r}\n")
        found = SimpleNamespace(origin=str(tmp_path / "__init__.py")) if has_torch else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)

    return make


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_trainings_take_a_gpu_that_is_there(machine, device):
    machine(has_gpu=True)
    assert gpu.takes_gpu(device) and not gpu.is_gpu_idle(device)
    machine(has_gpu=True, visible="0")
    assert gpu.takes_gpu(device)


def test_without_pytorch_nothing_is_known_of_a_gpu(machine):
    machine(has_gpu=True, has_torch=False)
    assert not gpu.takes_gpu("auto")


def test_tools_of_a_driver_are_no_gpu_but_in_windows_linux(machine, tmp_path):
    machine(has_gpu=False)
    (tmp_path / "nvidia-smi").touch()
    (tmp_path / "nvidia-smi").chmod(stat.S_IRWXU)
    (tmp_path / "nvidiactl").touch()
    assert not gpu.takes_gpu("auto")
    (tmp_path / "dxg").touch()
    assert gpu.takes_gpu("auto")


def test_pytorch_for_the_cpu_leaves_a_gpu_idle_and_jobs_side_by_side(machine):
    machine(has_gpu=True, cuda=None)
    assert not gpu.takes_gpu("auto")
    assert gpu.is_gpu_idle("auto")
    assert not gpu.is_gpu_idle("cpu")


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_hidden_gpu_is_none(machine, visible):
    machine(has_gpu=True, visible=visible)
    assert not gpu.takes_gpu("auto") and not gpu.is_gpu_idle("auto")


def test_without_gpu_or_told_so_trainings_stay_on_the_cpu(machine):
    machine(has_gpu=False)
    assert not gpu.takes_gpu("auto")
    machine(has_gpu=True)
    assert not gpu.takes_gpu("cpu")


def test_the_installed_build_is_recognised():
    assert gpu.is_built_for_cuda() == (torch.version.cuda is not None)

"""The models by name. To add one: write its file, then add its entry to `MODELS`.

PyTorch is imported only when a model is built, so that a configuration can be checked without it.
"""

import ast
import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.stages import STAGES

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModelInfo:
    """What is said about a model without building it.

    `module` holds the class `architecture`, whose constructor takes (n_channels, n_classes). `published_channels` are
    the Sleep-EDF channels, in order, and `published_recipe` the configured recipe that the published figures belong to;
    None where the paper's is not known in full. `supported_channels` are the numbers of signals it is defined for.

    kind : "network", a torch.nn.Module, or "estimator" with fit and predict_proba
    verified : whether parameters, and multiply-accumulates where they are known, equal those published or of an
        independent build; otherwise the architecture is "after the description"
    sequence_length : epochs in a sequence of training; None for a model of single epochs
    inference : of a sequence model, "night": an unbroken run of epochs at once, of any length, which is what carrying
        the state does; "windows": overlapping windows of `sequence_length`, probabilities averaged
    """

    name: str
    title: str
    module: str
    architecture: str
    paper: str
    published_channels: tuple[str, ...]
    published_recipe: str | None
    verified: bool
    supported_channels: tuple[int, ...] = (1, 2, 3, 4)
    kind: str = "network"
    sequence_length: int | None = None
    inference: str | None = None


MODELS = (
    ModelInfo(
        name="ulw_sleepnet",
        title="ULW-SleepNet",
        module="sleepbench.models.ulw_sleepnet",
        architecture="ULWSleepNet",
        paper="Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, ICASSP 2026, arXiv:2602.23852",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="released",
        verified=True,
    ),
    ModelInfo(
        name="ulw_no_skip",
        title="ULW-SleepNet, no shortcut",
        module="sleepbench.models.ulw_sleepnet_ablations",
        architecture="ULWNoSkip",
        paper="Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, ICASSP 2026, arXiv:2602.23852",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="released",
        verified=False,
    ),
    ModelInfo(
        name="ulw_dense_convs",
        title="ULW-SleepNet, dense convolutions",
        module="sleepbench.models.ulw_sleepnet_ablations",
        architecture="ULWDenseConvs",
        paper="Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, ICASSP 2026, arXiv:2602.23852",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="released",
        verified=False,
    ),
    ModelInfo(
        name="ulw_unshared",
        title="ULW-SleepNet, weights not shared",
        module="sleepbench.models.ulw_sleepnet_ablations",
        architecture="ULWUnshared",
        paper="Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, ICASSP 2026, arXiv:2602.23852",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="released",
        verified=False,
        supported_channels=(2, 3, 4),  # with one channel, nothing can be unshared
    ),
    ModelInfo(
        name="ulw_flatten",
        title="ULW-SleepNet, no average pooling",
        module="sleepbench.models.ulw_sleepnet_ablations",
        architecture="ULWFlatten",
        paper="Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, ICASSP 2026, arXiv:2602.23852",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="released",
        verified=False,
    ),
    ModelInfo(
        name="chambon2018",
        title="SleepStagerChambon2018",
        module="sleepbench.models.chambon2018",
        architecture="SleepStagerChambon2018",
        paper="Chambon, Galtier, Arnal, Wainrib and Gramfort, IEEE TNSRE 2018",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe=None,
        verified=True,
    ),
    ModelInfo(
        name="eegnet",
        title="EEGNet",
        module="sleepbench.models.eegnet",
        architecture="EEGNet",
        paper="Lawhern, Solon, Waytowich, Gordon, Hung and Lance, Journal of Neural Engineering 2018",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe=None,
        verified=True,
    ),
    ModelInfo(
        name="micro_sleepnet",
        title="MicroSleepNet",
        module="sleepbench.models.micro_sleepnet",
        architecture="MicroSleepNet",
        paper="Liu, Wei, Sun, Mao, Zhang, Zhao, Tian, Wang and Chen, Frontiers in Neuroscience 2023",
        published_channels=("EEG Fpz-Cz",),
        published_recipe=None,
        verified=True,
        supported_channels=(1,),
    ),
    ModelInfo(
        name="light_sleepnet",
        title="LightSleepNet",
        module="sleepbench.models.light_sleepnet",
        architecture="LightSleepNet",
        paper="Liao, Zhang, Zhang, Wang and Xie, IEEE TCAS-II 2022, arXiv:2401.13194",
        published_channels=("EEG Fpz-Cz",),
        published_recipe=None,
        verified=True,
        supported_channels=(1,),
    ),
    ModelInfo(
        name="sleepnet_lite",
        title="SleepNet-Lite",
        module="sleepbench.models.sleepnet_lite",
        architecture="SleepNetLite",
        paper="Zhou, Liu, Cui, Bie and Chen, IEEE Sensors Letters 2023",
        published_channels=("EEG Fpz-Cz",),
        published_recipe=None,
        verified=True,
        supported_channels=(1,),
    ),
    ModelInfo(
        name="nano_sleepnet",
        title="NanoSleepNet",
        module="sleepbench.models.nano_sleepnet",
        architecture="NanoSleepNet",
        paper="Liu, Wei and Zhang, 2026, github.com/guisongliu/Nano-SleepNet",
        published_channels=("EEG Fpz-Cz",),
        published_recipe=None,
        verified=True,
        supported_channels=(1,),
    ),
    ModelInfo(
        name="msa_cnn_small",
        title="MSA-CNN small",
        module="sleepbench.models.msa_cnn",
        architecture="MSACNNSmall",
        paper="Goerttler, Wang, Eldele, Wu and He, Biomedical Signal Processing and Control 2026, arXiv:2501.02949",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="msa_cnn",
        verified=True,
    ),
    ModelInfo(
        name="msa_cnn_large",
        title="MSA-CNN large",
        module="sleepbench.models.msa_cnn",
        architecture="MSACNNLarge",
        paper="Goerttler, Wang, Eldele, Wu and He, Biomedical Signal Processing and Control 2026, arXiv:2501.02949",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="msa_cnn",
        verified=True,
    ),
    ModelInfo(
        name="attn_sleep",
        title="AttnSleep",
        module="sleepbench.models.attn_sleep",
        architecture="AttnSleep",
        paper="Eldele, Chen, Liu, Wu, Kwoh, Li and Guan, IEEE TNSRE 2021",
        published_channels=("EEG Fpz-Cz",),
        published_recipe="attn_sleep",
        verified=True,
        supported_channels=(1,),
    ),
    ModelInfo(
        name="mma_sleepnet",
        title="MMASleepNet",
        module="sleepbench.models.mma_sleepnet",
        architecture="MMASleepNet",
        paper="Zheng, Luo, Zou, Zhang and Li, Frontiers in Neuroscience 2022",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="mma_sleepnet",
        verified=True,
        supported_channels=(4,),
    ),
    ModelInfo(
        name="deep_sleepnet_cnn",
        title="DeepSleepNet CNN",
        module="sleepbench.models.deep_sleepnet",
        architecture="DeepSleepNetCNN",
        paper="Supratak, Dong, Wu and Guo, IEEE TNSRE 2017, arXiv:1703.04046",
        published_channels=("EEG Fpz-Cz",),
        published_recipe="deep_sleepnet_cnn",
        verified=True,
        supported_channels=(1,),
    ),
    ModelInfo(
        name="tiny_sleepnet",
        title="TinySleepNet",
        module="sleepbench.models.tiny_sleepnet",
        architecture="TinySleepNet",
        paper="Supratak and Guo, EMBC 2020",
        published_channels=("EEG Fpz-Cz",),
        published_recipe="tiny_sleepnet",
        verified=True,
        sequence_length=20,
        inference="night",
    ),
    ModelInfo(
        name="deep_sleepnet",
        title="DeepSleepNet",
        module="sleepbench.models.deep_sleepnet",
        architecture="DeepSleepNet",
        paper="Supratak, Dong, Wu and Guo, IEEE TNSRE 2017, arXiv:1703.04046",
        published_channels=("EEG Fpz-Cz",),
        published_recipe="deep_sleepnet",
        verified=True,
        supported_channels=(1,),
        sequence_length=25,
        inference="windows",
    ),
    ModelInfo(
        name="nano_sleepnet_tcn",
        title="NanoSleepNet-TCN",
        module="sleepbench.models.nano_sleepnet_tcn",
        architecture="NanoSleepNetTCN",
        paper="Liu, Wei and Zhang, 2026, github.com/guisongliu/Nano-SleepNet",
        published_channels=("EEG Fpz-Cz",),
        published_recipe=None,
        verified=True,
        supported_channels=(1,),
        sequence_length=10,
        inference="windows",
    ),
    ModelInfo(
        name="seq_sleepnet",
        title="SeqSleepNet",
        module="sleepbench.models.seq_sleepnet",
        architecture="SeqSleepNet",
        paper="Phan, Andreotti, Cooray, Chén and De Vos, IEEE TNSRE 2019, arXiv:1809.10932",
        published_channels=("EEG Fpz-Cz",),
        published_recipe="seq_sleepnet",
        verified=False,
        sequence_length=20,
        inference="windows",
    ),
    ModelInfo(
        name="u_time",
        title="U-Time",
        module="sleepbench.models.u_time",
        architecture="UTime",
        paper="Perslev, Jensen, Darkner, Jennum and Igel, NeurIPS 2019, arXiv:1910.11162",
        published_channels=("EEG Fpz-Cz",),
        published_recipe=None,
        verified=True,
        sequence_length=35,
        inference="night",
    ),
    ModelInfo(
        name="u_sleep",
        title="U-Sleep",
        module="sleepbench.models.u_sleep",
        architecture="USleep",
        paper="Perslev, Darkner, Kempfner, Nikolic, Jennum and Igel, npj Digital Medicine 2021",
        published_channels=("EEG Fpz-Cz", "EOG horizontal"),
        published_recipe=None,
        verified=True,
        sequence_length=35,
        inference="night",
    ),
    ModelInfo(
        name="band_power",
        title="Band power, gradient boosting",
        module="sleepbench.models.band_power",
        architecture="BandPower",
        paper="none; features in the manner of Vallat and Walker, eLife 2021",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe=None,
        verified=False,
        kind="estimator",
    ),
)

_BY_NAME = {info.name: info for info in MODELS}


def model_names() -> tuple[str, ...]:
    """Names of all models, in the order of the registry."""
    return tuple(_BY_NAME)


def describe(name: str) -> ModelInfo:
    """The registry's entry; BenchmarkError with the nearest known name when there is none."""
    if name not in _BY_NAME:
        raise BenchmarkError(f"model {name!r} is not known; {nearest(name, _BY_NAME)}")
    return _BY_NAME[name]


def model_source(name: str) -> Path:
    """The file that defines the architecture."""
    return _file_of(describe(name).module)


def model_sources(name: str) -> tuple[Path, ...]:
    """The file that defines the architecture, those of this folder that it imports from, and C of the same name."""
    found, modules = {}, [describe(name).module]
    while modules:
        module = modules.pop()
        found[module] = _file_of(module)
        imports = [node for node in ast.walk(ast.parse(found[module].read_text())) if isinstance(node, ast.ImportFrom)]
        modules += [
            node.module for node in imports if node.module.startswith("sleepbench.models.") and node.module not in found
        ]
    in_c = [path.with_suffix(".c") for path in found.values() if path.with_suffix(".c").exists()]
    return tuple(sorted([*found.values(), *in_c]))


def _file_of(module: str) -> Path:
    return Path(importlib.util.find_spec(module).origin)


def architecture_of(info: ModelInfo) -> type:
    """The model's class."""
    return getattr(importlib.import_module(info.module), info.architecture)


def create_model(name: str, n_channels: int, n_classes: int = len(STAGES)) -> "torch.nn.Module":
    """Build a model with fresh weights, drawn from PyTorch's global generator.

    Parameters
    ----------
    name : a name of `model_names()`
    n_channels : number of signals of an epoch, one of the model's `supported_channels`
    n_classes : number of stages, 2 or more

    Returns
    -------
    torch.nn.Module that maps (batch, n_channels, 3000) microvolts to logits (batch, n_classes); a sequence model
    (batch, length, n_channels, 3000) to (batch, length, n_classes)
    """
    info = describe(name)
    for argument, found, least in (("n_channels", n_channels, 1), ("n_classes", n_classes, 2)):
        if not isinstance(found, int) or found < least:
            raise BenchmarkError(f"model {name}: {argument} is {found!r}, expected an integer of at least {least}")
    if n_channels not in info.supported_channels:
        raise BenchmarkError(
            f"model {name}: n_channels is {n_channels}, but the architecture is defined for "
            f"{', '.join(map(str, info.supported_channels))}"
        )
    return architecture_of(info)(n_channels, n_classes)

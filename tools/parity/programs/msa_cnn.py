"""MSA-CNN, small and large: sgoerttler/MSA-CNN at bc0bfa4."""

import sys

import torch
from sources import checkout, of
from torch import Tensor, nn

PYTORCH = f"PyTorch {torch.__version__.partition('+')[0]}"

SETTINGS = {
    **{"classes": 5, "dropout_rate": 0.1, "length_time_series": 3000, "activation_function": "relu"},
    **{"complementary_pooling": "max", "num_filter_scales": 4, "kernel_1": 15, "kernel_scales": 5},
    **{"pos_encoding": True, "out_channels_1": 8},
}
SIZES = {
    "small": {"out_scales": 16, "out_spatial": 32, "embedding_dim": 16, "num_heads": 2, "num_attention_layers": 1},
    "large": {"out_scales": 32, "out_spatial": 64, "embedding_dim": 32, "num_heads": 4, "num_attention_layers": 2},
}
"""Of its configs/MSA_CNN_all.json."""


class Logits(nn.Module):
    """Without the softmax at its end."""

    def __init__(self, size: str, n_channels: int):
        super().__init__()
        sys.path.insert(0, str(checkout("sgoerttler/MSA-CNN", "bc0bfa4", "models-pytorch")))
        from models.MSA_CNN import MSA_CNN

        several = {"input_scaling": n_channels > 1, "kernel_spatial": 1 if n_channels > 1 else 5}
        self.net = MSA_CNN({**SETTINGS, **SIZES[size], **several, "num_channels": n_channels})
        self.net.softmax = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.unsqueeze(1))


@of("sgoerttler/MSA-CNN", "bc0bfa4", PYTORCH)
def small(shape: tuple[int, ...]) -> nn.Module:
    """For as many channels as the input has."""
    return Logits("small", shape[-2])


@of("sgoerttler/MSA-CNN", "bc0bfa4", PYTORCH)
def large(shape: tuple[int, ...]) -> nn.Module:
    """For as many channels as the input has."""
    return Logits("large", shape[-2])

"""What stands for a loop or a rounded length when a network is exported with its length open."""

import numpy as np
import pytest
import torch
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.as_onnx import as_onnx, session
from sleepbench.models.layers import PeepholeLSTM
from sleepbench.models.open_length import CUT_TO, EVENED, cut_to, evened


@pytest.mark.parametrize(("n", "expected"), [(4, [1, 2, 3, 4]), (3, [0, 1, 2, 3])])
def test_an_odd_length_gets_a_zero_at_its_head(n, expected):
    x = torch.arange(1.0, n + 1)[None]
    assert evened(x).tolist() == EVENED(x).tolist() == [expected]


@pytest.mark.parametrize(("n", "expected"), [(3, [1, 2, 3]), (2, [1, 2]), (5, [0, 1, 2, 3, 4])])
def test_what_is_too_much_is_cut_off_at_both_ends(n, expected):
    x, like = torch.arange(5.0)[None], torch.zeros(1, n)
    assert cut_to(x, like).tolist() == CUT_TO(x, like).tolist() == [expected]


class Small(nn.Module):
    """Everything that depends on an open length, on signals of three samples an epoch."""

    def __init__(self):
        super().__init__()
        self.pool, self.lstm = nn.MaxPool1d(2), PeepholeLSTM(3, 2)

    def forward(self, x):
        signal = evened(x.flatten(1).unsqueeze(1))
        back = cut_to(nn.functional.interpolate(self.pool(signal), scale_factor=2.0), signal)
        return self.lstm(x)[0] * back.mean() + torch.fft.rfft(x).abs().sum(-1, keepdim=True)


def test_a_file_takes_sequences_of_any_length_and_tells_nothing_of_what_was_traced():
    torch.manual_seed(0)
    network = Small().eval()
    model = as_onnx(network, {"x": torch.ones(2, 3, 3)}, {"x": ("batch", "length")}, ["y"])
    assert type(network.pool) is nn.MaxPool1d
    assert model.opset_import[0].version == 20 and not model.metadata_props and not model.graph.value_info
    for part in (model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input):
        assert not part.metadata_props and not part.doc_string
    running = session(model.SerializeToString())
    assert running.get_inputs()[0].shape == ["batch", "length", 3]
    assert running.get_outputs()[0].shape == ["batch", "length", 2]
    for batch, length in ((1, 1), (3, 2), (2, 7), (1, 100)):
        x = torch.randn(batch, length, 3)
        with torch.inference_mode():
            np.testing.assert_allclose(running.run(None, {"x": x.numpy()})[0], network(x).numpy(), atol=2e-6)


def test_what_cannot_be_exported_is_told():
    class Undecided(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(BenchmarkError, match=r"Undecided: PyTorch .* cannot make ONNX of this network"):
        as_onnx(Undecided().eval(), {"x": torch.ones(2, 3)}, {"x": ("batch",)}, ["y"])

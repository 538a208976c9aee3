"""DeepSleepNet and its convolutions: akaraspt/deepsleepnet at eb72f9b."""

from collections.abc import Mapping

from sources import checkout, of, stand_in
from variables import Shape, View

from tensorflow1 import TENSORFLOW, Graph, from_time_major, lstm, run, viewed  # isort: skip

import numpy as np

channels_first = from_time_major((16, 128), (8, 128))
"""The features are those of 16 steps of the short filters and of 8 steps of the long ones, 128 each."""


class DeepSleepNet(Graph):
    """The whole network on sequences."""

    net = "deepsleepnet"
    of_features = ("l19_fc/fc/weights",)

    def build(self) -> None:
        """One network that evaluates and one that trains, with the same variables."""
        stand_in("deepsleep")
        folder = checkout("akaraspt/deepsleepnet", "eb72f9b", "deepsleep")
        run("deepsleep.nn", folder / "nn.py")
        self.module = run("deepsleep.model", folder / "model.py")
        self.nets = {training: self.network(training) for training in (False, True)}
        for net in self.nets.values():
            net.init_ops()
        self.logits = {training: net.logits for training, net in self.nets.items()}

    def network(self, training: bool):
        """Their class; the arguments that are False say that nothing is dropped out."""
        batch, length = self.shape[:2]
        return self.module.DeepSleepNet(batch, 3000, 5, length, 2, False, training, training, False, False)

    def fed(self, x: np.ndarray, training: bool) -> dict:
        """Epochs one after the other, (n, 3000, 1, 1)."""
        epochs = x.reshape(-1, 3000, 1, 1)
        return {self.nets[training].input_var: epochs, self.nets[training].target_var: np.zeros(len(epochs), np.int32)}

    def carried(self, x: np.ndarray) -> np.ndarray:
        """Logits of the epochs in reverse order, from the states after x."""
        net = self.nets[False]
        initial = [*net.fw_initial_state, *net.bw_initial_state]
        final = self.session.run([*net.fw_final_state, *net.bw_final_state], self.fed(x, False))
        states = {
            tensor: array
            for pair, found in zip(initial, final, strict=True)
            for tensor, array in zip(pair, found, strict=True)
        }
        return self._shaped(self.session.run(net.logits, self.fed(x[:, ::-1], False) | states))

    def views(self, shapes: Mapping[str, Shape]) -> dict[str, View]:
        """The LSTMs, and what follows the features."""
        views = {}
        for name in (f"{self.net}/{one}" for one in self.of_features):
            views[name] = viewed(name, shapes[name], lambda array: channels_first(array).T)
        scopes = [name.removesuffix("/kernel") for name in shapes if name.endswith("lstm_cell/kernel")]
        for scope in scopes:
            views |= lstm(scope, shapes, *([channels_first] if "cell_0" in scope else []))
        return views


class DeepFeatureNet(DeepSleepNet):
    """The convolutions with a classifier of their own."""

    net = "deepfeaturenet"
    of_features = ("l19_softmax_linear/weights",)

    def network(self, training: bool):
        """Their class."""
        return self.module.DeepFeatureNet(self.shape[0], 3000, 5, training, training, False)


@of("akaraspt/deepsleepnet", "eb72f9b", TENSORFLOW)
def whole(shape: Shape) -> DeepSleepNet:
    """The network of sequences."""
    return DeepSleepNet(shape)


@of("akaraspt/deepsleepnet", "eb72f9b", TENSORFLOW)
def convolutions(shape: Shape) -> DeepFeatureNet:
    """The network of single epochs."""
    return DeepFeatureNet(shape)

"""TinySleepNet: akaraspt/tinysleepnet at 70f45cf, whose batch norm is told here that it trains."""

import sys
from collections.abc import Mapping

from sources import checkout, of
from variables import Shape, View

from tensorflow1 import TENSORFLOW, Graph, from_time_major, lstm, run, tf  # isort: skip

import numpy as np

NOT_NEEDED = {
    "import tensorflow.contrib.metrics as contrib_metrics": "",
    "import tensorflow.contrib.slim as contrib_slim": "",
    "import sklearn.metrics as skmetrics": "",
}
NOTHING_DROPPED = {"rate=0.5": "rate=0.0", "tf.constant(0.5)": "tf.constant(1.0)"}


class TinySleepNet(Graph):
    """Without session, optimiser and metrics."""

    def build(self) -> None:
        """One network, which a placeholder tells whether it trains."""
        file = checkout("akaraspt/tinysleepnet", "70f45cf", "nn.py")
        layers = run("nn", file, {"center=True,": "center=True, training=is_training,"})
        file = checkout("akaraspt/tinysleepnet", "70f45cf", "model.py")
        theirs = run("tiny_sleepnet_model", file, NOT_NEEDED | NOTHING_DROPPED).TinySleepNet
        sys.modules.pop("nn")
        batch, length = self.shape[:2]
        net = self.net = theirs.__new__(theirs)
        net.use_rnn = True
        net.config = {
            **{"sampling_rate": 100.0, "input_size": 3000, "n_rnn_layers": 1, "n_rnn_units": 128},
            **{"seq_length": length, "batch_size": batch, "n_classes": 5},
        }
        net.signals = tf.placeholder(dtype=tf.float32, shape=(None, 3000, 1, 1))
        net.is_training = tf.placeholder(dtype=tf.bool, shape=())
        net.seq_lengths = tf.placeholder(dtype=tf.int32, shape=(None,))
        logits = layers.fc("softmax_linear", net.append_rnn(net.build_cnn()), 5, bias=0.0)
        self.logits = {False: logits, True: logits}

    def fed(self, x: np.ndarray, training: bool) -> dict:
        """Epochs one after the other, (n, 3000, 1, 1)."""
        batch, length = self.shape[:2]
        lengths = {self.net.seq_lengths: [length] * batch, self.net.is_training: training}
        return {self.net.signals: x.reshape(-1, 3000, 1, 1)} | lengths

    def carried(self, x: np.ndarray) -> np.ndarray:
        """Logits of the epochs in reverse order, from the state after x."""
        final = self.session.run(self.net.final_state, self.fed(x, False))
        states = {
            tensor: array
            for pair, found in zip(self.net.init_state, final, strict=True)
            for tensor, array in zip(pair, found, strict=True)
        }
        return self._shaped(self.session.run(self.logits[False], self.fed(x[:, ::-1], False) | states))

    def views(self, shapes: Mapping[str, Shape]) -> dict[str, View]:
        """The LSTM, whose inputs are 16 steps of 128 channels."""
        scope = next(name.removesuffix("/kernel") for name in shapes if name.endswith("lstm_cell/kernel"))
        return lstm(scope, shapes, from_time_major((16, 128)))


@of("akaraspt/tinysleepnet", "70f45cf", TENSORFLOW, remark="its batch norm told that it trains")
def network(shape: Shape) -> TinySleepNet:
    """For one channel."""
    return TinySleepNet(shape)

"""SeqSleepNet: pquochuy/sleep_transfer_learning at d6983bb, from the spectra on."""

from collections.abc import Mapping

from sources import checkout, of
from variables import Shape, View, positions

from tensorflow1 import TENSORFLOW, Graph, run, tf  # isort: skip

import numpy as np

FOLDER = "seqsleepnet/tensorflow/seqsleepnet"
N_FRAMES = 29


class SeqSleepNet(Graph):
    """(batch, 20, n_channels, 29, 129)."""

    def build(self) -> None:
        """One network, which a placeholder tells whether it trains."""
        folder = checkout("pquochuy/sleep_transfer_learning", "d6983bb", FOLDER)
        for name in ("bnlstm", "filterbank_shape", "seqsleepnet_config", "nn_basic_layers"):
            module = run(name, folder / f"{name}.py")
            if name == "seqsleepnet_config":
                settings = module.Config()
        settings.nchannel, settings.epoch_seq_len, settings.epoch_step = self.shape[2], self.shape[1], self.shape[1]
        self.net = run("seqsleepnet", folder / "seqsleepnet.py").SeqSleepNet(config=settings)
        logits = tf.stack(self.net.scores, axis=1)
        self.logits = {False: logits, True: logits}

    def fed(self, x: np.ndarray, training: bool) -> dict:
        """Channels last."""
        batch, length = x.shape[:2]
        return {
            self.net.input_x: np.moveaxis(x, 2, -1),
            self.net.input_y: np.eye(5)[np.zeros((batch, length), int)],
            self.net.dropout_keep_prob_rnn: 1.0,
            self.net.istraining: training,
            self.net.frame_seq_len: [N_FRAMES] * batch * length,
            self.net.epoch_seq_len: [length] * batch,
        }

    def views(self, shapes: Mapping[str, Shape]) -> dict[str, View]:
        """The channels' filter banks as one, and both directions of a layer."""
        banks = tuple(f"filterbank-layer-{one}/Variable" for one in ("eeg", "eog", "emg")[: self.shape[2]])
        views = {"filterbank": _stacked(banks, shapes, turned=True)}
        for layer in ("frame", "epoch"):
            scopes = [f"{layer}_rnn_layer/{direction}/BNLSTMCell/" for direction in ("fw", "bw")]
            for name in (name.removeprefix(scopes[0]) for name in shapes if name.startswith(scopes[0])):
                both = tuple(scope + name for scope in scopes)
                views[f"{layer}/{name}"] = _stacked(both, shapes, turned=name.startswith("W_"))
        return views


def _stacked(variables: tuple[str, ...], shapes: Mapping[str, Shape], turned: bool) -> View:
    """Variables of one shape as one; turned: the matrices transposed."""
    each = positions(*(shapes[name] for name in variables))
    return View(variables, np.stack([one.T if turned else one for one in each]))


@of("pquochuy/sleep_transfer_learning", "d6983bb", TENSORFLOW)
def network(shape: Shape) -> SeqSleepNet:
    """For an EEG, an EOG and an EMG, or the first of them."""
    return SeqSleepNet(shape)

"""A Keras model, of Keras 2 (tf_keras) or 3, in float64. Import it before TensorFlow."""

import os
from importlib.metadata import version

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # tensorflow.keras is then Keras 2

import numpy as np
import tensorflow as tf
from variables import Arrays, Variables

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

_PACKAGE = "tf_keras" if os.environ["TF_USE_LEGACY_KERAS"] == "1" else "keras"
KERAS = f"{_PACKAGE} {version(_PACKAGE)} on TensorFlow {tf.__version__}"


class KerasProgram(Variables):
    """A model whose output is logits; `inputs(x)` is what it is given for (..., n_channels, 3000)."""

    def __init__(self, model):
        self.model = model

    def inputs(self, x: np.ndarray):
        """What the model is given."""
        return tf.constant(np.moveaxis(x, -2, -1))

    def _variables(self, trainable: bool = False) -> dict:
        weights = self.model.trainable_weights if trainable else self.model.weights
        return {getattr(weight, "path", weight.name).removesuffix(":0"): weight for weight in weights}

    def values(self) -> Arrays:
        """All variables."""
        return {name: weight.numpy() for name, weight in self._variables().items()}

    def assign(self, values: Arrays) -> None:
        """Set all variables."""
        for name, weight in self._variables().items():
            weight.assign(values[name])

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Logits in evaluation."""
        return np.asarray(self.model(self.inputs(x), training=False))

    def trained(self, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, Arrays, Arrays]:
        """Logits in training without dropout, gradients, moving statistics."""
        for module in self.model.submodules if hasattr(self.model, "submodules") else self.model.layers:
            if type(module).__name__ == "Dropout":
                module.rate = 0.0
        variables = self._variables(trainable=True)
        with tf.GradientTape() as tape:
            logits = self.model(self.inputs(x), training=True)
            loss = tf.reduce_sum(logits * tf.constant(weights))
        # A variable of Keras 3 has one of TensorFlow in it.
        tensors = [one if callable(getattr(one, "value", None)) else one.value for one in variables.values()]
        gradients = [np.asarray(gradient) for gradient in tape.gradient(loss, tensors)]
        moving = {name: array for name, array in self.values().items() if "moving" in name}
        return np.asarray(logits), self.seen(dict(zip(variables, gradients, strict=True))), self.seen(moving)

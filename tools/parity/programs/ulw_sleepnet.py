"""ULW-SleepNet: wzw999/ULW-SLEEPNET at ff5839b, Keras 2; of its script, only the functions."""

import ast

from sources import checkout, of

from keras_program import KERAS, KerasProgram  # isort: skip

import numpy as np
import tensorflow as tf

FUNCTIONS = ("CNN_light", "ResNet_light", "create_model_light")


class Reshaped(KerasProgram):
    """The script reads (n, n_channels, 3000) as (n, 3000, n_channels), which the model takes back."""

    def inputs(self, x: np.ndarray):
        """What the model is given."""
        return tf.constant(x.reshape(len(x), x.shape[-1], x.shape[-2]))


@of("wzw999/ULW-SLEEPNET", "ff5839b", KERAS)
def network(shape: tuple[int, ...]) -> Reshaped:
    """Of as many channels as the input has."""
    tf.keras.backend.set_floatx("float64")
    script = checkout("wzw999/ULW-SLEEPNET", "ff5839b", "train.py").read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(script).body if getattr(node, "name", "") in FUNCTIONS]
    keras = tf.keras
    names = {**vars(keras.layers), "Model": keras.Model, "Input": keras.Input, "l2": keras.regularizers.l2}
    keras.Model.summary = lambda *_, **__: None
    exec(compile(ast.Module(nodes, type_ignores=[]), "train.py", "exec"), names)
    model = names["create_model_light"](input_shape=(shape[-1], shape[-2]), channels=shape[-2])
    model.get_layer("Label").activation = keras.activations.linear
    return Reshaped(model)

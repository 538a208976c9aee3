"""SleepSatelightFT: ttlabtuat/sleep_satelight_ftc at 0e0e6c1, Keras 3."""

import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "0"

from sources import checkout, of
from variables import Shape

from keras_program import KERAS, KerasProgram  # isort: skip

import keras
import nitime.algorithms
import numpy as np

REPOSITORY = ("ttlabtuat/sleep_satelight_ftc", "0e0e6c1")


class Satelight(KerasProgram):
    """Given an epoch's signal at 50 Hz, and its spectrum as its data_loader makes it."""

    def inputs(self, x: np.ndarray) -> list:
        """What the model is given; two samples are averaged, as how theirs comes to 50 Hz is not said."""
        signal = x.reshape(*x.shape[:-1], -1, 2).mean(axis=-1)
        _, power, _ = nitime.algorithms.multi_taper_psd(signal, Fs=50)
        decibels = 20 * np.log10(np.sqrt(power[..., : signal.shape[-1] // 2]))
        return [keras.ops.convert_to_tensor(part[..., None]) for part in (signal, decibels)]


@of(*REPOSITORY, KERAS)
def network(shape: Shape) -> Satelight:
    """FT without the softmax at its end, of as many channels as the input has."""
    keras.backend.set_floatx("float64")
    sys.path.insert(0, str(checkout(*REPOSITORY, "ssft_tensorflow.py").parent))
    import ssft_tensorflow

    settings = ssft_tensorflow.load_model_params_from_config(str(checkout(*REPOSITORY, "config.yaml")))
    made = ssft_tensorflow.build_model(**settings | {"n_channels": shape[-2]})
    return Satelight(keras.Model(made.inputs, made.get_layer("output_dense2").output))

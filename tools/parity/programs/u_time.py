"""U-Time and U-Sleep: perslev/U-Time at e51be3f, Keras 2."""

from collections.abc import Mapping
from types import ModuleType

from sources import checkout, of, stand_in
from variables import Shape, View, positions

from keras_program import KERAS, KerasProgram  # isort: skip

import numpy as np
import tensorflow as tf


def _architecture(name: str) -> type:
    tf.keras.backend.set_floatx("float64")
    vars(np).update(int=int)  # NumPy had this
    for package in ("utime", "utime.utils", "utime.train", "utime.models"):
        stand_in(package)
    stand_in(
        "utime.train.utils",
        get_activation_function=lambda activation_string: getattr(tf.keras.activations, activation_string),
    )
    _run("utime.utils.conv_arithmetics", "utils/conv_arithmetics.py")
    return getattr(_run(f"utime.models.{name.lower()}", f"models/{name.lower()}.py"), name)


def _run(name: str, file: str) -> ModuleType:
    text = checkout("perslev/U-Time", "e51be3f", f"utime/{file}").read_text(encoding="utf-8")
    module = stand_in(name)
    exec(compile(text.replace("+= c % 2", "+= int((c % 2)[0])"), file, "exec"), vars(module))  # NumPy 2 takes no array
    return module


class UTime(KerasProgram):
    """Logits of a network whose input's shape is fixed."""

    def __init__(self, architecture: str, shape: Shape, **settings: object):
        batch, length, n_channels, n_samples = shape
        made = _architecture(architecture)(
            n_classes=5, batch_shape=[batch, length, n_samples, n_channels], no_log=True, **settings
        )
        made.get_layer("sequence_conv_out_2").activation = tf.keras.activations.linear
        super().__init__(made)


class USleep(UTime):
    """On its way up a skip connection stands before what comes from below; ours has it behind."""

    def views(self, shapes: Mapping[str, Shape]) -> dict[str, View]:
        """Their kernels behind the skip connections with the two halves of the inputs swapped."""
        kernels = [name for name in shapes if name.startswith("upsample") and name.endswith("conv2/kernel")]
        return {
            name: View((name,), np.roll(positions(shapes[name])[0], shapes[name][-2] // 2, axis=-2)) for name in kernels
        }


@of("perslev/U-Time", "e51be3f", KERAS)
def u_time(shape: Shape) -> UTime:
    """U-Time of complexity factor 1."""
    return UTime("UTime", shape, complexity_factor=1)


@of("perslev/U-Time", "e51be3f", KERAS)
def u_sleep(shape: Shape) -> USleep:
    """U-Sleep with kernels of 7 samples."""
    return USleep("USleep", shape, complexity_factor=1.67, kernel_size=7)

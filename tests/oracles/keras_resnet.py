"""The ResNets of Keras's example cifar10_resnet.py, built with the real Keras: what ours is held against.

Layers carry the names of our modules ("units.3.conv2" is "units_3_conv2"), so that weights can be copied by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.float64]]


def build_v1(depth: int, *, side: int = 32, channels: int = 3, classes: int = 10, l2: float = 1e-4) -> Any:
    """ResNet v1 of depth 6n+2."""
    layers = _Layers(l2)
    x = inputs = keras.Input((side, side, channels))
    x = layers.relu(layers.bn(layers.conv(x, 16, 3, 1, "stem"), "stem_bn"))
    unit = 0
    for stage in range(3):
        for block in range((depth - 2) // 6):
            stride = 2 if stage > 0 and block == 0 else 1
            filters, name = 16 * 2**stage, f"units_{unit}"
            y = layers.conv(x, filters, 3, stride, f"{name}_conv1")
            y = layers.relu(layers.bn(y, f"{name}_bn1"))
            y = layers.bn(layers.conv(y, filters, 3, 1, f"{name}_conv2"), f"{name}_bn2")
            if stage > 0 and block == 0:
                x = layers.conv(x, filters, 1, stride, f"{name}_shortcut")
            x = layers.relu(keras.layers.add([x, y]))
            unit += 1
    return layers.head(inputs, x, side=side, classes=classes)


def build_v2(depth: int, *, side: int = 32, channels: int = 3, classes: int = 10, l2: float = 1e-4) -> Any:
    """ResNet v2 of depth 9n+2."""
    layers = _Layers(l2)
    x = inputs = keras.Input((side, side, channels))
    x = layers.relu(layers.bn(layers.conv(x, 16, 3, 1, "stem"), "stem_bn"))
    inside, unit = 16, 0
    for stage in range(3):
        outside = inside * (4 if stage == 0 else 2)
        for block in range((depth - 2) // 9):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"units_{unit}"
            y = x if unit == 0 else layers.relu(layers.bn(x, f"{name}_bn1"))
            y = layers.relu(layers.bn(layers.conv(y, inside, 1, stride, f"{name}_conv1"), f"{name}_bn2"))
            y = layers.relu(layers.bn(layers.conv(y, inside, 3, 1, f"{name}_conv2"), f"{name}_bn3"))
            y = layers.conv(y, outside, 1, 1, f"{name}_conv3")
            if block == 0:
                x = layers.conv(x, outside, 1, stride, f"{name}_shortcut")
            x = keras.layers.add([x, y])
            unit += 1
        inside = outside
    return layers.head(inputs, layers.relu(layers.bn(x, "final_bn")), side=side, classes=classes)


class _Layers:
    def __init__(self, l2: float) -> None:
        self._l2 = l2

    def conv(self, x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
        return keras.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same",
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(self._l2),
            name=name,
        )(x)

    def bn(self, x: Any, name: str) -> Any:
        return keras.layers.BatchNormalization(name=name)(x)

    def relu(self, x: Any) -> Any:
        return keras.layers.Activation("relu")(x)

    def head(self, inputs: Any, x: Any, *, side: int, classes: int) -> Any:
        x = keras.layers.Flatten()(keras.layers.AveragePooling2D(side // 4)(x))
        outputs = keras.layers.Dense(classes, activation="softmax", kernel_initializer="he_normal", name="dense")(x)
        return keras.Model(inputs, outputs)


# --- weights by our names, in our layouts -------------------------------------------------------------------------

_PARAMETERS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_STATISTICS = {"moving_mean": "moving_mean", "moving_variance": "moving_variance"}


def weights(model: Any) -> dict[str, npt.NDArray[np.float64]]:
    """Return the trainable weights by our parameter names, in our shapes."""
    return {
        f"{_module(layer)}.{_PARAMETERS[variable.name]}": _ours(keras.ops.convert_to_numpy(variable))
        for layer in model.layers
        for variable in layer.trainable_variables
    }


def statistics(model: Any) -> dict[str, npt.NDArray[np.float64]]:
    """Return the moving statistics by our buffer names."""
    return {
        f"{_module(layer)}.{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in model.layers
        for variable in layer.non_trainable_variables
        if variable.name in _STATISTICS
    }


def set_weights(model: Any, ours: Arrays) -> None:
    """Write our weights (and moving statistics, where `ours` has them) into the Keras model."""
    for layer in model.layers:
        for variable in layer.variables:
            name = _PARAMETERS.get(variable.name, variable.name)
            value = ours.get(f"{_module(layer)}.{name}")
            if value is not None:
                variable.assign(_theirs(np.asarray(value)))


def _module(layer: Any) -> str:
    head, _, tail = str(layer.name).partition("_")
    if head != "units":
        return str(layer.name)
    number, _, part = tail.partition("_")
    return f"units.{number}.{part}"


def _ours(kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T


def _theirs(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T

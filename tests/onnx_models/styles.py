"""One small network as several tools export it: the same function, with the same weights, in other operators.

`torch` has one operator per layer. `keras` lies N H W C with transposes around what wants N C H W, adds biases by
themselves, and writes activations and norms in pieces, as tf2onnx leaves them without its optimizer. `pieces` is
N C H W in the small operators of old exporters, with what training left over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.onnx_models.small import Array, model, value

BATCH, SIZE, CLASSES = 2, 12, 5


class Style(ABC):
    """How layers are written; `weights` are drawn in the order of the layers, so that all styles have the same."""

    channels_last = False

    def __init__(self) -> None:
        self.random = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def draw(self, *shape: int, around: float = 0.0, spread: float = 0.3) -> Array:
        """A weight."""
        return self.random.normal(around, spread, shape).astype(np.float32)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """A constant."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        return name

    # --- layers -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def conv(self, x: str, w: Array, bias: Array | None, *, stride: int = 1, groups: int = 1) -> str:
        """A 3x3 or 1x1 convolution that keeps the size but for the stride."""

    @abstractmethod
    def batch_norm(self, x: str, gamma: Array, beta: Array, mean: Array, variance: Array) -> str:
        """A batch norm."""

    @abstractmethod
    def relu6(self, x: str) -> str:
        """Between 0 and 6."""

    @abstractmethod
    def hard_swish(self, x: str) -> str:
        """`x relu6(x + 3) / 6`."""

    @abstractmethod
    def silu(self, x: str) -> str:
        """`x sigmoid(x)`."""

    @abstractmethod
    def gelu(self, x: str) -> str:
        """`x / 2 (1 + erf(x / sqrt 2))`."""

    @abstractmethod
    def max_pool(self, x: str) -> str:
        """3x3 by 2, a row and a column of padding; x is not negative."""

    @abstractmethod
    def squeeze(self, x: str, w: Array, bias: Array) -> str:
        """A map times the hard sigmoid of a 1x1 convolution of its means."""

    @abstractmethod
    def flatten(self, x: str, shape: tuple[int, int, int]) -> str:
        """C H W in a row, in the order of this style."""

    @abstractmethod
    def dense(self, x: str, w: Array, bias: Array, maps: tuple[int, int, int] | None = None) -> str:
        """A fully connected layer; `maps` is the shape of what was flattened."""

    @abstractmethod
    def layer_norm(self, x: str, gamma: Array, beta: Array) -> str:
        """Over the features."""

    def softmax(self, x: str) -> str:
        """Over the classes."""
        return self.add("Softmax", x, axis=-1)

    # --- the network --------------------------------------------------------------------------------------------------

    def build(self) -> onnx.ModelProto:
        """The model."""
        draw = self.draw
        x = self.relu6(self.conv("image", draw(8, 3, 3, 3), draw(8), stride=2))
        y = self.conv(x, draw(8, 1, 3, 3), None, groups=8)
        y = self.batch_norm(y, draw(8, around=1), draw(8), draw(8), self.random.uniform(0.5, 2, 8).astype(np.float32))
        y = self.conv(self.hard_swish(y), draw(8, 8, 1, 1), draw(8))
        x = self.add("Relu", self.add("Add", y, x))
        x = self.max_pool(x)
        x = self.silu(self.squeeze(x, draw(8, 8, 1, 1), draw(8)))
        x = self.dense(self.flatten(x, (8, 3, 3)), draw(16, 72), draw(16), (8, 3, 3))
        x = self.layer_norm(self.gelu(x), draw(16, around=1), draw(16))
        x = self.softmax(self.dense(x, draw(CLASSES, 16), draw(CLASSES)))
        shape = [BATCH, SIZE, SIZE, 3] if self.channels_last else [BATCH, 3, SIZE, SIZE]
        return model(self.nodes, [value("image", shape)], [value(x, [BATCH, CLASSES])], self.constants)


class Torch(Style):
    """One operator per layer."""

    def conv(self, x: str, w: Array, bias: Array | None, *, stride: int = 1, groups: int = 1) -> str:
        inputs = [x, self.constant(w), *([] if bias is None else [self.constant(bias)])]
        half, kernel = w.shape[-1] // 2, list(w.shape[2:])
        return self.add(
            "Conv", *inputs, kernel_shape=kernel, pads=[half] * 4, strides=[stride] * 2, group=groups, dilations=[1, 1]
        )

    def batch_norm(self, x: str, gamma: Array, beta: Array, mean: Array, variance: Array) -> str:
        return self.add("BatchNormalization", x, *map(self.constant, (gamma, beta, mean, variance)), epsilon=1e-5)

    def relu6(self, x: str) -> str:
        return self.add("Clip", x, self.constant(0), self.constant(6))

    def hard_swish(self, x: str) -> str:
        return self.add("HardSwish", x)

    def silu(self, x: str) -> str:
        return self.add("Mul", x, self.add("Sigmoid", x))

    def gelu(self, x: str) -> str:
        erf = self.add("Erf", self.add("Div", x, self.constant(1.4142135)))
        return self.add("Mul", self.add("Mul", x, self.add("Add", erf, self.constant(1))), self.constant(0.5))

    def max_pool(self, x: str) -> str:
        return self.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])

    def squeeze(self, x: str, w: Array, bias: Array) -> str:
        gate = self.conv(self.add("GlobalAveragePool", x), w, bias)
        return self.add("Mul", x, self.add("HardSigmoid", gate, alpha=1 / 6, beta=0.5))

    def flatten(self, x: str, shape: tuple[int, int, int]) -> str:
        return self.add("Flatten", x, axis=1)

    def dense(self, x: str, w: Array, bias: Array, maps: tuple[int, int, int] | None = None) -> str:
        return self.add("Gemm", x, self.constant(w), self.constant(bias), transB=1)

    def layer_norm(self, x: str, gamma: Array, beta: Array) -> str:
        return self.add("LayerNormalization", x, self.constant(gamma), self.constant(beta), axis=-1, epsilon=1e-5)


def scale_and_shift(gamma: Array, beta: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
    """A batch norm as a product and a sum."""
    scale = gamma / np.sqrt(variance + 1e-5)
    return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)


class Keras(Style):
    """Maps N H W C, and everything around convolutions by itself."""

    channels_last = True

    def first(self, x: str) -> str:
        """To N C H W."""
        return self.add("Transpose", x, perm=[0, 3, 1, 2])

    def last(self, x: str) -> str:
        """Back."""
        return self.add("Transpose", x, perm=[0, 2, 3, 1])

    def conv(self, x: str, w: Array, bias: Array | None, *, stride: int = 1, groups: int = 1) -> str:
        half = w.shape[-1] // 2
        if half:
            pads = [0, half, half, 0, 0, half, half, 0]
            x = self.add("Pad", x, self.constant(pads, np.int64), self.constant(0), mode="constant")
        kernel = {"kernel_shape": list(w.shape[2:]), "strides": [stride] * 2, "group": groups}
        y = self.last(self.add("Conv", self.first(x), self.constant(w), **kernel))
        return y if bias is None else self.add("Add", y, self.constant(bias))

    def batch_norm(self, x: str, gamma: Array, beta: Array, mean: Array, variance: Array) -> str:
        scale, shift = scale_and_shift(gamma, beta, mean, variance)
        return self.add("Add", self.add("Mul", x, self.constant(scale)), self.constant(shift))

    def relu6(self, x: str) -> str:
        return self.add("Max", self.add("Min", x, self.constant(6)), self.constant(0))

    def hard_swish(self, x: str) -> str:
        inner = self.relu6(self.add("Add", x, self.constant(3)))
        return self.add("Mul", x, self.add("Mul", inner, self.constant(1 / 6)))

    def silu(self, x: str) -> str:
        return self.add("Mul", self.add("Sigmoid", x), x)

    def gelu(self, x: str) -> str:
        erf = self.add("Erf", self.add("Mul", x, self.constant(0.70710677)))
        half = self.add("Mul", self.constant(0.5), x)
        return self.add("Mul", half, self.add("Add", self.constant(1), erf))

    def max_pool(self, x: str) -> str:
        pads = self.constant([0, 1, 1, 0, 0, 1, 1, 0], np.int64)
        x = self.add("Pad", x, pads, self.constant(0), mode="constant")
        return self.last(self.add("MaxPool", self.first(x), kernel_shape=[3, 3], strides=[2, 2]))

    def squeeze(self, x: str, w: Array, bias: Array) -> str:
        mean = self.add("ReduceMean", x, axes=[1, 2], keepdims=0)
        mean = self.add("Reshape", mean, self.constant([-1, 1, 1, w.shape[1]], np.int64))
        gate = self.add("Add", self.conv(mean, w, bias), self.constant(3))
        return self.add("Mul", x, self.add("Div", self.relu6(gate), self.constant(6)))

    def flatten(self, x: str, shape: tuple[int, int, int]) -> str:
        return self.add("Reshape", x, self.constant([-1, int(np.prod(shape))], np.int64))

    def dense(self, x: str, w: Array, bias: Array, maps: tuple[int, int, int] | None = None) -> str:
        if maps is not None:
            w = w.reshape(len(w), *maps).transpose(0, 2, 3, 1).reshape(w.shape)
        return self.add("Add", self.add("MatMul", x, self.constant(w.T)), self.constant(bias))

    def layer_norm(self, x: str, gamma: Array, beta: Array) -> str:
        apart = self.add("Sub", x, self.add("ReduceMean", x, axes=[-1], keepdims=1))
        variance = self.add("ReduceMean", self.add("Mul", apart, apart), axes=[-1], keepdims=1)
        spread = self.add("Sqrt", self.add("Add", variance, self.constant(1e-5)))
        scaled = self.add("Mul", self.add("Div", apart, spread), self.constant(gamma))
        return self.add("Add", scaled, self.constant(beta))


class Pieces(Torch):
    """Small operators, and what training left over."""

    def conv(self, x: str, w: Array, bias: Array | None, *, stride: int = 1, groups: int = 1) -> str:
        y = super().conv(self.add("Identity", x), w, None, stride=stride, groups=groups)
        return y if bias is None else self.add("Add", self.constant(bias.reshape(1, -1, 1, 1)), y)

    def batch_norm(self, x: str, gamma: Array, beta: Array, mean: Array, variance: Array) -> str:
        scale = (gamma / np.sqrt(variance + 1e-5)).astype(np.float32)
        x = self.add("Sub", x, self.constant(mean.reshape(-1, 1, 1)))
        x = self.add("Mul", x, self.constant(scale.reshape(-1, 1, 1)))
        return self.add("Add", x, self.constant(beta.reshape(-1, 1, 1)))

    def relu6(self, x: str) -> str:
        return self.add("Min", self.add("Relu", x), self.constant([6]))

    def hard_swish(self, x: str) -> str:
        gate = self.add("Clip", self.add("Add", x, self.constant(3)), self.constant(0), self.constant(6))
        return self.add("Div", self.add("Mul", x, gate), self.constant([6]))

    def silu(self, x: str) -> str:
        return self.add("Div", x, self.add("Add", self.add("Exp", self.add("Neg", x)), self.constant(1)))

    def gelu(self, x: str) -> str:
        erf = self.add("Erf", self.add("Div", x, self.constant(1.4142)))
        gate = self.add("Mul", self.add("Add", erf, self.constant(1)), self.constant(0.5))
        return self.add("Mul", x, gate)

    def squeeze(self, x: str, w: Array, bias: Array) -> str:
        mean = self.add("ReduceMean", x, axes=[2, 3], keepdims=1)
        gate = self.add("Add", self.conv(mean, w, bias), self.constant(3))
        gate = self.add("Mul", self.relu6(gate), self.constant(0.16666667))
        return self.add("Mul", self.add("Dropout", x), gate)

    def flatten(self, x: str, shape: tuple[int, int, int]) -> str:
        count = self.add("Gather", self.add("Shape", x), self.constant(0, np.int64), axis=0)
        counts = self.add("Unsqueeze", count, self.constant([0], np.int64))
        return self.add("Reshape", x, self.add("Concat", counts, self.constant([-1], np.int64), axis=0))

    def dense(self, x: str, w: Array, bias: Array, maps: tuple[int, int, int] | None = None) -> str:
        return self.add("Add", self.constant(bias), self.add("MatMul", x, self.constant(w.T)))

    def layer_norm(self, x: str, gamma: Array, beta: Array) -> str:
        apart = self.add("Sub", x, self.add("ReduceMean", x, axes=[1], keepdims=1))
        square = self.add("Pow", apart, self.constant(2))
        variance = self.add("ReduceMean", square, axes=[1], keepdims=1)
        spread = self.add("Pow", self.add("Add", variance, self.constant([1e-5])), self.constant(0.5))
        scaled = self.add("Mul", self.constant(gamma), self.add("Div", apart, spread))
        return self.add("Add", scaled, self.constant(beta))


STYLES: dict[str, Callable[[], Style]] = {"torch": Torch, "keras": Keras, "pieces": Pieces}

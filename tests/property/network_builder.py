"""Builds float `nn` IR as the spec's builder makes it: named, located ops and their weights.

Weights are scaled so that activations stay near 1; their numbers come from one seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, StringAttr, TensorType, f32
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of, signed
from hapir.weights import WeightStore


@dataclass
class NetworkBuilder:
    """Appends named, located ops to a block and fills a weight store."""

    names: list[str]
    seed: int
    weights: WeightStore = field(default_factory=WeightStore)
    ops: list[Operation] = field(default_factory=list[Operation])

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.used: set[str] = set()

    def name(self, kind: str) -> str:
        """A layer name not used before: the next drawn one, else `kind` with a number."""
        while self.names:
            candidate = self.names.pop()
            if candidate not in self.used:
                break
        else:
            candidate = f"{kind}{len(self.used)}"
        self.used.add(candidate)
        return candidate

    def append(self, op: Operation) -> SSAValue:
        """Place an op on the next line of the imaginary spec; returns its first result."""
        return self.append_all(op)[0]

    def append_all(self, op: Operation) -> Sequence[SSAValue]:
        """Place an op on the next line of the imaginary spec; returns its results."""
        op.location = FileLineColLoc(StringAttr("sample.hap"), IntAttr(len(self.ops) + 3), IntAttr(5))
        self.ops.append(op)
        return op.results

    def weight(self, key: str, array: npt.NDArray[np.floating]) -> SSAValue:
        """A parameter with its array."""
        self.weights.put(key, array.astype(np.float32))
        return self.append(nn.WeightOp(key, TensorType(f32, array.shape)))

    def conv2d(self, x: SSAValue, channels: int, window: Window, groups: int = 1, bias: bool = True) -> SSAValue:
        """A convolution with normal weights scaled by the square root of the fan-in."""
        name = self.name("conv")
        shape = (channels, shape_of(x)[1] // groups, *window.kernel)
        fan_in = shape[1] * shape[2] * shape[3]
        w = self.weight(f"{name}.weight", self.rng.standard_normal(shape) / np.sqrt(fan_in))
        b = self.weight(f"{name}.bias", self.rng.standard_normal(channels) / 4) if bias else None
        return self.append(nn.Conv2dOp(x, w, b, window=window, groups=groups, layer=name))

    def conv1d(self, x: SSAValue, channels: int, window: Window, groups: int = 1, bias: bool = True) -> SSAValue:
        """A convolution along a sequence, scaled as `conv2d` is."""
        name = self.name("conv")
        shape = (channels, shape_of(x)[1] // groups, window.kernel[1])
        w = self.weight(f"{name}.weight", self.rng.standard_normal(shape) / np.sqrt(shape[1] * shape[2]))
        b = self.weight(f"{name}.bias", self.rng.standard_normal(channels) / 4) if bias else None
        return self.append(nn.Conv1dOp(x, w, b, window=window, groups=groups, layer=name))

    def gather_taps(self, x: SSAValue, taps: Sequence[int], window: Window) -> SSAValue:
        """Taps of a window, as channels."""
        name = self.name("taps")
        self.weights.put(f"{name}.index", np.array(taps, dtype=np.int32))
        index = self.append(nn.WeightOp(f"{name}.index", TensorType(signed(32), (len(taps),))))
        return self.append(nn.GatherTapsOp(x, index, window=window, layer=name))

    def gather(self, x: SSAValue, indices: npt.ArrayLike, axis: int) -> SSAValue:
        """Elements along an axis by constant indices."""
        name, index = self.name("gather"), np.asarray(indices, np.int32)
        self.weights.put(f"{name}.index", index)
        stored = self.append(nn.WeightOp(f"{name}.index", TensorType(signed(32), index.shape)))
        return self.append(nn.GatherOp(x, stored, axis=axis, layer=name))

    def transposed_conv2d(
        self, x: SSAValue, channels: int, window: Window, extra: tuple[int, int], groups: int, bias: bool
    ) -> SSAValue:
        """A transposed convolution; an output adds up at most as many products as the kernel has for each input."""
        name = self.name("up")
        c = shape_of(x)[1]
        shape = (c, channels // groups, *window.kernel)
        fan_in = c // groups * window.kernel[0] * window.kernel[1]
        w = self.weight(f"{name}.weight", self.rng.standard_normal(shape) / np.sqrt(fan_in))
        b = self.weight(f"{name}.bias", self.rng.standard_normal(channels) / 4) if bias else None
        return self.append(nn.TransposedConv2dOp(x, w, b, window=window, extra=extra, groups=groups, layer=name))

    def recurrent(
        self, kind: type[nn.RecurrentOp], x: SSAValue, units: int, bias: bool, reverse: bool
    ) -> nn.RecurrentOp:
        """A recurrent layer over N T C; returns the op, as it has several results."""
        name, rows = self.name("rnn"), kind.GATES * units
        shapes = {"weight_input": (rows, shape_of(x)[2]), "weight_hidden": (rows, units)}
        shapes |= {"bias_input": (rows,), "bias_hidden": (rows,)} if bias else {}
        w_input, w_hidden, *biases = (
            self.weight(f"{name}.{suffix}", self.rng.standard_normal(shape) / np.sqrt(shape[-1]))
            for suffix, shape in shapes.items()
        )
        op = kind(x, w_input, w_hidden, biases, reverse=reverse, layer=name)
        self.append(op)
        return op

    def layer_norm(self, x: SSAValue, axis: int) -> SSAValue:
        """A layer norm whose epsilon is so large that a constant input does not become noise."""
        name, shape = self.name("ln"), shape_of(x)[axis:]
        gamma = self.weight(f"{name}.gamma", self.rng.uniform(0.5, 1.5, shape))
        beta = self.weight(f"{name}.beta", self.rng.standard_normal(shape) / 4)
        return self.append(nn.LayerNormOp(x, gamma, beta, axis=axis, epsilon=0.1, layer=name))

    def dense(self, x: SSAValue, units: int, bias: bool = True) -> SSAValue:
        """A fully connected layer, flattening its input first where it is a map."""
        name = self.name("dense")
        if len(shape_of(x)) != 2:
            x = self.append(nn.FlattenOp(x, layer=f"{name}.flatten"))
        features = shape_of(x)[1]
        w = self.weight(f"{name}.weight", self.rng.standard_normal((units, features)) / np.sqrt(features))
        b = self.weight(f"{name}.bias", self.rng.standard_normal(units) / 4) if bias else None
        return self.append(nn.DenseOp(x, w, b, layer=name))

    def batch_norm(self, x: SSAValue) -> SSAValue:
        """A batch norm with gains of both signs and variances away from 0."""
        name, channels = self.name("bn"), shape_of(x)[1]
        parameters = {
            "gamma": self.rng.uniform(0.5, 1.5, channels) * self.rng.choice([-1, 1, 1, 1], channels),
            "beta": self.rng.standard_normal(channels) / 4,
            "mean": self.rng.standard_normal(channels) / 4,
            "variance": self.rng.uniform(0.5, 2.0, channels),
        }
        values = [self.weight(f"{name}.{key}", array) for key, array in parameters.items()]
        return self.append(nn.BatchNormOp(x, *values, epsilon=1e-5, layer=name))

    def finish(self, symbol: str, image: SSAValue, results: Sequence[tuple[str, SSAValue]]) -> nn.NetworkOp:
        """The network over all appended ops; `image` is the operand that stands for its input so far."""
        network = nn.NetworkOp(symbol, [("image", image.type)], [(name, v.type) for name, v in results])
        block = network.body.block
        block.add_ops(self.ops)
        returned = nn.ReturnOp([v for _, v in results])
        returned.location = FileLineColLoc(StringAttr("sample.hap"), IntAttr(len(self.ops) + 3), IntAttr(5))
        block.add_op(returned)
        image.replace_all_uses_with(block.args[0])
        network.location = FileLineColLoc(StringAttr("sample.hap"), IntAttr(1), IntAttr(1))
        network.verify()
        return network

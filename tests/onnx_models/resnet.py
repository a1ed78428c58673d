"""ResNet-18 and ResNet-50 (He et al., 2015) with random weights, as PyTorch exports them.

Exporters fold the batch norms of a trained network into its convolutions; `batch_norm = True` keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from tests.onnx_models.small import model, value

Array = npt.NDArray[Any]
STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
"""Blocks per stage by depth; 50 has blocks of three convolutions, the last four times as wide."""


@dataclass
class _Net:
    """Nodes and weights so far."""

    random: np.random.Generator
    batch_norm: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    weights: dict[str, Array] = field(default_factory=dict[str, Array])

    def add(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """A node with one output, called as PyTorch calls it."""
        output = f"/{name}_output_0"
        self.nodes.append(helper.make_node(op, inputs, [output], f"/{name}", **attributes))
        return output

    def weight(self, name: str, *shape: int, around: float = 0.0, spread: float = 0.1) -> str:
        """A weight of a normal distribution."""
        self.weights[name] = self.random.normal(around, spread, shape).astype(np.float32)
        return name

    def conv(self, x: str, name: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        """A convolution, with a bias or with a batch norm; variances are kept as they go through."""
        inner, outer = channels
        spread = (2 / (inner * kernel * kernel)) ** 0.5
        inputs = [x, self.weight(f"{name}.weight", outer, inner, kernel, kernel, spread=spread)]
        if not self.batch_norm:
            inputs.append(self.weight(f"{name}.bias", outer))
        pads, kernels, strides = [kernel // 2] * 4, [kernel, kernel], [stride, stride]
        place = name.replace(".", "/")
        y = self.add("Conv", inputs, f"{place}/Conv", kernel_shape=kernels, pads=pads, strides=strides, group=1)
        if not self.batch_norm:
            return y
        bn = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        scales = [self.weight(f"{bn}.weight", outer, around=1), self.weight(f"{bn}.bias", outer)]
        scales += [self.weight(f"{bn}.running_mean", outer), f"{bn}.running_var"]
        self.weights[scales[-1]] = self.random.uniform(0.5, 1.5, outer).astype(np.float32)
        return self.add("BatchNormalization", [y, *scales], f"{bn.replace('.', '/')}/BatchNormalization", epsilon=1e-5)

    def block(self, x: str, name: str, channels: tuple[int, int], stride: int, bottleneck: bool) -> str:
        """A residual block; the sum's other side has a convolution of its own where shapes differ."""
        inner, outer = channels
        place = name.replace(".", "/")
        if bottleneck:
            width = outer // 4
            shapes = [((inner, width), 1, 1), ((width, width), 3, stride), ((width, outer), 1, 1)]
        else:
            shapes = [((inner, outer), 3, stride), ((outer, outer), 3, 1)]
        y = x
        for number, (pair, kernel, step) in enumerate(shapes, 1):
            y = self.conv(y, f"{name}.conv{number}", pair, kernel, step)
            if number < len(shapes):
                y = self.add("Relu", [y], f"{place}/relu{'' if number == 1 else f'_{number - 1}'}/Relu")
        if inner != outer or stride != 1:
            x = self.conv(x, f"{name}.downsample.0", (inner, outer), 1, stride)
        return self.add("Relu", [self.add("Add", [y, x], f"{place}/Add")], f"{place}/relu_out/Relu")


def resnet(
    depth: int, *, size: int = 224, width: int = 64, classes: int = 1000, batch_norm: bool = False
) -> onnx.ModelProto:
    """A ResNet for images of `size`, its batch open; `width` is the number of channels of the first stage."""
    net = _Net(np.random.default_rng(depth), batch_norm)
    bottleneck = depth == 50
    x = net.conv("input", "conv1", (3, width), 7, 2)
    x = net.add("Relu", [x], "relu/Relu")
    x = net.add("MaxPool", [x], "maxpool/MaxPool", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    inner = width
    for stage, blocks in enumerate(STAGES[depth]):
        outer = (width << stage) * (4 if bottleneck else 1)
        for number in range(blocks):
            stride = 2 if stage and not number else 1
            x = net.block(x, f"layer{stage + 1}.{number}", (inner, outer), stride, bottleneck)
            inner = outer
    x = net.add("GlobalAveragePool", [x], "avgpool/GlobalAveragePool")
    x = net.add("Flatten", [x], "Flatten", axis=1)
    weights = [net.weight("fc.weight", classes, inner, spread=inner**-0.5), net.weight("fc.bias", classes)]
    net.nodes.append(helper.make_node("Gemm", [x, *weights], ["output"], "/fc/Gemm", alpha=1.0, beta=1.0, transB=1))
    return model(
        net.nodes,
        [value("input", ["batch_size", 3, size, size])],
        [value("output", ["batch_size", classes])],
        net.weights,
    )

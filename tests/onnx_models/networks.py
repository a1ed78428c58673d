"""Known networks with random weights, as PyTorch exports them: each takes its width and image size, so that tests may
build the same structure small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from tests.onnx_models.resnet import resnet
from tests.onnx_models.small import model, value

Array = npt.NDArray[Any]


@dataclass
class Net:
    """Nodes and weights so far; values are named like PyTorch names them."""

    seed: int
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    weights: dict[str, Array] = field(default_factory=dict[str, Array])
    opset: int = 17

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def add(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        output = f"/{name}_output_0"
        self.nodes.append(helper.make_node(op, list(inputs), [output], f"/{name}", **attributes))
        return output

    def weight(self, name: str, *shape: int, around: float = 0.0, spread: float = 0.1) -> str:
        """A weight of a normal distribution."""
        self.weights[name] = self.random.normal(around, spread, shape).astype(np.float32)
        return name

    def constant(self, name: str, array: Any, dtype: Any = np.int64) -> str:
        """A constant that is no weight."""
        self.weights[name] = np.asarray(array, dtype)
        return name

    def conv(
        self, x: str, name: str, channels: tuple[int, int], kernel: int = 1, *, stride: int = 1, groups: int = 1,
        padding: int | None = None, bias: bool = True,
    ) -> str:  # fmt: skip
        """A convolution that keeps the variance."""
        inner, outer = channels
        spread = (2 * groups / (inner * kernel * kernel)) ** 0.5
        inputs = [x, self.weight(f"{name}.weight", outer, inner // groups, kernel, kernel, spread=spread)]
        inputs += [self.weight(f"{name}.bias", outer)] if bias else []
        pads = [kernel // 2 if padding is None else padding] * 4
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads, "group": groups}
        return self.add("Conv", f"{name.replace('.', '/')}/Conv", *inputs, **attributes)

    def batch_norm(self, x: str, name: str, channels: int) -> str:
        """A batch norm, unfused."""
        inputs = [self.weight(f"{name}.weight", channels, around=1), self.weight(f"{name}.bias", channels)]
        inputs += [self.weight(f"{name}.running_mean", channels), f"{name}.running_var"]
        self.weights[inputs[-1]] = self.random.uniform(0.5, 1.5, channels).astype(np.float32)
        return self.add("BatchNormalization", f"{name.replace('.', '/')}/BatchNormalization", x, *inputs, epsilon=1e-5)

    def gemm(self, x: str, name: str, shape: tuple[int, int]) -> str:
        """A fully connected layer."""
        inner, outer = shape
        weight = self.weight(f"{name}.weight", outer, inner, spread=inner**-0.5)
        return self.add(
            "Gemm", f"{name.replace('.', '/')}/Gemm", x, weight, self.weight(f"{name}.bias", outer), transB=1
        )

    def done(self, output: str, inputs: list[onnx.ValueInfoProto], shape: list[int | str]) -> onnx.ModelProto:
        """The model whose output is this value, that of the last node."""
        assert self.nodes[-1].output[0] == output
        self.nodes[-1].output[0] = "output"
        return model(self.nodes, inputs, [value("output", shape)], self.weights)


def _image(channels: int, size: int) -> list[onnx.ValueInfoProto]:
    return [value("input", ["batch_size", channels, size, size])]


def lenet() -> onnx.ModelProto:
    """LeNet-5 (LeCun et al., 1998) for images of 28 x 28."""
    net = Net(1)
    x = net.add("Relu", "relu/Relu", net.conv("input", "conv1", (1, 6), 5))
    x = net.add("MaxPool", "pool/MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Relu", "relu_1/Relu", net.conv(x, "conv2", (6, 16), 5, padding=0))
    x = net.add("MaxPool", "pool_1/MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Flatten", "Flatten", x, axis=1)
    x = net.add("Relu", "relu_2/Relu", net.gemm(x, "fc1", (400, 120)))
    x = net.add("Relu", "relu_3/Relu", net.gemm(x, "fc2", (120, 84)))
    return net.done(net.gemm(x, "fc3", (84, 10)), _image(1, 28), ["batch_size", 10])


def vgg16(*, width: int = 64, size: int = 224, classes: int = 1000, hidden: int = 4096) -> onnx.ModelProto:
    """VGG-16 (Simonyan and Zisserman, 2014): thirteen convolutions, three fully connected layers, dropout left in."""
    net, x, inner, number = Net(16), "input", 3, 0
    for stage, count in enumerate((2, 2, 3, 3, 3)):
        outer = width << min(stage, 3)
        for _ in range(count):
            x = net.conv(x, f"features.{number}", (inner, outer), 3)
            x = net.add("Relu", f"features/features.{number + 1}/Relu", x)
            inner, number = outer, number + 2
        x = net.add("MaxPool", f"features/features.{number}/MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        number += 1
    x = net.add("Flatten", "Flatten", x, axis=1)
    features = inner * (size // 32) ** 2
    for place, shape in ((0, (features, hidden)), (3, (hidden, hidden))):
        x = net.add("Relu", f"classifier/classifier.{place + 1}/Relu", net.gemm(x, f"classifier.{place}", shape))
        x = net.add("Dropout", f"classifier/classifier.{place + 2}/Dropout", x)
    return net.done(net.gemm(x, "classifier.6", (hidden, classes)), _image(3, size), ["batch_size", classes])


def mobilenet_v2(*, width: int = 32, size: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """MobileNetV2 (Sandler et al., 2018): inverted residuals, ReLU6 as Clip with its bounds as constants."""
    net = Net(2)
    low, high = net.constant("low", 0, np.float32), net.constant("high", 6, np.float32)

    def clip(x: str, name: str) -> str:
        return net.add("Clip", f"{name}/Clip", x, low, high)

    x, inner = (
        clip(net.conv("input", "features.0.0", (3, width), 3, stride=2), "features/features.0/features.0.2"),
        width,
    )
    settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    number = 1
    for expand, channels, count, first in settings:
        outer = channels * width // 32
        for turn in range(count):
            name, stride, hidden, y = f"features.{number}.conv", first if turn == 0 else 1, inner * expand, x
            place = 0
            if expand > 1:
                y = clip(net.conv(y, f"{name}.0.0", (inner, hidden)), f"{name.replace('.', '/')}/0")
                place = 1
            y = net.conv(y, f"{name}.{place}.0", (hidden, hidden), 3, stride=stride, groups=hidden)
            y = net.conv(clip(y, f"{name.replace('.', '/')}/{place}"), f"{name}.{place + 1}", (hidden, outer))
            x = net.add("Add", f"features/features.{number}/Add", x, y) if stride == 1 and inner == outer else y
            inner, number = outer, number + 1
    x = clip(net.conv(x, f"features.{number}.0", (inner, 40 * width)), f"features/features.{number}")
    x = net.add("ReduceMean", "ReduceMean", x, axes=[2, 3], keepdims=0)
    return net.done(net.gemm(x, "classifier.1", (40 * width, classes)), _image(3, size), ["batch_size", classes])


def densenet121(*, growth: int = 32, size: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """DenseNet-121 (Huang et al., 2017): batch norms before the convolutions, concatenations that grow."""
    net, channels = Net(121), 2 * growth
    x = net.conv("input", "features.conv0", (3, channels), 7, stride=2, bias=False)
    x = net.add("Relu", "features/relu0/Relu", net.batch_norm(x, "features.norm0", channels))
    x = net.add("MaxPool", "features/pool0/MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, count in enumerate((6, 12, 24, 16), 1):
        parts = [x]
        for layer in range(1, count + 1):
            name = f"features.denseblock{stage}.denselayer{layer}"
            place = name.replace(".", "/")
            y = parts[0] if layer == 1 else net.add("Concat", f"{place}/Concat", *parts, axis=1)
            y = net.add("Relu", f"{place}/relu1/Relu", net.batch_norm(y, f"{name}.norm1", channels))
            y = net.conv(y, f"{name}.conv1", (channels, 4 * growth), bias=False)
            y = net.add("Relu", f"{place}/relu2/Relu", net.batch_norm(y, f"{name}.norm2", 4 * growth))
            parts.append(net.conv(y, f"{name}.conv2", (4 * growth, growth), 3, bias=False))
            channels += growth
        x = net.add("Concat", f"features/denseblock{stage}/Concat", *parts, axis=1)
        if stage < 4:
            name = f"features.transition{stage}"
            x = net.add("Relu", f"{name.replace('.', '/')}/relu/Relu", net.batch_norm(x, f"{name}.norm", channels))
            x, channels = net.conv(x, f"{name}.conv", (channels, channels // 2), bias=False), channels // 2
            pooled = {
                "kernel_shape": [2, 2],
                "strides": [2, 2],
                "pads": [0] * 4,
                "ceil_mode": 0,
                "count_include_pad": 1,
            }
            x = net.add("AveragePool", f"{name.replace('.', '/')}/pool/AveragePool", x, **pooled)
    x = net.add("Relu", "Relu", net.batch_norm(x, "features.norm5", channels))
    x = net.add("GlobalAveragePool", "GlobalAveragePool", x)
    x = net.add("Flatten", "Flatten", x, axis=1)
    return net.done(net.gemm(x, "classifier", (channels, classes)), _image(3, size), ["batch_size", classes])


def squeezenet(*, width: int = 16, size: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """SqueezeNet 1.1 (Iandola et al., 2016): fire modules, pools that round up, a convolution at the end."""
    net = Net(11)
    x = net.add(
        "Relu", "features/features.1/Relu", net.conv("input", "features.0", (3, 4 * width), 3, stride=2, padding=0)
    )
    inner, number = 4 * width, 2
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0] * 4, "ceil_mode": 1}
    for squeeze in (None, 1, 1, None, 2, 2, None, 3, 3, 4, 4):
        name = f"features.{number}"
        place = f"features/{name}"
        if squeeze is None:
            x = net.add("MaxPool", f"{place}/MaxPool", x, **pool)
        else:
            narrow, wide = squeeze * width, 4 * squeeze * width
            y = net.add("Relu", f"{place}/squeeze_activation/Relu", net.conv(x, f"{name}.squeeze", (inner, narrow)))
            halves = [
                net.add(
                    "Relu",
                    f"{place}/expand{k}x{k}_activation/Relu",
                    net.conv(y, f"{name}.expand{k}x{k}", (narrow, wide), k),
                )
                for k in (1, 3)
            ]
            x, inner = net.add("Concat", f"{place}/Concat", *halves, axis=1), 2 * wide
        number += 1
    x = net.add("Dropout", "classifier/classifier.0/Dropout", x)
    x = net.add("Relu", "classifier/classifier.2/Relu", net.conv(x, "classifier.1", (inner, classes)))
    x = net.add("GlobalAveragePool", "classifier/classifier.3/GlobalAveragePool", x)
    return net.done(net.add("Flatten", "Flatten", x, axis=1), _image(3, size), ["batch_size", classes])


def lstm(*, length: int = 12, features: int = 20, units: int = 32, classes: int = 5) -> onnx.ModelProto:
    """Two layers of an LSTM, the second in both directions, and a classifier of the last step."""
    net = Net(7)
    x = net.add("Transpose", "Transpose", "input", perm=[1, 0, 2])
    inner = features
    for layer, directions in enumerate((1, 2)):
        names = [f"lstm{layer}.{part}" for part in ("W", "R", "B")]
        shapes = ((directions, 4 * units, inner), (directions, 4 * units, units), (directions, 8 * units))
        given = [net.weight(name, *shape, spread=units**-0.5) for name, shape in zip(names, shapes, strict=True)]
        way = "bidirectional" if directions == 2 else "forward"
        x = net.add("LSTM", f"lstm{layer}/LSTM", x, *given, hidden_size=units, direction=way)
        x = net.add("Transpose", f"lstm{layer}/Transpose", x, perm=[0, 2, 1, 3])
        x = net.add("Reshape", f"lstm{layer}/Reshape", x, net.constant(f"lstm{layer}.shape", [0, 0, -1]))
        inner = directions * units
    x = net.add("Gather", "Gather", x, net.constant("last", -1), axis=0)
    return net.done(
        net.gemm(x, "fc", (inner, classes)), [value("input", ["batch_size", length, features])], ["batch_size", classes]
    )


def transformer(*, length: int = 8, width: int = 16, heads: int = 2, layers: int = 2) -> onnx.ModelProto:
    """An encoder (Vaswani et al., 2017): layer norms and GELU as exporters before opset 17 write them, in pieces."""
    net, size = Net(9), width // heads
    x = "input"

    def linear(x: str, name: str, inner: int, outer: int) -> str:
        weight = net.weight(f"{name}.weight", inner, outer, spread=inner**-0.5)
        y = net.add("MatMul", f"{name.replace('.', '/')}/MatMul", x, weight)
        return net.add("Add", f"{name.replace('.', '/')}/Add", net.weight(f"{name}.bias", outer), y)

    def norm(x: str, name: str) -> str:
        place = name.replace(".", "/")
        mean = net.add("ReduceMean", f"{place}/ReduceMean", x, axes=[-1])
        apart = net.add("Sub", f"{place}/Sub", x, mean)
        square = net.add("Pow", f"{place}/Pow", apart, net.constant(f"{name}.two", 2, np.float32))
        variance = net.add("ReduceMean", f"{place}/ReduceMean_1", square, axes=[-1])
        root = net.add(
            "Sqrt",
            f"{place}/Sqrt",
            net.add("Add", f"{place}/Add", variance, net.constant(f"{name}.epsilon", 1e-5, np.float32)),
        )
        y = net.add("Div", f"{place}/Div", apart, root)
        y = net.add("Mul", f"{place}/Mul", y, net.weight(f"{name}.weight", width, around=1))
        return net.add("Add", f"{place}/Add_1", y, net.weight(f"{name}.bias", width))

    def gelu(x: str, place: str) -> str:
        y = net.add("Div", f"{place}/Div", x, net.constant(f"{place}.root", 2**0.5, np.float32))
        y = net.add(
            "Add", f"{place}/Add", net.add("Erf", f"{place}/Erf", y), net.constant(f"{place}.one", 1, np.float32)
        )
        y = net.add("Mul", f"{place}/Mul", x, y)
        return net.add("Mul", f"{place}/Mul_1", y, net.constant(f"{place}.half", 0.5, np.float32))

    def split(x: str, name: str, order: list[int]) -> str:
        shape = net.constant(f"{name}.shape", [0, length, heads, size])
        return net.add("Transpose", f"{name}/Transpose", net.add("Reshape", f"{name}/Reshape", x, shape), perm=order)

    for layer in range(layers):
        name = f"layers.{layer}"
        place = f"layers/{layer}"
        q, k, v = (linear(x, f"{name}.{part}", width, width) for part in ("q", "k", "v"))
        q, v = (split(y, f"{place}/{part}", [0, 2, 1, 3]) for part, y in (("q", q), ("v", v)))
        scores = net.add("MatMul", f"{place}/MatMul", q, split(k, f"{place}/k", [0, 2, 3, 1]))
        scores = net.add("Div", f"{place}/Div", scores, net.constant(f"{name}.scale", size**0.5, np.float32))
        y = net.add("MatMul", f"{place}/MatMul_1", net.add("Softmax", f"{place}/Softmax", scores, axis=-1), v)
        y = net.add("Transpose", f"{place}/Transpose", y, perm=[0, 2, 1, 3])
        y = net.add("Reshape", f"{place}/Reshape", y, net.constant(f"{name}.joined", [0, length, width]))
        x = norm(net.add("Add", f"{place}/Add", x, linear(y, f"{name}.out", width, width)), f"{name}.norm1")
        y = linear(gelu(linear(x, f"{name}.up", width, 4 * width), f"{place}/gelu"), f"{name}.down", 4 * width, width)
        x = norm(net.add("Add", f"{place}/Add_1", x, y), f"{name}.norm2")
    return net.done(x, [value("input", ["batch_size", length, width])], ["batch_size", length, width])


SMALL: dict[str, Callable[[], onnx.ModelProto]] = {
    "lenet": lenet,
    "resnet18": lambda: resnet(18, size=32, width=8, classes=10, batch_norm=True),
    "resnet50": lambda: resnet(50, size=32, width=8, classes=10, batch_norm=True),
    "mobilenet_v2": lambda: mobilenet_v2(width=8, size=32, classes=10),
    "vgg16": lambda: vgg16(width=4, size=32, classes=10, hidden=32),
    "densenet121": lambda: densenet121(growth=4, size=32, classes=10),
    "squeezenet": lambda: squeezenet(width=4, size=64, classes=10),
    "lstm": lstm,
    "transformer": transformer,
}
"""The structures, narrow and for small images."""

WHOLE: dict[str, Callable[[], onnx.ModelProto]] = {
    "resnet18": lambda: resnet(18, batch_norm=True),
    "resnet50": lambda: resnet(50),
    "mobilenet_v2": mobilenet_v2,
    "vgg16": vgg16,
    "densenet121": densenet121,
    "squeezenet": squeezenet,
}
"""The networks as published."""

"""Networks, weights and data files that nobody means to have: what the test of odd networks takes through all passes.

A network is a shape (which layers it has) filled with an oddity (what is wrong with its weights).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from tests.property.network_builder import NetworkBuilder
from tests.property.strategies import Sample

Floats = npt.NDArray[np.float64]
SAME = Window((3, 3), padding=(1, 1, 1, 1))
POINT = Window((1, 1))
CLASSES = 3


def _zero_filter(w: Floats, _: np.random.Generator) -> Floats:
    w[0] = 0
    return w


def _one(value: float) -> Callable[[Floats, np.random.Generator], Floats]:
    """One weight is another number."""

    def change(w: Floats, rng: np.random.Generator) -> Floats:
        w.flat[rng.integers(w.size)] = value
        return w

    return change


def _all(value: float) -> Callable[[Floats, np.random.Generator], Floats]:
    return lambda w, _: np.full_like(w, value)


ODDITIES: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "zeros": _all(0.0),
    "zero filter": _zero_filter,
    "nan": _one(np.nan),
    "inf": _one(np.inf),
    "minus inf": _one(-np.inf),
    "equal": _all(0.25),
    "subnormal": lambda w, rng: rng.choice([-1e-45, 0.0, 1e-45, 3e-45], w.shape),
    "tiny": lambda w, _: w * 1e-38,
    "huge": lambda w, rng: rng.choice([-3e38, 3e38, 1e38], w.shape),
    "outlier": _one(1e6),
    "huge outlier": _one(3e38),
    "grid": lambda w, rng: rng.integers(-4, 5, w.shape) / 4,
    "pruned": lambda w, rng: np.where(rng.random(w.shape) < 0.95, 0.0, w),
}
"""What becomes of each weight of a network."""

NOT_FINITE = frozenset(("nan", "inf", "minus inf"))
"""Oddities that every pass that reads weights refuses."""


BEYOND_SUMS = frozenset(("huge", "huge outlier"))
"""Oddities whose sums leave f32, or not, by the order of additions."""


def _image(*shape: int) -> SSAValue:
    return nn.WeightOp("image", TensorType(f32, shape)).result


def _sample(build: NetworkBuilder, image: SSAValue, result: SSAValue, *shape: int) -> Sample:
    return Sample(build.finish("odd", image, [("y", result)]), build.weights, shape)


def _chain(seed: int) -> Sample:
    """Convolution, batch norm, ReLU, depthwise, grouped and plain convolutions with an add, pool, dense."""
    build, image = NetworkBuilder([], seed), _image(1, 1, 6, 6)
    x = build.append(nn.ReluOp(build.batch_norm(build.conv2d(image, 4, SAME, bias=False)), layer=build.name("relu")))
    skip = x
    x = build.append(nn.ReluOp(build.conv2d(x, 4, SAME, groups=4), layer=build.name("relu")))
    x = build.append(nn.AddOp(build.conv2d(x, 4, POINT), skip, layer=build.name("add")))
    x = build.append(nn.ReluOp(build.conv2d(x, 8, SAME, groups=2), layer=build.name("relu")))
    x = build.append(nn.MaxPoolOp(x, window=Window((2, 2), stride=(2, 2)), layer=build.name("pool")))
    return _sample(build, image, build.dense(x, CLASSES), 1, 1, 6, 6)


def _bare(seed: int) -> Sample:
    """No bias, no activation: two convolutions and a dense layer."""
    build, image = NetworkBuilder([], seed), _image(1, 2, 4, 4)
    x = build.conv2d(build.conv2d(image, 4, SAME, bias=False), 8, Window((3, 3)), bias=False)
    return _sample(build, image, build.dense(x, CLASSES, bias=False), 1, 2, 4, 4)


def _tiny(seed: int) -> Sample:
    """Layers of one weight: a 1 x 1 convolution of one channel, a dense layer of one input and one output."""
    build, image = NetworkBuilder([], seed), _image(1, 1, 1, 1)
    x = build.append(nn.ReluOp(build.conv2d(image, 1, POINT), layer=build.name("relu")))
    return _sample(build, image, build.dense(x, 1), 1, 1, 1, 1)


def _transposed(seed: int) -> Sample:
    """Transposed convolutions, one of them in groups, in front of a dense layer."""
    build, image = NetworkBuilder([], seed), _image(1, 2, 3, 3)
    x = build.transposed_conv2d(image, 4, Window((2, 2), stride=(2, 2)), (0, 0), 1, True)
    x = build.append(nn.ReluOp(x, layer=build.name("relu")))
    x = build.transposed_conv2d(x, 2, Window((2, 2)), (0, 0), 2, False)
    return _sample(build, image, build.dense(x, CLASSES), 1, 2, 3, 3)


def _recurrent(seed: int) -> Sample:
    """A GRU behind an LSTM, and a layer norm."""
    build, image = NetworkBuilder([], seed), _image(1, 3, 2)
    x = build.recurrent(nn.LstmOp, image, 2, bias=True, reverse=False).results[0]
    x = build.layer_norm(build.recurrent(nn.GruOp, x, 2, bias=False, reverse=True).results[0], 2)
    return _sample(build, image, build.dense(x, CLASSES), 1, 3, 2)


def _sequence(seed: int) -> Sample:
    """Convolutions along a sequence."""
    build, image = NetworkBuilder([], seed), _image(1, 2, 6)
    x = build.conv1d(image, 4, Window((1, 3)))
    x = build.append(nn.ReluOp(build.batch_norm(x), layer=build.name("relu")))
    return _sample(build, image, build.dense(build.conv1d(x, 4, Window((1, 2)), groups=2), CLASSES), 1, 2, 6)


def _weightless(seed: int) -> Sample:
    """Nothing with weights."""
    build, image = NetworkBuilder([], seed), _image(1, 3, 2, 2)
    x = build.append(nn.ReluOp(image, layer=build.name("relu")))
    x = build.append(nn.GlobalAvgPoolOp(x, layer=build.name("pool")))
    return _sample(build, image, build.append(nn.FlattenOp(x, layer=build.name("flatten"))), 1, 3, 2, 2)


SHAPES: dict[str, Callable[[int], Sample]] = {
    "chain": _chain,
    "bare": _bare,
    "tiny": _tiny,
    "transposed": _transposed,
    "recurrent": _recurrent,
    "sequence": _sequence,
    "weightless": _weightless,
}
"""Networks by what layers they have."""


def odd_sample(shape: str, oddity: str | None, seed: int = 0) -> Sample:
    """A network with something wrong with its weights; biases and norms stay."""
    sample, rng = SHAPES[shape](seed), np.random.default_rng(seed)
    if oddity is not None:
        for key, array in list(sample.weights.items()):
            if ".weight" in key:
                changed = ODDITIES[oddity](array.astype(np.float64), rng)
                sample.weights.put(key, changed.astype(np.float32))
    return sample


IMAGES = 4


def good_data(sample: Sample, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """Inputs and labels as they should be."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, CLASSES if sample.input_shape != (1, 1, 1, 1) else 1, IMAGES)
    return {**sample.inputs(IMAGES, seed), "label": label}


def _images(change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return lambda data: {**data, "image": change(data["image"])}


def _labels(change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return lambda data: {**data, "label": change(data["label"])}


def _with(array: npt.NDArray[Any], value: float) -> npt.NDArray[Any]:
    array = array.copy()
    array.flat[-1] = value
    return array


DATA: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "all 0": _images(np.zeros_like),
    "all 1": _images(np.ones_like),
    "all -1": _images(lambda x: -np.ones_like(x)),
    "one image": lambda data: {name: array[:1] for name, array in data.items()},
    "no images": lambda data: {name: array[:0] for name, array in data.items()},
    "wrong shape": _images(lambda x: x[..., np.newaxis]),
    "one axis": _images(lambda x: x.ravel()),
    "a number": _images(lambda x: np.float32(1)),  # pyright: ignore[reportArgumentType]  # an array without axes
    "nan": _images(lambda x: _with(x, np.nan)),
    "inf": _images(lambda x: _with(x, np.inf)),
    "beyond f32": _images(lambda x: _with(x.astype(np.float64), 1e300)),
    "huge": _images(lambda x: _with(x, 3e38)),
    "subnormal": _images(lambda x: np.full_like(x, 1e-45)),
    "whole numbers": _images(lambda x: (x * 4).astype(np.int64)),
    "complex": _images(lambda x: x.astype(np.complex64)),
    "text": _images(lambda x: np.full(x.shape, "a")),
    "other name": lambda data: {"picture": data["image"], "label": data["label"]},
    "no labels": lambda data: {"image": data["image"]},
    "labels out of range": _labels(lambda y: y + 100),
    "labels below 0": _labels(lambda y: -1 - y),
    "real labels": _labels(lambda y: y.astype(np.float32)),
    "labels of the wrong count": _labels(lambda y: np.concatenate([y, y])),
    "labels one-hot": _labels(lambda y: np.eye(100, dtype=np.int64)[y]),
    "nothing": lambda data: {},
}
"""What becomes of a data file."""

BROKEN_FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_bytes(b"hello, world" * 9),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "objects": lambda path: np.savez(path, image=np.array([{}, {}], dtype=object)),
    "one array": lambda path: path.write_bytes(_npy()),
}
"""What becomes of the file itself."""


def _npy() -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()

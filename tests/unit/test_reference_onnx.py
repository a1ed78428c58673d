"""The reference against onnxruntime, an implementation nobody here wrote, on random shapes.

Floats must agree within 1e-5 of the largest output (the orders of accumulation differ). Integer accumulators must be
equal. Where onnxruntime requantizes it multiplies in f32, so there the rule is: equal, or one step apart where the
exact value lies within 1e-3 of a tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, ValueInfoProto, helper

from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import Rounding
from hapir.reference import nn, nn_elementwise, nn_reductions, num
from tests.property.windows import windows

Array = npt.NDArray[Any]

EXAMPLES = settings(max_examples=60, deadline=None)
ort: Any = import_module("onnxruntime")  # it brings no types
SESSION = ort.SessionOptions()
SESSION.intra_op_num_threads = 1
SESSION.log_severity_level = 3


def onnx(kind: str, inputs: Mapping[str, Array], **attributes: Any) -> Array:
    """The first result of one ONNX node; `inputs` as for `onnx_all`."""
    return onnx_all(kind, inputs, 1, **attributes)[0]


def onnx_all(kind: str, inputs: Mapping[str, Array], count: int, **attributes: Any) -> list[Array]:
    """The results of one ONNX node; `inputs` in the node's order, a blank name stands for an input left out."""
    present = {name: array for name, array in inputs.items() if name.strip()}
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in present.items()
    ]
    results = [ValueInfoProto(name=f"result{i}") for i in range(count)]  # onnxruntime infers their types
    names = [result.name for result in results]
    node = helper.make_node(kind, [name.strip() for name in inputs], names, **attributes)
    graph = helper.make_graph([node], "one_node", given, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return onnxruntime_results(model, present)


def onnxruntime_results(model: ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """What onnxruntime computes."""
    session = ort.InferenceSession(model.SerializeToString(), SESSION, ["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, dict(inputs))]


def assert_close(found: Array, expected: Array) -> None:
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-5 * max(1.0, float(np.abs(expected).max()))


def window_attributes(window: Window, *, dilated: bool = True) -> dict[str, list[int]]:
    attributes = {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "pads": list(window.padding),
    }
    return attributes | ({"dilations": list(window.dilation)} if dilated else {})


@dataclass(frozen=True)
class Convolution:
    """A drawn convolution: shapes, window, and the seed of its numbers."""

    batch: int
    channels: int
    height: int
    width: int
    filters: int
    groups: int
    window: Window
    seed: int

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.batch, self.channels, self.height, self.width

    @property
    def w_shape(self) -> tuple[int, ...]:
        return self.filters, self.channels // self.groups, *self.window.kernel

    def attributes(self) -> dict[str, Any]:
        return {**window_attributes(self.window), "group": self.groups}


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    channels, filters = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 4))
    height, width = draw(st.integers(1, 10)), draw(st.integers(1, 10))
    window = draw(windows(height, width))
    seed = draw(st.integers(0, 2**16))
    return Convolution(draw(st.integers(1, 3)), channels, height, width, filters, groups, window, seed)


@EXAMPLES
@given(convolutions())
def test_conv2d(case: Convolution) -> None:
    rng = np.random.default_rng(case.seed)
    x, w, b = (rng.standard_normal(s, dtype=np.float32) for s in (case.x_shape, case.w_shape, (case.filters,)))
    expected = onnx("Conv", {"x": x, "w": w, "b": b}, **case.attributes())
    assert_close(nn.conv2d(x, w, b, case.window, case.groups), expected)


MAPS = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
SEEDS = st.integers(0, 2**16)


@EXAMPLES
@given(st.data(), MAPS, SEEDS, st.sampled_from((np.float32, np.uint8, np.int8)))
def test_max_pool(data: st.DataObject, shape: tuple[int, int, int, int], seed: int, dtype: type[Any]) -> None:
    window = data.draw(windows(*shape[2:], pooling=True))
    x = (40 * np.random.default_rng(seed).standard_normal(shape)).astype(np.int64).astype(dtype)
    expected = onnx("MaxPool", {"x": x}, **window_attributes(window))
    found = nn.max_pool(x, window)
    assert found.dtype == dtype
    assert np.array_equal(found, expected)


@EXAMPLES
@given(st.data(), MAPS, SEEDS, st.booleans())
def test_avg_pool(data: st.DataObject, shape: tuple[int, int, int, int], seed: int, include: bool) -> None:
    window = data.draw(windows(*shape[2:], pooling=True))
    x = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    attributes = window_attributes(window, dilated=False)
    expected = onnx("AveragePool", {"x": x}, count_include_pad=int(include), **attributes)
    assert_close(nn.avg_pool(x, window, include), expected)


@EXAMPLES
@given(MAPS, SEEDS)
def test_global_pools_and_batch_norm(shape: tuple[int, int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape, dtype=np.float32)
    assert_close(nn.global_avg_pool(x), onnx("GlobalAveragePool", {"x": x}))
    assert np.array_equal(nn.global_max_pool(x), onnx("GlobalMaxPool", {"x": x}))
    gamma, beta, mean = (rng.standard_normal(shape[1], dtype=np.float32) for _ in range(3))
    variance = rng.uniform(0.1, 3, shape[1]).astype(np.float32)
    inputs = {"x": x, "gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    expected = onnx("BatchNormalization", inputs, epsilon=1e-3)
    assert_close(nn.batch_norm(x, gamma, beta, mean, variance, 1e-3), expected)


@EXAMPLES
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 12), SEEDS)
def test_matrices(batch: int, features: int, units: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(s, dtype=np.float32) for s in ((batch, features), (units, features), (units,)))
    assert_close(nn.dense(x, w, b), onnx("Gemm", {"x": x, "w": w, "b": b}, transB=1))
    wild = x * np.float32(30)  # softmax must subtract the maximum: exp(100) leaves f32
    assert_close(nn_reductions.softmax(wild), onnx("Softmax", {"x": wild}, axis=1))
    ties = rng.integers(0, 3, (batch, features)).astype(np.float32)
    assert np.array_equal(nn_reductions.argmax(ties), onnx("ArgMax", {"x": ties}, axis=1, keepdims=0))
    bounds = {"low": np.array(-0.5, np.float32), "high": np.array(0.75, np.float32)}
    assert np.array_equal(nn_elementwise.clip(x, -0.5, 0.75), onnx("Clip", {"x": x, **bounds}))
    assert np.array_equal(nn_elementwise.relu(x), onnx("Relu", {"x": x}))


@EXAMPLES
@given(convolutions(), st.integers(0, 255))
def test_integer_accumulators_of_conv2d(case: Convolution, zero_point: int) -> None:
    rng = np.random.default_rng(case.seed)
    x = rng.integers(0, 256, case.x_shape).astype(np.uint8)
    w = rng.integers(-128, 128, case.w_shape).astype(np.int8)
    # onnxruntime's u8 * i8 kernels may saturate where the CPU has no VNNI; u8 * u8 is exact and means the same
    inputs = {
        "x": x,
        "w": (w.astype(np.int16) + 128).astype(np.uint8),
        "x_zero_point": np.array(zero_point, np.uint8),
        "w_zero_point": np.array(128, np.uint8),
    }
    expected = onnx("ConvInteger", inputs, **case.attributes())
    assert np.array_equal(nn.conv2d_integer(x, w, None, case.window, case.groups, zero_point), expected)


@EXAMPLES
@given(st.integers(1, 5), st.integers(1, 60), st.integers(1, 12), st.integers(0, 255), SEEDS)
def test_integer_accumulators_of_dense(batch: int, features: int, units: int, zero_point: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (batch, features)).astype(np.uint8)
    w = rng.integers(-128, 128, (units, features)).astype(np.int8)
    inputs = {
        "x": x,
        "w": np.ascontiguousarray((w.astype(np.int16) + 128).astype(np.uint8).T),
        "x_zero_point": np.array(zero_point, np.uint8),
        "w_zero_point": np.array(128, np.uint8),
    }
    assert np.array_equal(nn.dense_integer(x, w, None, zero_point), onnx("MatMulInteger", inputs))


def fixed_point(scale: npt.NDArray[np.float64], bits: int = 31) -> tuple[Array, Array]:
    """Multipliers of `bits` bits and shifts with multiplier / 2^shift = scale but for rounding."""
    exponent = np.frexp(scale)[1]
    shift = bits - exponent
    return np.rint(np.ldexp(scale, shift)).astype(np.int64), shift


def assert_requantized(found: Array, acc: Array, scale: Array, zero_point: int, expected: Array) -> None:
    """`found` equals onnxruntime's result but for single steps where the exact value is within 1e-3 of a tie."""
    exact = acc.astype(np.float64) * scale
    differs = found.astype(np.int64) != expected
    assert np.abs(found.astype(np.int64) - expected)[differs].max(initial=0) <= 1
    from_tie = np.abs(exact - np.floor(exact) - 0.5)
    assert (from_tie[differs] < 1e-3).all()
    assert ((expected == 0) | (expected == 255) | (np.abs(exact + zero_point - expected) < 0.501)).all()


@EXAMPLES
@given(convolutions(), st.integers(0, 255), st.integers(0, 255))
def test_quantized_convolution(case: Convolution, x_zero: int, y_zero: int) -> None:
    rng = np.random.default_rng(case.seed)
    x = rng.integers(0, 256, case.x_shape).astype(np.uint8)
    w = rng.integers(-64, 65, case.w_shape).astype(np.int8)  # 7 bits: exact in saturating kernels too
    bias = rng.integers(-3000, 3000, case.filters).astype(np.int32)
    x_scale, y_scale = (np.array(rng.uniform(0.01, 0.1), np.float32) for _ in range(2))
    w_scale = rng.uniform(0.001, 0.02, case.filters).astype(np.float32)
    inputs = {"x": x, "x_scale": x_scale, "x_zero_point": np.array(x_zero, np.uint8)}
    inputs |= {"w": w, "w_scale": w_scale, "w_zero_point": np.zeros(case.filters, np.int8)}
    inputs |= {"y_scale": y_scale, "y_zero_point": np.array(y_zero, np.uint8), "bias": bias}
    expected = onnx("QLinearConv", inputs, **case.attributes())
    acc = nn.conv2d_integer(x, w, bias, case.window, case.groups, x_zero)
    scale = (x_scale.astype(np.float64) * w_scale / y_scale)[:, None, None]
    multiplier, shift = fixed_point(scale)
    found = num.requantize(acc, multiplier, shift, y_zero, (0, 255), Rounding.half_even)
    assert_requantized(found, acc, scale, y_zero, expected)


@EXAMPLES
@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 8), st.integers(0, 255), st.integers(0, 255), SEEDS)
def test_quantized_matrix_product(batch: int, features: int, units: int, x_zero: int, y_zero: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (batch, features)).astype(np.uint8)
    w = rng.integers(-64, 65, (units, features)).astype(np.int8)
    x_scale, w_scale, y_scale = (np.array(rng.uniform(0.01, 0.1), np.float32) for _ in range(3))
    inputs = {"x": x, "x_scale": x_scale, "x_zero_point": np.array(x_zero, np.uint8)}
    inputs |= {"w": np.ascontiguousarray(w.T), "w_scale": w_scale, "w_zero_point": np.array(0, np.int8)}
    inputs |= {"y_scale": y_scale, "y_zero_point": np.array(y_zero, np.uint8)}
    expected = onnx("QLinearMatMul", inputs)
    acc = nn.dense_integer(x, w, None, x_zero)
    scale = np.asarray(x_scale.astype(np.float64) * w_scale / y_scale)
    multiplier, shift = fixed_point(scale)
    found = num.requantize(acc, multiplier, shift, y_zero, (0, 255), Rounding.half_even)
    assert_requantized(found, acc, scale, y_zero, expected)


@EXAMPLES
@given(st.integers(1, 200), st.integers(-128, 127), SEEDS)
def test_quantize_and_dequantize(size: int, zero_point: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = np.array(rng.uniform(0.01, 0.1), np.float32)
    x = rng.standard_normal(size, dtype=np.float32)
    parameters = {"scale": scale, "zero_point": np.array(zero_point, np.int8)}
    q = num.quantize(x, float(scale), zero_point, (-128, 127), Rounding.half_even).astype(np.int8)
    expected = onnx("QuantizeLinear", {"x": x, **parameters})
    exact = x.astype(np.float64) / float(scale)
    differs = q != expected
    assert (np.abs(exact - np.floor(exact) - 0.5)[differs] < 1e-3).all()
    assert np.abs(q.astype(np.int64) - expected).max() <= 1
    # (q - zero point) and the scale are f32 values, their product is rounded once on both sides
    assert np.array_equal(num.dequantize(q, float(scale), zero_point), onnx("DequantizeLinear", {"q": q, **parameters}))

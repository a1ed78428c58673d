"""Layers in bfloat16: within the stated bound of exact sums of rounded numbers, on every kind of machine.

Networks of whole numbers that bfloat16 holds are exact, so there the reference is met bit for bit: with frames, joins
and pools between layers, and with infinities that may not reach pixels whose windows do not hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.formats import Bfloat
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn_shapes import Window, as_map
from hapir.dialects.num import shape_of
from hapir.lowering.kernel.bf16 import PRODUCT_BOUND, SMALLEST, Numbers, from_bf16, sum_bound, to_bf16
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.plan_winograd import as_kernels
from hapir.lowering.kernel.stages import ToBf16
from hapir.lowering.kernel.steps import Convolution, Elementwise, Reframe
from hapir.reference.interpret import run_network
from hapir.reference.values import Array
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore
from tests.c_machines import CLANG, FOREIGN, GCC, Job, Machine, run_on, skip_unless_here
from tests.property.network_builder import NetworkBuilder
from tests.property.sparse_layers import Shape, SparseLayer, layer, random_shape
from tests.property.test_c_reference import grouped
from tests.vector_chains import HOST_PATHS, Case, has_aarch64, print_cases, run_aarch64, run_host

CHOICE = ChoiceAttr.of("direct", "bf16")
OFTEN = ("gcc-native", "gcc-avx2", "gcc-plain", "aarch64-bf16")
"""A machine per path, two of them with instructions for bfloat16."""
NAMES = (*OFTEN, "gcc-avx512", "gcc-sse2", "clang-native", "clang-avx2", "aarch64", "riscv64")
HERE = [m for m in (*GCC, *CLANG, *FOREIGN) if m.name in NAMES]
EACH_TIME = [m if m.name in OFTEN else pytest.param(m, marks=pytest.mark.slow) for m in HERE]


def product_of(sample: SparseLayer) -> nn.ProductOp:
    """The layer itself."""
    return next(op for op in sample.network.body.walk() if isinstance(op, nn.ProductOp))


def in_bf16(sample: SparseLayer) -> SparseLayer:
    """The same layer with the choice."""
    product_of(sample).attributes["kernel"] = CHOICE
    return sample


def whole_layers(rng: np.random.Generator, count: int) -> list[SparseLayer]:
    """Any shape but depthwise ones."""
    found: list[SparseLayer] = []
    while len(found) < count:
        shape = random_shape(rng)
        if not 1 < shape.groups == shape.channels:
            found.append(in_bf16(layer(rng, "f32", "direct", shape, 1.0)))
    return found


def sums_of(sample: SparseLayer, x: Array, w: Array, b: Array | None) -> Numbers:
    """The sums of products of a layer in f64."""
    op = product_of(sample)
    kernels = as_kernels(w).astype(np.float64)[:, :, None, None] if w.ndim == 2 else as_kernels(w).astype(np.float64)
    n, c, h, width = as_map(x.shape) if x.ndim > 2 else (*x.shape, 1, 1)
    window, groups = (op.window.window, op.filter_groups) if isinstance(op, nn.ConvolutionOp) else (Window((1, 1)), 1)
    top, left, bottom, right = window.padding
    wide = np.pad(x.astype(np.float64).reshape(n, groups, c // groups, h, width),
                  ((0, 0), (0, 0), (0, 0), (top, bottom), (left, right)))  # fmt: skip
    (r, s), (down, across), (dr, ds) = window.kernel, window.stride, window.dilation
    _, k, p, q = as_map(shape_of(op.result)) if x.ndim > 2 else (*shape_of(op.result), 1, 1)
    sums = np.zeros((n, groups, k // groups, p, q))
    for i in range(r):
        for j in range(s):
            rows = slice(i * dr, i * dr + (p - 1) * down + 1, down)
            columns = slice(j * ds, j * ds + (q - 1) * across + 1, across)
            taps = kernels[:, :, i, j].reshape(groups, k // groups, c // groups)
            sums += np.einsum("ngcpq,gkc->ngkpq", wide[:, :, :, rows, columns], taps)
    sums = sums.reshape(n, k, p, q)
    return sums if b is None else sums + b.astype(np.float64)[:, None, None]


def check_bound(sample: SparseLayer, found: Array) -> None:
    """The C's results against f64, of rounded numbers and of those that were given."""
    x, w = sample.inputs["image"], sample.weights["w"]
    b = sample.weights["b"] if product_of(sample).bias is not None else None
    magnitude = None if b is None else np.abs(b)
    terms, y = w[0].size, found.astype(np.float64)
    relu = any(isinstance(op, nn.ReluOp) for op in sample.network.body.walk())
    x_rounded, w_rounded = from_bf16(to_bf16(x)), from_bf16(to_bf16(w))
    largest = max(float(np.abs(a).max(initial=0)) for a in (x_rounded, w_rounded))
    bound = sum_bound(terms, sums_of(sample, np.abs(x_rounded), np.abs(w_rounded), magnitude), largest)
    apart = PRODUCT_BOUND * sums_of(sample, np.abs(x), np.abs(w), None)
    for sums, limit in ((sums_of(sample, x_rounded, w_rounded, b), bound), (sums_of(sample, x, w, b), bound + apart)):
        expected = np.maximum(sums, 0) if relu else sums
        assert (np.abs(y.reshape(sums.shape) - expected) <= limit).all(), sample.words


@cache
def samples(count: int, seed: int) -> list[SparseLayer]:
    """Layers of normal numbers, some of them with inputs of any size, subnormal ones too."""
    rng = np.random.default_rng(seed)
    found = whole_layers(rng, count)
    for sample in found[::3]:
        image = sample.inputs["image"]
        image *= np.ldexp(np.float32(1), rng.integers(-149, 90, image.shape)).astype(np.float32)
    return found


def jobs_of(layers: Sequence[SparseLayer], first: int = 0) -> list[Job]:
    """The C of each, numbered from a number on."""
    return [(emit_c(s.network, s.weights, f"net{i}"), s.inputs) for i, s in enumerate(layers, first)]


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_random_layers(machine: Machine):
    skip_unless_here(machine)
    layers = samples(6, 1)
    for sample, found in zip(layers, run_on(machine, jobs_of(layers)), strict=True):
        check_bound(sample, found["y"])


@pytest.mark.slow
@pytest.mark.parametrize("machine", HERE, ids=str)
@pytest.mark.parametrize("seed", range(10))
def test_many_layers(machine: Machine, seed: int):
    skip_unless_here(machine)
    layers = samples(30, 100 + seed)
    for sample, found in zip(layers, run_on(machine, jobs_of(layers), "-O3"), strict=True):
        check_bound(sample, found["y"])


# --- whole numbers ---------------------------------------------------------------------------------------------------


def with_infinities(rng: np.random.Generator, shape: Shape) -> SparseLayer:
    """A layer of whole numbers, none of its weights 0, on a map with some infinities."""
    kernel = () if shape.window is None else shape.window.kernel[1:] if shape.line else shape.window.kernel
    weights = rng.choice([-2.0, -1.0, 1.0, 2.0], (shape.filters, shape.channels // shape.groups, *kernel))
    sizes = () if shape.window is None else shape.size[1:] if shape.line else shape.size
    image = rng.integers(-8, 9, (shape.batch, shape.channels, *sizes)).astype(np.float32)
    image[rng.random(image.shape) < 0.02] = rng.choice([-np.inf, np.inf])
    sample = layer(rng, "f32", "direct", shape, 1.0, weights=weights.astype(np.float32), inputs=image)
    if "b" in sample.weights:
        sample.weights.put("b", np.rint(sample.weights["b"]).astype(np.float32))
    return in_bf16(sample)


def selecting(build: NetworkBuilder, x: SSAValue, filters: int, window: Window, groups: int) -> SSAValue:
    """A convolution that adds at most two elements of a window: whole numbers stay small."""
    name, channels = build.name("conv"), shape_of(x)[1] // groups
    w = np.zeros((filters, channels * window.kernel[0] * window.kernel[1]), np.float32)
    for row in w:
        row[build.rng.integers(0, w.shape[1], 2)] = build.rng.choice([-1, 1], 2)
    weight = build.weight(f"{name}.w", w.reshape(filters, channels, *window.kernel))
    op = nn.Conv2dOp(x, weight, None, window=window, groups=groups, layer=name)
    if groups == 1 and build.rng.random() < 0.75:
        op.attributes["kernel"] = CHOICE
    return build.append(op)


def chain(seed: int) -> tuple[nn.NetworkOp, WeightStore, dict[str, Array]]:
    """A few layers, some in bf16, with pools, joins and maps that several layers read."""
    build = NetworkBuilder([], seed)
    rng = build.rng
    shape = (int(rng.choice([1, 1, 2])), int(rng.choice([1, 3, 4, 5, 16])), *(int(n) for n in rng.integers(5, 12, 2)))
    image = nn.WeightOp("image", TensorType(f32, shape)).result
    values: list[SSAValue] = [image]
    for _ in range(int(rng.integers(2, 7))):
        x = values[-1] if rng.random() < 0.7 else values[int(rng.integers(len(values)))]
        mates = [v for v in values if shape_of(v) == shape_of(x)]
        name, kind = build.name("layer"), rng.random()
        if kind < 0.12 and min(shape_of(x)[2:]) >= 3:
            window = Window((3, 3), (2, 2), padding=(1, 1, 1, 1)) if kind < 0.06 else Window((2, 2), (2, 2))
            values.append(build.append(nn.MaxPoolOp(x, window=window, layer=name)))
        elif kind < 0.3:
            y = mates[int(rng.integers(len(mates)))]
            values.append(build.append(nn.AddOp(x, y, layer=name)))
        else:
            size = int(rng.choice([1, 3]))
            stride = int(rng.choice([1, 1, 2]))
            window = Window((size, size), (stride, stride), padding=(size // 2, size // 2, size // 2, size // 2))
            channels = shape_of(x)[1]
            depthwise = channels > 1 and rng.random() < 0.15
            filters = channels if depthwise or rng.random() < 0.5 else int(rng.choice([3, 8, 17, 40]))
            y = selecting(build, x, filters, window, channels if depthwise else 1)
            values.append(build.append(nn.ReluOp(y, layer=name)) if rng.random() < 0.5 else y)
    network = build.finish("sample", image, [("y", values[-1])])
    network = grouped(network, build.weights) if rng.random() < 0.7 else network
    return network, build.weights, {"image": rng.integers(-2, 3, shape).astype(np.float32)}


@cache
def whole_numbers(count: int, seed: int) -> tuple[list[Job], list[Array]]:
    """Chains with what the reference makes of them, and layers on infinities, which it refuses, with their sums."""
    rng = np.random.default_rng(seed)
    shapes = [
        shape for shape in (random_shape(rng) for _ in range(3 * count)) if not 1 < shape.groups == shape.channels
    ]
    jobs: list[Job] = []
    expected: list[Array] = []
    for i in range(count):
        network, weights, inputs = chain(seed * 1000 + i)
        jobs.append((emit_c(network, weights, f"net{i}"), inputs))
        expected.append(run_network(network, weights, inputs)["y"])
    layers = [with_infinities(rng, shape) for shape in shapes[:count]]
    for sample in layers:
        b = sample.weights["b"] if product_of(sample).bias is not None else None
        with np.errstate(invalid="ignore"):
            sums = sums_of(sample, sample.inputs["image"], sample.weights["w"], b)
        relu = any(isinstance(op, nn.ReluOp) for op in sample.network.body.walk())
        shape = shape_of(product_of(sample).result)
        expected.append((np.maximum(sums, 0) if relu else sums).reshape(shape).astype(np.float32))
    jobs += jobs_of(layers, count)
    return jobs, expected


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_whole_numbers(machine: Machine):
    skip_unless_here(machine)
    jobs, expected = whole_numbers(5, 1)
    for wanted, found in zip(expected, run_on(machine, jobs), strict=True):
        np.testing.assert_array_equal(found["y"], wanted)


@pytest.mark.slow
@pytest.mark.parametrize("machine", HERE, ids=str)
@pytest.mark.parametrize("seed", range(2, 7))
def test_whole_numbers_of_many(machine: Machine, seed: int):
    skip_unless_here(machine)
    jobs, expected = whole_numbers(30, seed)
    for wanted, found in zip(expected, run_on(machine, jobs, "-O3"), strict=True):
        np.testing.assert_array_equal(found["y"], wanted)


@pytest.mark.slow
def test_sanitizers():
    """Nothing is read outside of inputs and arena, and nothing is undefined."""
    flags = ("-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    for machine in (Machine("native", "gcc", flags), Machine("plain", "gcc", (*flags, "-DHAPIR_PLAIN_C"))):
        skip_unless_here(machine)
        jobs, expected = whole_numbers(10, 9)
        for wanted, found in zip(expected, run_on(machine, jobs), strict=True):
            np.testing.assert_array_equal(found["y"], wanted)


# --- plans and refusals ----------------------------------------------------------------------------------------------


def two_layers(*, join: bool) -> tuple[nn.NetworkOp, WeightStore]:
    """Two layers in bf16, the second padded; a residual add reads what is between them where `join`."""
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 16, 6, 6))).result
    padded = Window((3, 3), padding=(1, 1, 1, 1))
    values: list[SSAValue] = [image]
    for name in ("a", "b"):
        w = build.weight(f"{name}.w", build.rng.normal(0, 1, (16, 16, 3, 3)).astype(np.float32))
        op = nn.Conv2dOp(values[-1], w, None, window=padded, groups=1, layer=name)
        op.attributes["kernel"] = CHOICE
        values.append(build.append(op))
    last = build.append(nn.AddOp(values[1], values[2], layer="sum")) if join else values[2]
    return grouped(build.finish("sample", image, [("y", last)]), build.weights), build.weights


def test_a_layer_writes_what_its_readers_want():
    program = plan_program(*two_layers(join=False))
    first, second = (step for step in program.steps if isinstance(step, Convolution))
    assert first.stages == (ToBf16(),)
    assert first.to == second.frame
    assert first.target == second.source
    assert [program.buffers[step.source].ctype for step in (first, second)] == ["uint16_t"] * 2
    assert first.weights.size_bytes == 2 * 16 * 16 * 9
    assert sum(isinstance(step, Reframe) for step in program.steps) == 1  # that of the input


def test_what_a_join_reads_stays_f32():
    program = plan_program(*two_layers(join=True))
    first, second = (step for step in program.steps if isinstance(step, Convolution))
    assert program.buffers[first.target].ctype == "float"
    assert program.buffers[second.source].ctype == "uint16_t"
    assert not any(isinstance(step, Elementwise) for step in program.steps)


def test_refusals():
    rng = np.random.default_rng(0)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    depthwise = in_bf16(layer(rng, "f32", "direct", Shape(1, 4, (5, 5), 4, window, 4), 1.0))
    large = in_bf16(layer(rng, "f32", "direct", Shape(1, 4, (5, 5), 4, window), 1.0))
    large.weights.put("w", np.full((4, 4, 3, 3), 3.4e38, np.float32))
    other = in_bf16(layer(rng, "f32", "direct", Shape(1, 4, (5, 5), 4, window), 1.0))
    product_of(other).attributes["kernel"] = ChoiceAttr.of("direct", "codes")
    integers = in_bf16(layer(rng, "ui8", "direct", Shape(1, 4, (5, 5), 4, window), 1.0))
    said = {
        "HAP0715": ((depthwise, "reads one channel"), (large, "past 3.39e+38")),
        "HAP0716": ((other, "no arithmetic `codes`"), (integers, "no arithmetic `bf16`")),
    }
    for code, cases in said.items():
        for sample, words in cases:
            with pytest.raises(HapirError) as caught:
                plan_program(sample.network, sample.weights)
            (diagnostic,) = caught.value.diagnostics
            assert (diagnostic.code, words in diagnostic.message) == (code, True)


# --- rounding --------------------------------------------------------------------------------------------------------


def test_rounding_is_that_of_the_number_format():
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    bits = np.concatenate([upper | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    floats = bits.view(np.float32)
    found = from_bf16(to_bf16(floats))
    within = np.abs(floats) <= Bfloat(7).range[1]  # the format clips what is larger
    np.testing.assert_array_equal(found[within], Bfloat(7).round(floats[within].astype(np.float64)))
    assert np.isinf(found[(np.abs(floats) > 3.3962e38) & ~np.isnan(floats)]).all()
    assert np.isnan(found[np.isnan(floats)]).all()
    normal = within & (np.abs(floats) >= SMALLEST)
    exact = floats[normal].astype(np.float64)
    assert (np.abs(found[normal] - exact) <= np.abs(exact) / 257).all()


@pytest.mark.parametrize("path", [*HOST_PATHS, "aarch64"])
def test_rounding_in_c(path: str, tmp_path: Path):
    """All upper halves at and around ties; an instruction may give 0 for subnormal numbers."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    bits = np.concatenate([upper | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    x = bits.view(np.float32).reshape(-1, 24)
    cases = [Case((ToBf16(),), "float", x, to_bf16(x))]
    text = print_cases(cases)
    if path == "aarch64" and not has_aarch64():
        pytest.skip("AArch64 cannot be compiled for and emulated here")
    if path.startswith("native") or path == "avx2":
        skip_unless_here(next(m for m in GCC if m.name == ("gcc-avx2" if path == "avx2" else "gcc-native")))
    run = run_aarch64(text, cases, tmp_path) if path == "aarch64" else run_host(text, cases, HOST_PATHS[path], tmp_path)
    (found,) = run
    wanted, zero = cases[0].expected, (bits.reshape(x.shape) >> 31 << 15).astype(np.uint16)
    lost = (np.abs(x) < SMALLEST) & (found == zero)
    np.testing.assert_array_equal(np.where(lost, wanted, found), wanted)

"""Convolutions by minimal filtering compute what the reference does: bit for bit on integers, within the stated bound
of the exact sums on floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, i64

from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn_shapes import Window, as_map
from hapir.lowering.kernel.plan_winograd import as_kernels
from hapir.lowering.kernel.winograd import Numbers, float_bound, transform
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from tests.c_machines import GCC, Machine, run_on, skip_unless_here
from tests.property.sparse_layers import Kind, Shape, SparseLayer, layer
from tests.property.windows import row_of

HOSTS = {machine.name.removeprefix("gcc-"): machine for machine in GCC if "vnni" not in machine.name}
"""By name: what the host has, AVX-512 and AVX2 without later extensions, plain C with and without own vectors."""
EPSILON = 2.0**-24


def with_tile(sample: SparseLayer, tile: int) -> SparseLayer:
    """The same layer in tiles of a size."""
    op = convolution_of(sample)
    op.attributes["kernel"] = ChoiceAttr.of("winograd", "", {"tile": IntegerAttr(tile, i64)})
    return sample


def convolution_of(sample: SparseLayer) -> nn.ConvolutionOp:
    """The layer itself."""
    return next(op for op in sample.network.body.walk() if isinstance(op, nn.ConvolutionOp))


def random_layer(rng: np.random.Generator, kind: Kind, tile: int) -> SparseLayer:
    """Sizes that tiles do not divide, channels and filters that vectors do not, batches, borders of any width."""
    line = rng.random() < 0.25
    padding = [0 if line and axis % 2 == 0 else int(rng.integers(0, 3)) for axis in range(4)]
    rows, columns = (1 if line else int(rng.integers(3, 14))), int(rng.integers(3, 18))
    window = Window((1 if line else 3, 3), padding=(padding[0], padding[1], padding[2], padding[3]))
    channels, filters = int(rng.choice([1, 3, 8, 16, 17, 31, 40])), int(rng.choice([1, 5, 16, 18, 32, 48, 70]))
    batch, one = int(rng.choice([1, 1, 2, 3])), line and rng.random() < 0.5
    shape = Shape(batch, channels, (rows, columns), filters, row_of(window) if one else window, line=one)
    sample = with_tile(layer(rng, kind, "winograd", shape, 1.0), tile)
    if kind != "f32" and rng.random() < 0.2:
        sample.inputs["image"][...] = np.iinfo(sample.inputs["image"].dtype).max
    return sample


def samples(count: int, seed: int) -> list[SparseLayer]:
    """So many layers, every kind in both sizes."""
    rng = np.random.default_rng(seed)
    kinds: tuple[Kind, ...] = ("ui8", "f32", "si8")
    return [random_layer(rng, kinds[i % 3], (2, 4)[i // 3 % 2]) for i in range(count)]


def exact(sample: SparseLayer) -> tuple[Numbers, Numbers]:
    """A float layer's sums in f64, and how far f32 may be from each."""
    op = convolution_of(sample)
    x = sample.inputs["image"].astype(np.float64)
    kernels = as_kernels(sample.weights["w"]).astype(np.float64)
    n, c, h, w = as_map(x.shape)
    top, left, bottom, right = op.window.window.padding
    padded = np.pad(x.reshape(n, c, h, w), ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernels.shape[2:], axis=(2, 3))
    bias = sample.weights["b"].astype(np.float64) if op.bias is not None else np.zeros(len(kernels))
    sums = np.einsum("ncpqrs,kcrs->nkpq", windows, kernels) + bias[:, None, None]
    choice = cast(ChoiceAttr, op.attributes["kernel"])
    tile = cast(IntegerAttr, choice.options.data["tile"]).value.data
    bound = float_bound(transform(tile, 3), kernels, float(np.abs(x).max()))[:, None, None]
    return sums, bound + 2 * EPSILON * np.abs(sums)


def run(layers: Sequence[SparseLayer], machine: Machine, optimize: str) -> list[Numbers]:
    """What every layer's C makes of its inputs on a machine."""
    skip_unless_here(machine)
    jobs = [(emit_c(sample.network, sample.weights, f"net{i}"), sample.inputs) for i, sample in enumerate(layers)]
    return [found["y"] for found in run_on(machine, jobs, optimize)]


def check(layers: Sequence[SparseLayer], machine: Machine, optimize: str = "-O1") -> None:
    """Every layer's C gives what the reference gives."""
    for sample, found in zip(layers, run(layers, machine, optimize), strict=True):
        if found.dtype.kind != "f":
            expected = run_network(sample.network, sample.weights, sample.inputs)["y"]
            np.testing.assert_array_equal(found, expected, err_msg=sample.words)
            continue
        sums, bound = exact(sample)
        if any(isinstance(op, nn.ReluOp) for op in sample.network.body.walk()):
            sums = np.maximum(sums, 0)
        assert (np.abs(found.astype(np.float64).reshape(sums.shape) - sums) <= bound).all(), sample.words


@pytest.mark.parametrize("path", HOSTS)
def test_random_layers(path: str):
    check(samples(6, 1 + list(HOSTS).index(path)), HOSTS[path])


@pytest.mark.slow
@pytest.mark.parametrize("path", HOSTS)
@pytest.mark.parametrize("seed", range(10))
def test_many_layers(path: str, seed: int):
    check(samples(30, 100 + seed), HOSTS[path])


def sanitized(path: str) -> Machine:
    """The same machine whose programs stop where they read outside their memory or do what C does not define."""
    host = HOSTS[path]
    flags = (*host.flags, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return replace(host, name=f"{host.name}-sanitized", flags=flags)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["native", "plain"])
def test_layers_under_sanitizers(path: str):
    check(samples(12, 7), sanitized(path))


@pytest.mark.slow
def test_blocks_of_tiles(monkeypatch: pytest.MonkeyPatch):
    """Maps that take several blocks, the last of them cut, as large layers do."""
    monkeypatch.setattr("hapir.lowering.kernel.plan_winograd.SCRATCH_BYTES", 1 << 16)
    check(samples(24, 3), HOSTS["native"], "-O3")

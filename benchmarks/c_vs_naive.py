"""Generated C against the loop nest one would write by hand, both by the same compiler with the same flags.

Run: `python benchmarks/c_vs_naive.py` from the repository root (a minute). Each layer's outputs are compared first,
then both are timed in turns, in CPU time of this process; printed are the best times of all rounds and their ratio.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import FloatData, IntegerType, Signedness, StringAttr, TensorType, f32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from hapir.dialects import dataflow, nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, PerChannelType, Rounding, signed, unsigned
from hapir.targets.c.build import FAST_FLAGS, build_c, find_compiler
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore

ROUNDS, MINIMUM_SECONDS = 9, 0.02


@dataclass(frozen=True)
class Layer:
    """A convolution C x H x W -> K with a square kernel; `size` 1 and `kernel` 1 is a dense layer."""

    name: str
    channels: int
    size: int
    filters: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def out(self) -> int:
        """Output rows and columns."""
        return (self.size + 2 * (self.kernel // 2) - self.kernel) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.filters * self.out**2 * (self.channels // self.groups) * self.kernel**2


LAYERS = (
    Layer("resnet20 first, 3x3 3->16 on 32", 3, 32, 16, 3),
    Layer("resnet20 stage 1, 3x3 16->16 on 32", 16, 32, 16, 3),
    Layer("resnet20 stage 2, 3x3 32->32 on 16", 32, 16, 32, 3),
    Layer("resnet20 stage 3, 3x3 64->64 on 8", 64, 8, 64, 3),
    Layer("strided 3x3 32->64 on 16", 32, 16, 64, 3, 2),
    Layer("pointwise 1x1 64->128 on 16", 64, 16, 128, 1),
    Layer("depthwise 3x3 64 on 32", 64, 32, 64, 3, 1, 64),
    Layer("dense 1024->256", 1024, 1, 256, 1),
)

NAIVE = """
#include <stdint.h>
void naive(const X *restrict x, const W *restrict w, const A *restrict b, const int32_t *restrict m,
           const int32_t *restrict s, Y *restrict y)
{
    for (int k = 0; k < K; ++k)
        for (int p = 0; p < P; ++p)
            for (int q = 0; q < P; ++q) {
                A acc = b[k];
                for (int c = 0; c < C / G; ++c)
                    for (int r = 0; r < R; ++r)
                        for (int t = 0; t < R; ++t) {
                            const int h = p * S + r - R / 2, v = q * S + t - R / 2;
                            if (h >= 0 && h < H && v >= 0 && v < H)
                                acc += ((A)x[((k / (K / G) * (C / G) + c) * H + h) * H + v] - ZERO)
                                       * (A)w[((k * (C / G) + c) * R + r) * R + t];
                        }
                STORE
            }
}
"""
INTEGER_STORE = """
                int64_t v = (((int64_t)acc * m[k] + (((int64_t)1 << s[k]) >> 1)) >> s[k]) + 3;
                y[(k * P + p) * P + q] = (Y)(v < 3 ? 3 : v > 255 ? 255 : v);"""
FLOAT_STORE = "(void)m; (void)s; y[(k * P + p) * P + q] = acc > 0 ? acc : 0;"


def layer_network(layer: Layer, integers: bool) -> tuple[nn.NetworkOp, WeightStore, dict[str, Array]]:
    """One layer with what follows it, as `fuse` groups it, and its numbers."""
    rng = np.random.default_rng(7)
    c, k, r = layer.channels, layer.filters, layer.kernel
    shape = (k, c // layer.groups, r, r)
    store = WeightStore()
    pad = r // 2
    window = Window((r, r), (layer.stride, layer.stride), (pad, pad, pad, pad))
    if integers:
        arrays: dict[str, Array] = {
            "w": rng.integers(-127, 128, shape).astype(np.int8),
            "b": rng.integers(-9999, 9999, k).astype(np.int32),
            "m": rng.integers(1 << 14, 1 << 15, k).astype(np.uint16),
            "s": rng.integers(20, 23, k).astype(np.uint8),
        }
        store.put("scale", np.ones(k))
    else:
        arrays = {"w": rng.standard_normal(shape, dtype=np.float32), "b": rng.standard_normal(k, dtype=np.float32)}
    for key, array in arrays.items():
        store.put(key, array)
    image_type = TensorType(
        AffineType(unsigned(8), FloatData(0.5), 5) if integers else f32, (1, c, layer.size, layer.size)
    )
    image = nn.WeightOp("image", image_type)
    weight_element: Attribute = PerChannelType(signed(8), 0, StringAttr("scale")) if integers else f32
    w = nn.WeightOp("w", TensorType(weight_element, shape))
    b = nn.WeightOp("b", TensorType(signed(32) if integers else f32, (k,)))
    conv = nn.Conv2dOp(image.result, w.result, b.result, window=window, groups=layer.groups, layer="conv")
    body: list[Operation] = [w, b, conv]
    if integers:
        m = nn.WeightOp("m", TensorType(IntegerType(16, Signedness.UNSIGNED), (k,)))
        s = nn.WeightOp("s", TensorType(unsigned(8), (k,)))
        result_type = TensorType(AffineType(unsigned(8), FloatData(0.5), 3), conv.result.type.get_shape())
        last: Operation = num.RequantizeOp(
            conv.result, m.result, s.result, result_type, rounding=Rounding.half_up, low=3, high=255, layer="conv"
        )
        body += [m, s, last]
    else:
        last = nn.ReluOp(conv.result, layer="conv")
        body.append(last)
    return grouped(image.result, body, last.results[0]), store, arrays


def grouped(image: SSAValue, body: list[Operation], result: SSAValue) -> nn.NetworkOp:
    """A network of one `dataflow.layer`."""
    network = nn.NetworkOp("bench", [("x", image.type)], [("y", result.type)])
    inner = Block(arg_types=[image.type])
    image.replace_all_uses_with(inner.args[0])
    inner.add_ops([*body, dataflow.YieldOp([result])])
    layer = dataflow.LayerOp("conv", [network.body.block.args[0]], [result.type], Region(inner))
    network.body.block.add_ops([layer, nn.ReturnOp(list(layer.outputs))])
    network.verify()
    return network


def naive_runner(layer: Layer, integers: bool, arrays: dict[str, Array], folder: Path) -> Callable[[Array], Array]:
    """The loop nest compiled for a layer, as a function of one image."""
    sizes = (layer.filters, layer.channels, layer.groups, layer.size, layer.out, layer.kernel, layer.stride)
    types = ("uint8_t", "int8_t", "int32_t", "uint8_t") if integers else ("float",) * 4
    defines = dict(zip("KCGHPRSXWAY", (*sizes, *types), strict=True)) | {"ZERO": 5 if integers else 0}
    source = folder / "naive.c"
    source.write_text(NAIVE.replace("STORE", INTEGER_STORE if integers else FLOAT_STORE))
    target = folder / f"naive{abs(hash((layer, integers)))}.so"
    flags = [*FAST_FLAGS, *(f"-D{key}={value}" for key, value in defines.items()), "-shared", "-fPIC"]
    subprocess.run([*find_compiler().command, *flags, "-o", str(target), str(source)], check=True)
    run = ctypes.CDLL(str(target)).naive
    wide = {key: np.ascontiguousarray(arrays[key], np.int32) for key in ("m", "s") if integers}
    fixed = [arrays["w"], arrays["b"], wide.get("m", arrays["b"]), wide.get("s", arrays["b"])]
    y = np.empty((1, layer.filters, layer.out, layer.out), np.uint8 if integers else np.float32)

    def runner(x: Array) -> Array:
        run(*(ctypes.c_void_p(a.ctypes.data) for a in (x, *fixed, y)))
        return y

    return runner


def best_seconds(functions: list[Callable[[], object]]) -> list[float]:
    """The best CPU time of one call of each, measured in turns."""
    counts: list[int] = []
    for f in functions:
        count, spent = 1, 0.0
        while spent < MINIMUM_SECONDS:
            count *= 2
            start = time.process_time()
            for _ in range(count):
                f()
            spent = time.process_time() - start
        counts.append(count)
    best = [float("inf")] * len(functions)
    for _ in range(ROUNDS):
        for i, (f, count) in enumerate(zip(functions, counts, strict=True)):
            start = time.process_time()
            for _ in range(count):
                f()
            best[i] = min(best[i], (time.process_time() - start) / count)
    return best


def compare(layer: Layer, integers: bool, folder: Path) -> None:
    """Check that both agree, then print one line."""
    network, store, arrays = layer_network(layer, integers)
    rng = np.random.default_rng(1)
    shape = (1, layer.channels, layer.size, layer.size)
    x: Array = (
        rng.integers(0, 256, shape).astype(np.uint8) if integers else rng.standard_normal(shape, dtype=np.float32)
    )
    ours, naive = build_c(emit_c(network, store, "bench")), naive_runner(layer, integers, arrays, folder)
    # many images per call: the cost of calling from Python is not what is measured
    images = max(1, min(256, 2_000_000 // layer.macs))
    batch = np.ascontiguousarray(np.repeat(x, images, axis=0))
    expected, found = naive(x), ours.run({"x": batch})["y"][:1]
    if integers:
        assert (expected == found).all(), layer
    else:
        np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=1e-4 * float(expected.max()))
    ours_s, naive_s = best_seconds([lambda: ours.run({"x": batch}), lambda: naive(x)])
    ours_s /= images
    print(
        f"{layer.name:<38}{'int8' if integers else 'fp32':>6}{ours_s * 1e6:>12.1f}{naive_s * 1e6:>12.1f}"
        f"{2 * layer.macs / ours_s / 1e9:>10.1f}{naive_s / ours_s:>9.1f}x"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the layer's name")
    only = parser.parse_args().only
    print(f"{'layer':<38}{'type':>6}{'ours us':>12}{'naive us':>12}{'GOPS':>10}{'ratio':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for layer in LAYERS:
            if only in layer.name:
                for integers in (True, False):
                    compare(layer, integers, Path(folder))


if __name__ == "__main__":
    main()

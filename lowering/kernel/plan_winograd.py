"""Convolutions by minimal filtering: weights transformed at compile time, tiles in blocks that stay in the cache.

Law: exact on integers, computed modulo 2^32 with results proven to fit; on floats within `winograd.float_bound` of the
exact sums, for weights that were transformed in f64 and rounded once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.num import element_type, is_float, zero_point_of
from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.c_types import DTYPES
from hapir.lowering.kernel.contraction import F32, I16_MODULAR, Contraction
from hapir.lowering.kernel.geometry import LANES, Geometry, Origin, Tiles
from hapir.lowering.kernel.host import DEFAULT, Host
from hapir.lowering.kernel.pack_weights import INT32_MAX, round_up
from hapir.lowering.kernel.plan_products import Rows, geometry_of, proven_bias, reframed
from hapir.lowering.kernel.plan_stages import constant
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.program_winograd import Tiling, Winograd
from hapir.lowering.kernel.register_tiles import Loops, cost_of, with_pixels
from hapir.lowering.kernel.winograd import filter_transform, floats, integer_transform, reach, transform
from hapir.weights import Array, WeightStore

SIZES = (2, 4)
"""Results of a tile along one axis: F(2, 3) and F(4, 3)."""
WIDEST_STRIP = 4
"""The most vectors of filters that weights are packed for."""
SCRATCH_BYTES = 1 << 20
"""What transforms and products of a block of tiles may take without leaving the second-level cache."""
STREAM_RATE = {"l1": 0.65, "l2": 0.65, "l3": 0.3, "dram": 0.7}
"""Of a level's bandwidth, what transformed weights are read at beside products (fitted on one core, Zen 5)."""
SPILL_RATE = 0.18
"""The same for scratch that leaves the second-level cache, to the level behind it."""
FRESH_BYTES = 1 << 20
"""Transformed weights beyond this come from memory each time: other layers take their place in the caches."""
INT16 = 1 << 15


def plan_winograd(
    op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin, size: int
) -> tuple[Winograd, tuple[int, int] | None]:
    """The step of a layer in tiles of `size`, and the range of its integer sums.

    Its new buffers are added to `draft`. Raises HapirError: HAP0719 where the layer has no such kernel, HAP0710 where a
    sum is not proven to fit.
    """
    geometry = geometry_of(op)
    kernel = constant(weights, op.w, op)
    ctype = draft.buffers[x.buffer].ctype
    inputs_range = None
    if x.bounds is not None:
        zero = zero_point_of(element_type(op.x))
        inputs_range = min(x.bounds[0], zero), max(x.bounds[1], zero)
    reason = refusal(geometry, ctype, kernel, inputs_range, size)
    if op.multiplier is not None:
        reason = "its products are a multiplier model's"
    if reason is not None:
        fail("HAP0719", f"the layer has no kernel by minimal filtering: {reason}", at=op, help="use another algorithm")
    bias = None if op.bias is None else constant(weights, op.bias, op)
    contraction, fill, bounds = F32, 0, None
    table = None if bias is None else Table(f"{origin.layer}.bias", "float", bias)
    if not is_float(op.x):
        contraction, fill = I16_MODULAR, zero_point_of(element_type(op.x))
        folded, bounds = proven_bias(op, Rows.of(op, kernel, x).array, bias, x, fill, 0)
        table = Table(f"{origin.layer}.bias", "int32_t", folded.astype(np.int32))
    return gemm_step(as_kernels(kernel), size, geometry, contraction, table, fill, x, draft, origin), bounds


def gemm_step(
    kernels: Array,
    size: int,
    geometry: Geometry,
    contraction: Contraction,
    bias: Table | None,
    fill: int,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> Winograd:
    """The step for weights K C R S, after a copy of its input into a frame of `fill` where it needs one."""
    ctype, padding = draft.buffers[x.buffer].ctype, geometry.window.padding
    source, frame = x.buffer, Frame.around(geometry.height, geometry.width, geometry.channels, (0, 0, 0, 0), fill)
    if any(padding) or draft.buffers[source].home != "arena":
        source, frame = reframed(source, geometry, padding, fill, 0, ctype, draft, origin)
    tiling, tiles = tiling_of(geometry, size, contraction)
    planes = transformed(kernels, size, contraction)
    step = Winograd(
        origin,
        draft.buffer(contraction.sums, geometry.batch * geometry.rows * geometry.columns * geometry.filters),
        (),
        source=source,
        geometry=geometry,
        frame=frame,
        contraction=contraction,
        tiling=tiling,
        tiles=tiles,
        weights=Table(f"{origin.layer}.weight", contraction.w, pack_transformed(planes, contraction, tiles.superblock)),
        bias=bias,
        inputs=0,
        products=0,
    )
    inputs = draft.buffer(contraction.x, tiling.planes * step.input_plane * contraction.elements)
    return step.on(inputs, draft.buffer(contraction.sums, tiling.planes * step.product_plane))


def refusal(geometry: Geometry, ctype: str, kernel: Array, bounds: tuple[int, int] | None, size: int) -> str | None:
    """Why a layer has no kernel in tiles of `size`, in words that a message can end with; None where it has one.

    `kernel` is K C R S or K C S, `bounds` the range of integer inputs, those of padding among them.
    """
    window = geometry.window
    if size not in SIZES:
        return f"tiles have {' or '.join(map(str, SIZES))} results along an axis, not {size}"
    if window.kernel not in ((3, 3), (1, 3)):
        return f"windows are 3x3 or of 3 neighbours in a row, not {window.kernel[0]}x{window.kernel[1]}"
    if window.stride != (1, 1) or window.dilation != (1, 1):
        return "strides and dilations must be 1"
    if geometry.groups != 1:
        return f"filters must see all channels, not those of one of {geometry.groups} groups"
    if ctype == "float":
        return None
    if ctype not in ("uint8_t", "int8_t") or bounds is None:
        return f"inputs are floats or bytes, not {ctype}"
    exact = integer_transform(size, 3)
    kernels = as_kernels(kernel).astype(np.int64)
    inputs = reach(exact.b, *bounds) if window.kernel[0] > 1 else reach_of_rows(exact.b, *bounds)
    largest = int(np.abs(filter_transform(exact.g, kernels)).max(initial=0))
    if min(inputs) < -INT16 or max(inputs) >= INT16 or largest >= INT16:
        return f"transformed inputs reach {max(map(abs, inputs))} and weights {largest}, more than 16 bits hold"
    rows = kernels.reshape(len(kernels), -1)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    low, high = (positive * bounds[0] + negative * bounds[1]), (positive * bounds[1] + negative * bounds[0])
    most = int(max(-low.min(initial=0), high.max(initial=0)))
    scale = exact.shift if window.kernel[0] > 1 else exact.shift // 2
    if most << scale > INT32_MAX:
        return f"a sum can reach {most}, which 32 bits do not hold {1 << scale} times"
    return None


def reach_of_rows(matrix: Array, low: int, high: int) -> tuple[int, int]:
    """The least and greatest entry of `matrix x` for a column x of values in [low, high]."""
    positive, negative = np.maximum(matrix, 0).sum(axis=1), np.minimum(matrix, 0).sum(axis=1)
    return int((positive * low + negative * high).min()), int((positive * high + negative * low).max())


def as_kernels(kernel: Array) -> Array:
    """K C R S of a 2-D or 1-D convolution's weights."""
    return kernel[:, :, None, :] if kernel.ndim == 3 else kernel


def transformed(kernels: Array, size: int, contraction: Contraction) -> npt.NDArray[np.generic]:
    """Weights K C R S as planes `[plane][filter][channel]`, in the contraction's type."""
    if contraction.sums == "float":
        planes = filter_transform(floats(transform(size, 3).g), kernels.astype(np.float64))
    else:
        planes = filter_transform(integer_transform(size, 3).g, kernels.astype(np.int64))
    k, channels = kernels.shape[:2]
    return planes.reshape(k, channels, -1).transpose(2, 0, 1).astype(DTYPES[contraction.w])


def pack_transformed(planes: Array, contraction: Contraction, superblock: int) -> Array:
    """`[plane][filter][channel]` as `[plane][strip][word][filter of the strip][element]`, zero padded, flat."""
    count, k, channels = planes.shape
    strip = superblock * LANES
    padded = np.zeros((count, round_up(k, strip), round_up(channels, contraction.elements)), planes.dtype)
    padded[:, :k, :channels] = planes
    words = padded.reshape(count, -1, strip, padded.shape[2] // contraction.elements, contraction.elements)
    return np.ascontiguousarray(words.transpose(0, 1, 3, 2, 4)).reshape(-1)


def tiling_of(geometry: Geometry, size: int, contraction: Contraction) -> tuple[Tiling, Tiles]:
    """How many tiles make a block, and the register blocks over them.

    Larger blocks read the transformed weights less often, smaller ones stay in the cache.
    """
    vectors = -(-geometry.filters // LANES)
    options = [
        _tiling(geometry, size, contraction, SCRATCH_BYTES << n, superblock)
        for n in range(5)
        for superblock in range(1, min(vectors, WIDEST_STRIP) + 1)
    ]
    # weights are read from one end to the other: by blocks as wide as they are packed for
    return min(
        (option for option in options if option[1].registers["avx512"][1] == option[1].superblock),
        key=lambda option: products_cycles(geometry, *option, contraction),
    )


def _tiling(
    geometry: Geometry, size: int, contraction: Contraction, scratch: int, superblock: int
) -> tuple[Tiling, Tiles]:
    whole = Tiling.of(geometry, size, 1)
    limit = min(whole.total, max(1, scratch // _scratch(geometry, whole, contraction)))
    tiles = with_pixels(Tiles("filters", superblock, {}), limit, geometry.filters, contraction)
    pixels = tiles.registers["avx512"][0]
    blocks = 1 if limit == whole.total else -(-whole.total // max(pixels, limit // pixels * pixels))
    block = min(whole.total, round_up(-(-whole.total // blocks), pixels))
    return Tiling.of(geometry, size, block), tiles


def _scratch(geometry: Geometry, tiling: Tiling, contraction: Contraction) -> int:
    """Bytes of the transforms and products of one tile."""
    words = -(-geometry.channels // contraction.elements)
    return 4 * tiling.planes * (words + round_up(geometry.filters, LANES))


OVERLAP = 6
"""The exponent of the norm of what runs side by side, as in `register_tiles`."""


def products_cycles(
    geometry: Geometry, tiling: Tiling, tiles: Tiles, contraction: Contraction, host: Host = DEFAULT
) -> float:
    """Cycles of all products: what they take fed from the first cache, or what reading the weights once per block does,
    what a block that leaves the second-level cache is written and read there, and what weights take to arrive."""
    words = -(-geometry.channels // contraction.elements)
    loops = Loops(1, tiling.block, 1, geometry.filters, words, 4 * tiling.block * words)
    share = tiling.total / tiling.block
    products = cost_of(loops, contraction, tiles, host).cycles * tiling.planes * share
    weights = 4 * tiling.planes * words * round_up(geometry.filters, LANES * tiles.superblock)
    level = next(x for x in host.levels if x.size_bytes is None or 4 * weights <= 3 * x.size_bytes)
    far, memory = host.levels[min(2, len(host.levels) - 1)], host.levels[-1]
    reads = -(-tiling.total // tiling.block)
    stream = reads * weights / (level.bytes_per_cycle * STREAM_RATE[level.name])
    scratch = tiling.block * _scratch(geometry, tiling, contraction)
    spilled = 2 * share * max(0, scratch - SCRATCH_BYTES) / (far.bytes_per_cycle * SPILL_RATE)
    cold = max(0, weights - FRESH_BYTES) / memory.bytes_per_cycle
    return (products**OVERLAP + stream**OVERLAP) ** (1 / OVERLAP) + spilled + cold

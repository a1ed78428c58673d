"""What one layer asks of a machine: a convolution with its requantization and pooling, in plain numbers.

A dense layer is a convolution whose kernel covers its whole input map (P = Q = 1): a flatten before it moves no data.
`network_work` reads the integer body of a fused network; an op or a connection that no convolution engine can run is a
diagnostic at its `.hap` line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects.dataflow import LayerOp, YieldOp
from hapir.dialects.nn import Conv2dOp, DenseOp, FlattenOp, MaxPoolOp, NetworkOp, ReturnOp, WeightOp
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import (
    AffineType,
    RequantizeOp,
    RescaleOp,
    Rounding,
    ThresholdOp,
    element_type,
    shape_of,
    storage_of,
)

Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ConvWork:
    """One layer: x C H W -> conv K C R S -> requantize -> optional max pool -> y K P Q (after pooling)."""

    name: str
    op: Operation
    channels: int
    height: int
    width: int
    filters: int
    window: Window
    pool: Window | None
    x_type: AffineType
    y_type: AffineType
    weight_storage: IntegerType
    multiplier: str
    rounding: Rounding
    low: int
    high: int
    weight_key: str
    bias_key: str | None
    multiplier_key: str
    shift_key: str

    @property
    def conv_size(self) -> tuple[int, int]:
        """(P, Q) of the convolution itself."""
        return self.window.output(self.height, self.width)

    @property
    def output_size(self) -> tuple[int, int]:
        """(P, Q) after pooling."""
        return self.conv_size if self.pool is None else self.pool.output(*self.conv_size)

    @property
    def pixels_per_output(self) -> int:
        """Convolution pixels behind one output pixel: the pooling window's size."""
        return 1 if self.pool is None else self.pool.kernel[0] * self.pool.kernel[1]

    @property
    def taps(self) -> int:
        """Kernel positions, R * S."""
        return self.window.kernel[0] * self.window.kernel[1]

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of the convolution, all its output pixels counted once, padding included."""
        p, q = self.conv_size
        return self.filters * self.channels * self.taps * p * q


@dataclass(frozen=True)
class LayerData:
    """A layer's numbers: w K C R S, and per output channel the folded bias, multiplier and shift.

    The bias has the input's zero point folded in: `bias - zero_point * sum(w)`, so hardware multiplies raw inputs and
    pads with the zero point.
    """

    weights: Int
    bias: Int
    multiplier: Int
    shift: Int


def layer_data(work: ConvWork, weights: Mapping[str, npt.NDArray[np.generic]]) -> LayerData:
    """The numbers of a layer from the weight store."""
    w = np.asarray(weights[work.weight_key], dtype=np.int64)
    w = w.reshape(work.filters, work.channels, *work.window.kernel)
    bias = np.zeros(work.filters, np.int64) if work.bias_key is None else np.asarray(weights[work.bias_key], np.int64)
    zero_point = work.x_type.zero_point.data
    folded = bias - zero_point * w.sum(axis=(1, 2, 3))
    per_channel = (np.asarray(weights[key], np.int64) for key in (work.multiplier_key, work.shift_key))
    multiplier, shift = (np.broadcast_to(values, (work.filters,)) for values in per_channel)
    return LayerData(w, folded, multiplier, shift)


def network_work(body: NetworkOp, target: str) -> list[ConvWork]:
    """The layers of an integer body in order, each reading what the one before wrote.

    Raises HapirError HAP0720 (an op the engine lacks) or HAP0721 (a network that is not a chain) naming `target`.
    """
    block = body.body.block
    if len(block.args) != 1 or len(body.return_op.values) != 1:
        fail(
            "HAP0721",
            f"{target} runs networks with one input and one output, this one has {len(block.args)} and "
            f"{len(body.return_op.values)}",
            at=body,
            help="split the network, or run it on C",
        )
    current = cast(SSAValue, block.args[0])
    shape = shape_of(current)
    if shape[0] != 1:
        fail("HAP0721", f"{target} runs one image at a time, the network declares N = {shape[0]}", at=body,
             help="declare the input with a leading 1")  # fmt: skip
    works: list[ConvWork] = []
    for op in block.ops:
        if isinstance(op, ReturnOp):
            continue
        if not isinstance(op, LayerOp | FlattenOp):
            _no_engine(op, target)
        if list(op.operands) != [current]:
            fail("HAP0721", f"{target} runs layers in a chain; this one reads an earlier value", at=op,
                 help="residual and branching networks run on C")  # fmt: skip
        if isinstance(op, LayerOp):
            works.append(_layer_work(op, current, target))
        current = cast(SSAValue, op.results[0])
    if not works:
        fail("HAP0720", f"the network has no layer that {target} could run", at=body, help="quantize it first")
    return works


def _no_engine(op: Operation, target: str) -> NoReturn:
    fail("HAP0720", f"{target} cannot run `{op.name}`", at=op,
         help="it runs conv2d and dense with requantize, relu, clip and max_pool; the rest runs on C")  # fmt: skip


def _layer_work(layer: LayerOp, source: SSAValue, target: str) -> ConvWork:
    ops = [op for op in layer.body.block.ops if not isinstance(op, WeightOp | YieldOp)]
    main, requantize, *rest = [*ops, None, None][: max(2, len(ops))]
    if not isinstance(main, Conv2dOp | DenseOp):
        _no_engine(ops[0], target)
    if isinstance(requantize, RescaleOp):
        fail("HAP0720", f"layer `{layer.layer_name}` ends in a real scale, and {target} has integers there", at=layer,
             help="call integer_scales(), let `quantize` give integer factors, or run it on C")  # fmt: skip
    if isinstance(requantize, ThresholdOp):
        fail("HAP0720", f"layer `{layer.layer_name}` ends in thresholds, and {target} has multipliers there", at=layer,
             help="write threshold(signs = requantize), which serves signs, or run it on C")  # fmt: skip
    if not isinstance(requantize, RequantizeOp):
        fail("HAP0720", f"layer `{layer.layer_name}` does not end in a requantization, which {target} needs", at=layer,
             help="quantize the network and let fuse group its layers")  # fmt: skip
    pool = _pool(rest, target)
    channels, height, width = map_shape(source)
    if isinstance(main, Conv2dOp):
        if main.groups.value.data != 1:
            fail("HAP0720", f"{target} has no grouped convolution, layer `{layer.layer_name}` has "
                 f"{main.groups.value.data} groups", at=main, help="run it on C")  # fmt: skip
        window = main.window.window
    else:
        window = Window((height, width))
    x_type, y_type = element_type(main.x), element_type(requantize.result)
    weight_storage = storage_of(element_type(main.w))
    assert isinstance(x_type, AffineType)
    assert isinstance(y_type, AffineType)
    assert weight_storage is not None
    return ConvWork(
        name=layer.layer_name,
        op=main,
        channels=channels,
        height=height,
        width=width,
        filters=shape_of(main.w)[0],
        window=window,
        pool=pool,
        x_type=x_type,
        y_type=y_type,
        weight_storage=weight_storage,
        multiplier=main.multiplier_text,
        rounding=requantize.rounding.data,
        low=requantize.low.value.data,
        high=requantize.high.value.data,
        weight_key=_key(main.w),
        bias_key=None if main.bias is None else _key(main.bias),
        multiplier_key=_key(requantize.multiplier),
        shift_key=_key(requantize.shift),
    )


def _pool(rest: list[Operation | None], target: str) -> Window | None:
    if not rest:
        return None
    pool = rest[0]
    if not isinstance(pool, MaxPoolOp) or len(rest) > 1:
        culprit = pool if not isinstance(pool, MaxPoolOp) else rest[1]
        assert culprit is not None
        fail("HAP0720", f"{target} cannot run `{culprit.name}` on the way out of a layer", at=culprit,
             help="it pools maxima there; the rest runs on C")  # fmt: skip
    window = pool.window.window
    if window.padding != (0, 0, 0, 0):
        fail("HAP0720", f"{target} pools without padding, this window has {window.padding}", at=pool,
             help="use padding = 0, or run it on C")  # fmt: skip
    return window


def map_shape(value: SSAValue) -> tuple[int, int, int]:
    """C, H, W of a value, looking through flattens; a plain vector is C x 1 x 1."""
    owner = value.owner
    while isinstance(owner, FlattenOp):
        value = owner.x
        owner = value.owner
    shape = shape_of(value)
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[1], 1, 1)


def _key(value: SSAValue) -> str:
    owner = value.owner
    assert isinstance(owner, WeightOp), "parameters of a layer are nn.weight ops"
    return owner.key.data

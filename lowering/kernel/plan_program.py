"""From a network to its C program: kernels, layouts, fusion of stages, in-place writes.

Law: exact on integers; on floats the sums run over (r, s, c) in f32. What a `dataflow.layer` groups becomes one kernel
where it can: pointwise ops join the step that makes their operand, widening joins an add's operands, a max pool joins a
convolution and runs on its rows as they appear. Ops outside layers are steps of their own.

Before: `dataflow.layer "c1" { conv2d; requantize; max_pool }`. After: one `Convolution` with a `Requantize` stage and a
`Pooled`, its weights packed, its input channels-last, its patch and sums in the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import PurePath

import numpy as np
from xdsl.ir import Block, Operation, SSAValue

from hapir.diagnostics import fail, span_of
from hapir.dialects import dataflow, nn, num
from hapir.dialects.nn_pools import WindowPoolOp
from hapir.dialects.nn_shapes import Window, as_map, text
from hapir.dialects.num import element_type, shape_of, zero_point_of
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import DTYPES
from hapir.lowering.kernel.frames import write_frames
from hapir.lowering.kernel.geometry import LANES, Geometry, Origin, Pooled
from hapir.lowering.kernel.integer_bounds import bounds_after, pool_bounds, sum_bounds
from hapir.lowering.kernel.join_residuals import join_residuals
from hapir.lowering.kernel.narrow_relayouts import drop_unread_relayouts, narrow_relayouts
from hapir.lowering.kernel.pack_weights import INT32_MAX
from hapir.lowering.kernel.plan_contractions import (
    is_computed,
    plan_batch_norm,
    plan_convolution,
    plan_matmul,
    plan_rows,
)
from hapir.lowering.kernel.plan_float_layers import FLOAT_PLANS, plan_bilinear
from hapir.lowering.kernel.plan_indices import plan_indices
from hapir.lowering.kernel.plan_kernel import plan_kernel
from hapir.lowering.kernel.plan_layout import LAYOUT_PLANS, no_kernel, plan_gather, plan_nearest
from hapir.lowering.kernel.plan_lookup import plan_lookup
from hapir.lowering.kernel.plan_moves import Order, map_order
from hapir.lowering.kernel.plan_pointwise import plan_cast, plan_elements, plan_function
from hapir.lowering.kernel.plan_recurrent import RECURRENT_PLANS
from hapir.lowering.kernel.plan_reductions import REDUCTION_PLANS
from hapir.lowering.kernel.plan_resample import RESAMPLE_PLANS
from hapir.lowering.kernel.plan_stages import (
    POINTWISE,
    activation_of,
    constant,
    ctype_of,
    range_of,
    rising,
    stages_of,
)
from hapir.lowering.kernel.program import Port, Program
from hapir.lowering.kernel.program_draft import Draft, Value, finish
from hapir.lowering.kernel.steps import Concat, Convolution, Elementwise, Operand, Pool, Relayout
from hapir.lowering.kernel.unpack_strips import unpack_strips
from hapir.lowering.network_edits import replace as replace_op
from hapir.weights import WeightStore

SUMS_RING = 1 << 15
"""Bytes: a ring of sums that stays in the first-level cache."""


def plan_program(network: nn.NetworkOp, weights: WeightStore, loaded: Iterable[str] = ()) -> Program:
    """The program of a network, fused or not; the parameters `loaded` are to be decoded when it starts.

    Raises HapirError: HAP07xx where an op, a type or a size has no C form, or where a sum cannot be proven to fit.
    """
    return _Planner(*_with_arrays(network, weights), frozenset(loaded)).run()


def _with_arrays(network: nn.NetworkOp, weights: WeightStore) -> tuple[nn.NetworkOp, WeightStore]:
    """A network with arrays in the place of numbers that stand for whole parameters; this one is left as it is."""
    if not any(map(_is_array, network.walk())):
        return network, weights
    network, weights = network.clone(), weights.copy()
    for op in [op for op in network.walk() if _is_array(op)]:
        assert isinstance(op, nn.FillOp)
        dtype = DTYPES[ctype_of(element_type(op.result), op)]
        key = weights.put_new("fill", np.full(shape_of(op.result), op.value.value.data, dtype))
        replace_op(op, nn.WeightOp(key, op.result.type))
    return network, weights


def _is_array(op: Operation) -> bool:
    """Whether an op is a number that is read by more than functions of elements, which know numbers."""
    known = nn.PointwiseOp | nn.BinaryOp
    return isinstance(op, nn.FillOp) and not all(isinstance(use.operation, known) for use in op.result.uses)


class _Planner:
    """Walks a network once; a table from op class to method does the rest."""

    def __init__(self, network: nn.NetworkOp, weights: WeightStore, loaded: frozenset[str]):
        self.network, self.weights = network, weights
        self.draft = Draft(loaded=loaded)
        self.values: dict[SSAValue, Value] = {}
        # for a buffer that holds N maps of C, H, W in one order, the one that holds them in the other
        self.twins: dict[tuple[int, int, Order], int] = {}
        self.copies: set[int] = set()
        """Buffers that hold a map channels-last which was made in the network's order."""
        self.layer: str | None = None
        self.fused: tuple[str, ...] = ()
        self.plans: dict[type[Operation], Callable[..., None]] = {
            nn.Conv2dOp: self.product,
            nn.Conv1dOp: self.product,
            nn.DenseOp: self.product,
            nn.MatmulOp: partial(plan_matmul, self),
            nn.MaxPoolOp: self.pool,
            nn.MaxPoolIndicesOp: partial(plan_indices, self),
            nn.AvgPoolOp: self.pool,
            nn.SumPoolOp: self.pool,
            nn.GlobalAvgPoolOp: self.pool,
            nn.GlobalMaxPoolOp: self.pool,
            nn.AddOp: self.join,
            nn.SubOp: self.join,
            nn.MulOp: self.join,
            nn.PointwiseOp: partial(plan_function, self),
            nn.CastOp: partial(plan_cast, self),
            nn.ConcatOp: self.concat,
            nn.FlattenOp: self.flatten,
            dataflow.LayerOp: self.group,
            num.ViewOp: self.view,
            **dict.fromkeys(POINTWISE, self.pointwise),
            nn.ResizeOp: self.resize,
            nn.GatherOp: self.gather,
            **{
                kind: partial(plan, self)
                for kind, plan in (
                    LAYOUT_PLANS | FLOAT_PLANS | RECURRENT_PLANS | RESAMPLE_PLANS | REDUCTION_PLANS
                ).items()
            },
        }

    def run(self) -> Program:
        """Inputs, ops, results."""
        block = self.network.body.block
        inputs = tuple(self.input(v, n.data) for v, n in zip(block.args, self.network.input_names, strict=True))
        self.block(block)
        returned, names = self.network.return_op.values, self.network.result_names
        results = tuple(self.result(v, n.data) for v, n in zip(returned, names, strict=True))
        for buffer in self.draft.buffers:
            if buffer.size_bytes > INT32_MAX:
                fail("HAP0708", f"a buffer of {buffer.size_bytes} bytes is past 2 GiB", at=self.network)
        drop_unread_relayouts(self.draft)
        narrow_relayouts(self.draft)
        join_residuals(self.draft)
        write_frames(self.draft)
        unpack_strips(self.draft)
        return finish(self.draft, self.network.sym_name.data, inputs, results)

    def block(self, block: Block) -> None:
        """Plan the ops of a block in order."""
        for op in block.ops:
            if isinstance(op, nn.ReturnOp | dataflow.YieldOp | nn.WeightOp | nn.FillOp):
                continue
            plan = self.plans.get(type(op))
            if plan is None:
                no_kernel(op)
            plan(op)

    def group(self, op: dataflow.LayerOp) -> None:
        """A layer: its ops may join into one step; its values are closed at its end."""
        self.layer, self.fused = op.layer_name, _layers_in(op)
        for argument, operand in zip(op.body.block.args, op.inputs, strict=True):
            self.values[argument] = self.value(operand, op)
        self.block(op.body.block)
        for result, inner in zip(op.outputs, op.yield_op.values, strict=True):
            self.values[result] = replace(self.value(inner, op), step=None)
        self.layer, self.fused = None, ()

    # Values

    def value(self, v: SSAValue, at: Operation) -> Value:
        """Where a value lies; a parameter used as an activation becomes a constant buffer."""
        if v not in self.values:
            array = constant(self.weights, v, at)
            assert isinstance(v.owner, nn.WeightOp)
            order = map_order(array.shape)
            flat = (array if order is None else np.moveaxis(array, 1, -1)).reshape(-1)
            table = Table(v.owner.key.data, ctype_of(element_type(v), at), np.ascontiguousarray(flat))
            bounds = range_of(element_type(v))
            self.values[v] = Value(self.draft.constant(table), array.shape, order, bounds)
        return self.values[v]

    def plain(self, v: SSAValue, at: Operation) -> Value:
        """A value in the network's own order, moved there by a step where needed."""
        value = self.value(v, at)
        return value if value.order is None else self.relayout(value, at, channels_last=False)

    def lying(self, v: SSAValue, at: Operation) -> Value:
        """A value in the order in which it was made: what works on elements in any order needs no copy of them."""
        value = self.value(v, at)
        if value.buffer not in self.copies or value.order is None:
            return value
        made = self.twins[value.buffer, value.shape[0], value.order]
        return replace(value, buffer=made, order=None, step=None)

    def relayout(self, value: Value, at: Operation, *, channels_last: bool) -> Value:
        """The same map in the other order: where it was moved from there, as it lay before."""
        order = value.order or map_order(value.shape)
        assert order is not None
        n, (c, h, w) = value.shape[0], order
        twin = self.twins.get((value.buffer, n, order))
        if twin is not None:
            return replace(value, buffer=twin, order=order if channels_last else None, step=None)
        old = self.draft.buffers[value.buffer]
        buffer = self.draft.buffer(old.ctype, old.length)
        words = "to channels-last" if channels_last else "to channels-first"
        step = Relayout(self.origin(at, words), buffer, (), value.buffer, n, c, h * w, channels_last)
        self.draft.add(step)
        self.twins[buffer, n, order], self.twins[value.buffer, n, order] = value.buffer, buffer
        if channels_last:
            self.copies.add(buffer)
        return replace(value, buffer=buffer, order=order if channels_last else None, step=None)

    def set(self, v: SSAValue, buffer: int, bounds: tuple[int, int] | None, step: int | None) -> None:
        """Record an op's result, which lies channels-last where it is a map."""
        open_step = step if self.layer is not None else None
        self.values[v] = Value(buffer, shape_of(v), map_order(shape_of(v)), bounds, open_step)

    def target(self, v: SSAValue, at: Operation) -> int:
        """A buffer for a new value."""
        return self.draft.buffer(ctype_of(element_type(v), at), prod(shape_of(v)))

    def open_step(self, v: SSAValue, value: Value) -> int | None:
        """The step that made a value, where nothing else uses the value: it may absorb the user."""
        return value.step if value.step is not None and len(list(v.uses)) == 1 else None

    def input(self, v: SSAValue, name: str) -> Port:
        """A port for an input, and its channels-last copy where one is needed."""
        element = element_type(v)
        buffer = self.draft.buffer(ctype_of(element, self.network), prod(shape_of(v)))
        self.draft.place_at(buffer, "input")
        self.values[v] = Value(buffer, shape_of(v), None, range_of(element))
        if map_order(shape_of(v)) is not None:
            self.layer = name
            self.values[v] = self.relayout(self.values[v], self.network, channels_last=True)
            self.layer = None
        return Port(name, buffer, shape_of(v), str(element))

    def result(self, v: SSAValue, name: str) -> Port:
        """A port for a result: the buffer itself moves to the caller where it can, else it is copied there."""
        at = self.network.return_op
        self.layer = name
        value = self.value(v, at)
        if value.order is not None:
            value = self.relayout(value, at, channels_last=False)
        if self.draft.buffers[value.buffer].home != "arena":
            copy = self.target(v, at)
            operand = Operand(value.buffer)
            length = prod(value.shape)
            self.draft.add(Elementwise(self.origin(at, "copy"), copy, (), (operand,), length, 1, 1))
            value = replace(value, buffer=copy)
        self.layer = None
        self.draft.place_at(value.buffer, "output")
        return Port(name, value.buffer, shape_of(v), str(element_type(v)))

    def origin(self, op: Operation, words: str) -> Origin:
        """Where a step comes from; only the file's name is kept of its path."""
        own = op.properties.get("layer")
        name = self.layer or (own.data if isinstance(own, nn.StringAttr) else op.name.split(".")[-1])
        span = span_of(op.location)
        place = None if span is None else f"{PurePath(span.file).name}:{span.line}"
        return Origin(name, words, place, self.fused)

    # Ops

    def product(self, op: nn.ProductOp) -> None:
        """Convolutions and dense; what the network computes for weights is read by loops."""
        if is_computed(op):
            plan = plan_convolution if isinstance(op, nn.ConvolutionOp) else plan_rows
            plan(self, op)  # pyright: ignore[reportArgumentType]  # products are convolutions or dense
            return
        x = self.value(op.x, op)
        words = f"{op.name.split('.')[-1]} {text(shape_of(op.x))} -> {text(shape_of(op.result))}"
        if isinstance(op, nn.ConvolutionOp):
            kernel = text(shape_of(op.w)[2:])
            words = words.replace(" ", f" {kernel}, ", 1)
        step, bounds = plan_kernel(op, x, self.draft, self.weights, self.origin(op, words))
        index = self.draft.add(step)
        self.set(op.result, step.target, bounds, index)

    def pointwise(self, op: Operation) -> None:
        """One operand: a stage of the step that makes it, or a step of its own."""
        if isinstance(op, nn.BatchNormOp) and not all(isinstance(v.owner, nn.WeightOp) for v in op.operands[1:]):
            plan_batch_norm(self, op)
            return
        v, result = activation_of(op), op.results[0]
        x = self.lying(v, op)
        origin = self.origin(op, f"{op.name.split('.')[-1]} {text(shape_of(result))}")
        stages = stages_of(op, self.weights, origin.layer, x.bounds)
        bounds = bounds_after(op, x.bounds, element_type(result))
        index = self.open_step(v, x)
        step = None if index is None else self.draft.steps[index]
        if index is not None and step is not None and getattr(step, "pool", None) is None:
            self.draft.steps[index] = replace(step, stages=step.stages + stages)
            self.draft.retype(step.target, stages[-1].ctype)
            self.values[result] = replace(x, bounds=bounds, shape=shape_of(result))
            return
        buffer = self.target(result, op)
        index = self.draft.add(Elementwise(origin, buffer, stages, (Operand(x.buffer),), *_flat(x)))
        self.made(result, replace(x, buffer=buffer, bounds=bounds), index, op)

    def made(self, v: SSAValue, value: Value, index: int | None, at: Operation) -> None:
        """Record what a step on elements gives, which may take stages yet; a map in the network's order is copied."""
        if value.order is None and map_order(value.shape) is not None:
            self.values[v] = self.relayout(value, at, channels_last=True)
        else:
            self.values[v] = replace(value, step=None if self.layer is None else index)

    def add(self, op: nn.AddOp) -> None:
        """Two operands; what only feeds the add (a widening) is done on the way in."""
        values = [self.lying(v, op) for v in (op.lhs, op.rhs)]
        values = [self._same_order(v, values, op) for v in values]
        operands: list[Operand] = []
        for v, value in zip((op.lhs, op.rhs), values, strict=True):
            index = self.open_step(v, value)
            step = None if index is None else self.draft.steps[index]
            if index is not None and isinstance(step, Elementwise) and len(step.operands) == 1:
                source = step.operands[0]
                operands.append(Operand(source.buffer, source.stages + step.stages))
                self.draft.steps[index] = None
            else:
                operands.append(Operand(value.buffer))
        bounds = sum_bounds(op, values[0].bounds, values[1].bounds)
        buffer = self.target(op.result, op)
        origin = self.origin(op, f"add {text(shape_of(op.result))}")
        index = self.draft.add(Elementwise(origin, buffer, (), tuple(operands), *_flat(values[0])))
        self.made(op.result, replace(values[0], buffer=buffer, bounds=bounds), index, op)

    def _same_order(self, value: Value, others: Sequence[Value], at: Operation) -> Value:
        """A value in the network's order where one of the others is; flattened maps may differ."""
        if value.order is None or all(o.order == value.order for o in others):
            return value
        return self.relayout(value, at, channels_last=False)

    def pool(self, op: WindowPoolOp | nn.GlobalAvgPoolOp | nn.GlobalMaxPoolOp) -> None:
        """All pools; a max pool joins the convolution before it."""
        x = self.value(op.x, op)
        (n, c, h, w), (_, _, p, q) = as_map(shape_of(op.x)), as_map(shape_of(op.result))
        window = op.window.window if isinstance(op, WindowPoolOp) else Window((h, w))
        kind = op.name.split(".")[-1]
        index = self.open_step(op.x, x)
        step = None if index is None else self.draft.steps[index]
        joins = isinstance(step, Convolution) and step.pool is None and step.geometry.height > 0
        joins = joins and window.dilation == (1, 1)
        if index is not None and joins and isinstance(op, nn.MaxPoolOp) and isinstance(step, Convolution):
            self._pool_rows(op, step, index, x)
            return
        buffer = self.target(op.result, op)
        zero_point = zero_point_of(element_type(op.x)) if isinstance(op, nn.SumPoolOp) else 0
        name = "max" if "max" in kind else "sum" if "sum" in kind else "mean"
        sums = self.draft.buffer("int32_t" if name == "sum" else self.draft.buffers[x.buffer].ctype, c)
        step = Pool(
            self.origin(op, f"{kind} {text(shape_of(op.x))} -> {text(shape_of(op.result))}"),
            buffer,
            (),
            source=x.buffer,
            geometry=Geometry(n, c, h, w, c, p, q, window),
            kind=name,
            zero_point=zero_point,
            count_padding=isinstance(op, nn.AvgPoolOp) and bool(op.count_include_pad.value.data),
            sums=sums,
        )
        bounds = pool_bounds(op, x.bounds, zero_point, window) if name == "sum" else x.bounds
        self.set(op.result, buffer, bounds, self.draft.add(step))

    def _pool_rows(self, op: nn.MaxPoolOp, step: Convolution, index: int, x: Value) -> None:
        """Let a convolution pool its rows as they appear; only a ring of rows is kept of its own result."""
        window = op.window.window
        p, q = as_map(shape_of(op.result))[2:]
        ctype, row_length = self.draft.buffers[x.buffer].ctype, step.geometry.columns * step.geometry.filters
        vectors = window.kernel[0] * step.geometry.columns * step.tiles.superblock * LANES
        of_sums = 4 * vectors <= SUMS_RING and step.borders is None and rising(step.stages)
        if of_sums:
            ring = self.draft.buffer(step.contraction.sums, vectors)
        else:
            ring = self.draft.buffer(ctype, window.kernel[0] * row_length)
        buffer = self.target(op.result, op)
        words = f"{step.origin.text}, max_pool -> {text(shape_of(op.result))}"
        pooled = Pooled(window, p, q, ring, of_sums)
        self.draft.steps[index] = replace(step, pool=pooled, target=buffer, origin=replace(step.origin, text=words))
        self.set(op.result, buffer, x.bounds, index)

    def concat(self, op: nn.ConcatOp) -> None:
        """Blocks one after the other; maps lie channels-last, so their axis moves."""
        axis, shape = op.axis.value.data, shape_of(op.result)
        order = map_order(shape)
        if order is None:
            values = [self.plain(v, op) for v in op.inputs]
            outer, lengths = prod(shape[:axis]), [prod(shape_of(v)[axis:]) for v in op.inputs]
        else:
            values = [self._map(v, op) for v in op.inputs]
            place = {0: 0, 1: len(shape) - 1}.get(axis, axis - 1)
            shapes = [(n, *rest, c) for n, c, *rest in (shape_of(v) for v in op.inputs)]
            outer, lengths = prod(shapes[0][:place]), [prod(s[place:]) for s in shapes]
        buffer = self.target(op.result, op)
        origin = self.origin(op, f"concat -> {text(shape)}")
        self.draft.add(Concat(origin, buffer, (), tuple(v.buffer for v in values), outer, tuple(lengths)))
        known = [v.bounds for v in values if v.bounds is not None]
        bounds = (min(b[0] for b in known), max(b[1] for b in known)) if known else None
        self.set(op.result, buffer, bounds, None)

    def _map(self, v: SSAValue, at: Operation) -> Value:
        """A map's value; both orders are the same for one channel or one pixel."""
        value = self.value(v, at)
        assert value.order == map_order(value.shape)
        return value

    def view(self, op: num.ViewOp) -> None:
        """The same integers under another type."""
        self.values[op.result] = replace(self.value(op.x, op), step=None)

    def flatten(self, op: nn.FlattenOp) -> None:
        """A view: the elements stay channels-last where only dense layers read them, whose columns are moved."""
        x = self.value(op.x, op)
        if x.order is not None and not all(_read_by_dense(use.operation, use.index) for use in op.result.uses):
            x = self.relayout(x, op, channels_last=False)
        self.values[op.result] = replace(x, shape=shape_of(op.result), step=None)

    def join(self, op: nn.BinaryOp) -> None:
        """Sum, difference and product; operands that repeat are read where they lie."""
        name = op.name.split(".")[-1]
        if any(shape_of(v) != shape_of(op.result) or isinstance(v.owner, nn.FillOp) for v in (op.lhs, op.rhs)):
            plan_elements(self, op, (op.lhs, op.rhs), name, ())
            return
        if isinstance(op, nn.AddOp):
            self.add(op)
            return
        values = [self.lying(v, op) for v in (op.lhs, op.rhs)]
        values = [self._same_order(v, values, op) for v in values]
        buffer = self.target(op.result, op)
        origin = self.origin(op, f"{name} {text(shape_of(op.result))}")
        operands = tuple(Operand(value.buffer) for value in values)
        operator = "-" if isinstance(op, nn.SubOp) else "*"
        self.draft.add(Elementwise(origin, buffer, (), operands, *_flat(values[0]), operator))
        self.made(op.result, replace(values[0], buffer=buffer), None, op)

    def resize(self, op: nn.ResizeOp) -> None:
        """Elements that move, or values between them."""
        plan = plan_nearest if op.mode.data == nn.ResizeMode.nearest else plan_bilinear
        plan(self, op)

    def gather(self, op: nn.GatherOp) -> None:
        """Elements that move, by constant places or by those that another layer gives."""
        plan = plan_gather if isinstance(op.indices.owner, nn.WeightOp) else plan_lookup
        plan(self, op)


def _read_by_dense(user: Operation, index: int) -> bool:
    """Whether an operand only feeds dense layers, seen through `dataflow.layer`."""
    if isinstance(user, dataflow.LayerOp):
        inner = user.body.block.args[index]
        return all(_read_by_dense(use.operation, use.index) for use in inner.uses)
    return isinstance(user, nn.DenseOp) and index == 0


def _flat(value: Value) -> tuple[int, int, int]:
    """outer x channels x inner of a value as it lies."""
    shape = value.shape
    if value.order is not None or len(shape) == 2:
        channels = shape[1]
        return prod(shape) // channels, channels, 1
    if len(shape) < 2:
        return prod(shape), 1, 1
    if map_order(shape) is None and len(shape) in (3, 4):  # one channel or one pixel
        return shape[0] * prod(shape[2:]), shape[1], 1
    return shape[0], shape[1], prod(shape[2:])


def _layers_in(op: dataflow.LayerOp) -> tuple[str, ...]:
    """The layers that a group joins, its own first."""
    names = (inner.properties.get("layer") for inner in op.body.block.ops)
    return tuple(dict.fromkeys((op.layer_name, *(name.data for name in names if isinstance(name, nn.StringAttr)))))

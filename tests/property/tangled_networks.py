"""Networks as converters leave them, tangled on purpose: transposes and changes of shape between layers, layers in
pieces, constants of any shape that repeats, values that are read several times or are results besides.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from random import Random

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import is_float, shape_of
from hapir.weights import WeightStore

LARGEST = 600
"""Elements of a value that is read again."""
SHAPES = ((2, 3, 4, 4), (1, 4, 4, 4), (2, 4, 1, 1), (1, 1, 4, 4), (2, 3, 5), (3, 4, 4), (2, 6), (4, 4))
"""Of inputs: some are equal along several axes, so that a wrong axis goes unseen where only shapes are looked at."""


class Tangle:
    """A network that grows by random pieces."""

    def __init__(self, seed: int):
        self.random = Random(seed)
        self.arrays = np.random.default_rng(seed)
        self.weights = WeightStore()
        shapes = self.random.choices(SHAPES, k=self.random.randint(1, 3))
        inputs = [(f"x{i}", TensorType(f32, shape)) for i, shape in enumerate(shapes)]
        self.network = nn.NetworkOp("tangle", inputs, [])
        self.values: list[SSAValue] = list(self.network.body.block.args)
        for _ in range(self.random.randint(5, 30)):
            self.random.choice(PIECES)(self, self.pick())
        self._finish()

    def inputs(self) -> dict[str, np.ndarray]:
        """Random inputs."""
        named = zip(self.network.input_names, self.network.body.block.args, strict=True)
        return {name.data: self.arrays.normal(size=shape_of(v)).astype(np.float32) for name, v in named}

    # --- what pieces ask ----------------------------------------------------------------------------------------------

    def pick(self, fits: Callable[[tuple[int, ...]], bool] = lambda _: True) -> SSAValue:
        """A value, rather a late one; the first input where none fits."""
        found = [v for v in self.values if fits(shape_of(v)) and prod(shape_of(v)) <= LARGEST]
        return self.random.choice(found[-6:] if self.random.random() < 0.7 else found) if found else self.values[0]

    def add(self, op: nn.LayerOp) -> SSAValue:
        """Append an op under a name of its own; its first result."""
        layers = sum(isinstance(other, nn.LayerOp) for other in self.network.body.block.ops)
        op.layer = StringAttr(f"l{layers}")
        self.network.body.block.add_op(op)
        self.values += [result for result in op.results if is_float(result) and shape_of(result)]
        return op.results[0]

    def function(self, name: str, *operands: SSAValue) -> SSAValue:
        """A function of elements."""
        return self.add(nn.PointwiseOp(name, operands))

    def constant(self, *shape: int, numbers: np.ndarray | None = None) -> SSAValue:
        """A parameter."""
        array = self.arrays.normal(size=shape) if numbers is None else numbers
        key = self.weights.put_new("c.value", np.asarray(array, np.float32))
        op = nn.WeightOp(key, TensorType(f32, array.shape))
        self.network.body.block.add_op(op)
        return op.result

    def number(self, value: float, like: SSAValue | None = None) -> SSAValue:
        """One number, as converters write it: filled, or an array of equal elements."""
        shapes = [(), (1,), *([(1,) * len(shape_of(like)), shape_of(like)] if like is not None else [])]
        if self.random.random() < 0.3:
            op = nn.FillOp(value, f32)
            self.network.body.block.add_op(op)
            return op.result
        return self.constant(numbers=np.full(self.random.choice(shapes), value))

    def order(self, rank: int) -> list[int]:
        """An order of axes: any, or one of those between channels first and last."""
        if rank == 4 and self.random.random() < 0.7:
            return self.random.choice([[0, 2, 3, 1], [0, 3, 1, 2]])
        return self.random.sample(range(rank), rank)

    def _finish(self) -> None:
        """Return what nothing reads, and some of what is read."""
        made = [v for v in self.values if not v.uses or self.random.random() < 0.1]
        self.network.body.block.add_op(nn.ReturnOp(made))
        self.network.result_names = ArrayAttr([StringAttr(f"y{i}") for i in range(len(made))])
        self.network.set_result_types()
        self.network.verify()


# --- pieces -----------------------------------------------------------------------------------------------------------


def _act(t: Tangle, x: SSAValue) -> None:
    kind = t.random.choice([nn.ReluOp, nn.SigmoidOp, nn.TanhOp])
    t.add(kind(x))


def _transpose(t: Tangle, x: SSAValue) -> None:
    t.add(nn.TransposeOp(x, t.order(len(shape_of(x)))))


def _turned_act(t: Tangle, x: SSAValue) -> None:
    order = t.order(len(shape_of(x)))
    turned = t.add(nn.TransposeOp(x, order))
    y = t.add(nn.ReluOp(turned))
    if t.random.random() < 0.5:
        y = t.add(nn.AddOp(y, t.constant(shape_of(y)[-1])))
    t.add(nn.TransposeOp(y, [order.index(i) for i in range(len(order))]))


def _join(t: Tangle, x: SSAValue) -> None:
    shape = shape_of(x)

    def fits(other: tuple[int, ...]) -> bool:
        return len(other) == len(shape) and all(a == b or 1 in (a, b) for a, b in zip(other, shape, strict=True))

    y = t.pick(fits)
    if fits(shape_of(y)):
        t.add(t.random.choice([nn.AddOp, nn.SubOp, nn.MulOp])(x, y))


def _number(t: Tangle, x: SSAValue) -> None:
    number = t.number(t.random.choice([0.0, 1.0, 2.0, 0.5, -1.0, 3.0, 1 / 6]), x)
    made = t.random.choice([nn.AddOp, nn.SubOp, nn.MulOp, None])
    operands = (x, number) if t.random.random() < 0.6 else (number, x)
    if made is not None:
        t.add(made(*operands))
    else:
        t.function(t.random.choice(["maximum", "minimum"]), *operands)


def _along(t: Tangle, x: SSAValue) -> None:
    """Arithmetic with a constant along one axis, its axes before left out or not."""
    shape = shape_of(x)
    axis = t.random.randrange(len(shape))
    sizes = [size if i == axis else 1 for i, size in enumerate(shape)]
    for _ in range(t.random.randint(1, 2)):
        constant = t.constant(*(sizes if t.random.random() < 0.5 else sizes[axis:]))
        operands = (x, constant) if t.random.random() < 0.7 else (constant, x)
        x = t.add(t.random.choice([nn.AddOp, nn.SubOp, nn.MulOp])(*operands))


def _growing(t: Tangle, x: SSAValue) -> None:
    """A number over a larger shape than that of what it is combined with."""
    number = t.constant(numbers=np.full((2, *shape_of(x)), t.random.choice([0.0, 1.0, -2.0])))
    kind = t.random.randrange(4)
    if kind == 0:
        t.function("where", t.function("greater", x, number), x, t.add(nn.MulOp(x, t.number(0.1))))
    elif kind == 1:
        t.function("maximum", x, number)
    else:
        t.add((nn.SubOp if kind == 2 else nn.AddOp)(x, number))


def _layer(t: Tangle, x: SSAValue) -> None:
    """A convolution, or a product with a matrix; a bias behind it, and sometimes another reader."""
    shape, filters = shape_of(x), t.random.choice([2, 3, 4])
    if len(shape) == 1:
        return
    if len(shape) == 4 and min(shape[2:]) > 1:
        w = t.constant(filters, shape[1], 2, 2)
        padding = t.random.choice([(0, 0, 0, 0), (0, 1, 1, 0)])
        y = t.add(nn.Conv2dOp(x, w, window=Window((2, 2), padding=padding)))
        bias = t.constant(filters, 1, 1)
    elif len(shape) == 2:
        y, bias = t.add(nn.DenseOp(x, t.constant(filters, shape[1]))), t.constant(filters)
    else:
        y, bias = t.add(nn.LinearOp(x, t.constant(filters, shape[-1]))), t.constant(filters)
    operands = (y, bias) if t.random.random() < 0.7 else (bias, y)
    t.add(t.random.choice([nn.AddOp, nn.SubOp])(*operands))


def _flat_layer(t: Tangle, x: SSAValue) -> None:
    """A dense layer of what was flattened in another order of axes."""
    if len(shape_of(x)) > 2:
        flat = t.add(nn.FlattenOp(t.add(nn.TransposeOp(x, t.order(len(shape_of(x)))))))
        t.add(nn.DenseOp(flat, t.constant(2, shape_of(flat)[1])))


def _pad(t: Tangle, x: SSAValue) -> None:
    if t.random.random() < 0.5:
        x = t.add(nn.ReluOp(x))
    shape, first = shape_of(x), t.random.choice([1, 2])
    before = [0 if i < first else t.random.randint(0, 2) for i in range(len(shape))]
    after = [0 if i < first else t.random.randint(0, 1) for i in range(len(shape))]
    y = t.add(nn.PadOp(x, before, after, value=t.random.choice([0.0, 0.0, -1.0, 0.5])))
    if len(shape) == 4 and t.random.random() < 0.7:
        _pool(t, y)


def _pool(t: Tangle, x: SSAValue) -> None:
    shape = shape_of(x)
    if len(shape) != 4 or min(shape[2:]) < 2:
        return
    size = t.random.choice([(2, 2), (2, 1), shape[2:]])
    window = Window(
        (size[0], size[1]), stride=(t.random.randint(1, 2), 1), padding=t.random.choice([(0, 0, 0, 0), (1, 0, 0, 0)])
    )
    if t.random.random() < 0.5:
        t.add(nn.MaxPoolOp(x, window=window))
    else:
        t.add(nn.AvgPoolOp(x, window=window, count_include_pad=t.random.random() < 0.5))


def _reduce(t: Tangle, x: SSAValue) -> None:
    rank = len(shape_of(x))
    axes = t.random.choice(
        [sorted(t.random.sample(range(rank), t.random.randint(1, rank))), list(range(2, rank)) or [rank - 1]]
    )
    t.add(nn.ReduceOp(t.random.choice(["mean", "max", "sum"]), x, axes, keep=t.random.random() < 0.5))


def _reshape(t: Tangle, x: SSAValue) -> None:
    shape = shape_of(x)
    if len(shape) < 2:
        return
    if t.random.random() < 0.4:
        t.add(nn.FlattenOp(x))
        return
    axis = t.random.randrange(len(shape) - 1)
    joined = [*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]]
    new = t.random.choice([joined, [*shape, 1], [*shape[:1], 1, *shape[1:]], [1, *shape]])
    first = 1 if new[0] == shape[0] else 0
    t.add(nn.ReshapeOp(x, new[first:], axis=first))


def _move(t: Tangle, x: SSAValue) -> None:
    """A concatenation, a split, a slice or a tiling along some axis."""
    shape = shape_of(x)
    axis, kind = t.random.randrange(len(shape)), t.random.randrange(4)
    size = shape[axis]
    if kind == 0:
        same = [v for v in like_but_for(t, x, axis) if prod(shape_of(v)) <= LARGEST]
        t.add(nn.ConcatOp([x, *t.random.choices(same, k=t.random.randint(1, 2))], axis=axis))
    elif kind == 1 and size > 1:
        t.add(nn.SplitOp(x, [1, size - 1], axis=axis))
    elif kind == 2:
        starts, steps = [0] * len(shape), [1] * len(shape)
        if t.random.random() < 0.5:
            starts[axis], steps[axis] = size - 1, -1
            t.add(nn.SliceOp(x, starts, shape, steps))
        else:
            t.add(nn.SliceOp(x, starts, [1 if i == axis else n for i, n in enumerate(shape)]))
    else:
        t.add(nn.TileOp(x, [2 if i == axis else 1 for i in range(len(shape))]))


def like_but_for(t: Tangle, x: SSAValue, axis: int) -> list[SSAValue]:
    """Values of one shape but for an axis."""

    def others(v: SSAValue) -> list[int]:
        return [n for i, n in enumerate(shape_of(v)) if i != axis]

    return [v for v in t.values if len(shape_of(v)) == len(shape_of(x)) and others(v) == others(x)]


def _softmax(t: Tangle, x: SSAValue) -> None:
    axis = t.random.randrange(len(shape_of(x)))
    t.add(t.random.choice([nn.SoftmaxOp, nn.LogSoftmaxOp])(x, axis=axis))


def _norm(t: Tangle, x: SSAValue) -> None:
    """A layer norm in pieces: of the last axes, or means and variances that are not of the same, or of all axes."""
    shape = shape_of(x)
    axes = t.random.choice([[len(shape) - 1], list(range(1, len(shape))) or [0], list(range(len(shape)))])
    wrong = t.random.random() < 0.3
    mean = t.add(nn.ReduceOp("mean", x, axes, keep=True))
    apart = t.add(nn.SubOp(x, mean))
    others = [len(shape) - 1] if wrong else axes
    variance = t.add(nn.ReduceOp("mean", t.add(nn.MulOp(apart, apart)), others, keep=True))
    spread = t.function("sqrt", t.add(nn.AddOp(variance, t.number(1e-2))))
    y = t.function("div", apart, spread)
    for kind in (nn.AddOp, nn.MulOp, nn.AddOp)[t.random.randrange(3) :]:
        y = t.add(kind(y, t.constant(*shape[axes[0] :])))


def _activation(t: Tangle, x: SSAValue) -> None:
    """Pieces of activations, some of them with other numbers than these have."""
    kind, number = t.random.randrange(5), t.random.choice([1.0, 0.0, -1.0, 2.0])
    if kind == 0:
        y = t.add(nn.ClipOp(t.add(nn.AddOp(x, t.number(3.0, x))), low=0.0, high=6.0))
        t.add(nn.MulOp(t.add(nn.MulOp(y, x)), t.number(t.random.choice([1 / 6, 0.5]), x)))
    elif kind == 1:
        gate = t.add(nn.SigmoidOp(x))
        t.add(nn.MulOp(gate, t.pick(lambda shape: shape == shape_of(x)) if number else x))
    elif kind == 2:
        line = t.add(nn.SubOp(t.number(0.5), t.add(nn.MulOp(x, t.number(0.2)))))
        y = t.add(nn.ClipOp(line, low=t.random.choice([0.0, -1.0]), high=1.0))
        if t.random.random() < 0.3:
            t.add(nn.MulOp(y, t.number(number, y)))
    elif kind == 3:
        below = t.add(nn.ReluOp(t.add(nn.MulOp(x, t.number(t.random.choice([-1.0, -2.0]))))))
        t.add(t.random.choice([nn.AddOp, nn.SubOp])(t.add(nn.ReluOp(x)), t.add(nn.MulOp(below, t.number(-0.1)))))
    else:
        t.function("maximum", x, t.add(nn.MulOp(x, t.number(t.random.choice([0.1, 2.0, -0.1])))))


PIECES: tuple[Callable[[Tangle, SSAValue], None], ...] = (
    _act,
    _transpose,
    _turned_act,
    _turned_act,
    _join,
    _join,
    _number,
    _number,
    _along,
    _growing,
    _layer,
    _layer,
    _flat_layer,
    _pad,
    _pool,
    _reduce,
    _reshape,
    _move,
    _move,
    _softmax,
    _norm,
    _activation,
)

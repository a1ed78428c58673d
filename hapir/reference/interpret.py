"""Run a network: each op by its dialect's table of meanings, batched along axis 0.

Inputs and weights are checked before anything runs: names, dtypes, shapes beyond the batch axis, and that every float
is finite. An array is dropped after its last use, so memory follows the widest point of the network, not its depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from hapir.diagnostics import did_you_mean, fail
from hapir.dialects.nn import NetworkOp, WeightOp, first_mixing
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import (
    BipolarType,
    CodebookType,
    PerChannelType,
    PlanesType,
    ScaledType,
    code_range,
    codes_of,
    element_type,
    shape_of,
    table_key,
)
from hapir.quantizers.coded import fits_blocks
from hapir.reference import (
    dataflow,
    enc,
    enc_slices,
    nn,
    nn_elementwise,
    nn_layout,
    nn_pointwise,
    nn_recurrent,
    nn_reductions,
    nn_resize,
    num,
)
from hapir.reference.values import Array, Meaning, Setting, dtype_of
from hapir.weights import GIVE_WEIGHTS

MEANINGS: Mapping[type[Operation], Meaning] = {
    **nn.MEANINGS,
    **nn_elementwise.MEANINGS,
    **nn_pointwise.MEANINGS,
    **nn_reductions.MEANINGS,
    **nn_layout.MEANINGS,
    **nn_resize.MEANINGS,
    **nn_recurrent.MEANINGS,
    **num.MEANINGS,
    **enc.MEANINGS,
    **enc_slices.MEANINGS,
    **dataflow.MEANINGS,
}
"""Every op class that computes, over all dialects."""

Observer = Callable[[Operation, tuple[Array, ...]], None]
"""Called with each op that has results, in order of execution, and with its results."""


def run_network(
    network: NetworkOp,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    observe: Observer | None = None,
    finite: bool = True,
) -> dict[str, Array]:
    """The results of a network, by name, for a batch of inputs.

    `inputs` has one array per input name, of the declared shape: float32 for f32, else the numpy integer that
    `values.dtype_of` gives. Where all ops keep the items along axis 0 apart, axis 0 may be another size, the same for
    all, which is then that of the results. `observe` also sees the ops inside a `dataflow.layer`, and then the layer.
    With `finite` False the floats of inputs may be infinite or no numbers.

    Raises HapirError: HAP0420 for missing or unknown inputs, HAP0421 for a wrong shape or dtype, HAP0422 for data that
    are not finite or not in their type's range, HAP0423 for missing weights, HAP0424 for weights that differ from
    their type, HAP0425 for an op without a meaning. Raises OverflowError where an accumulator leaves si32.
    """
    arguments = _bind_inputs(network, inputs, finite)
    _check_weights(network, weights)
    results = _Run(weights, observe).block(network.body.block, arguments)
    return {name.data: result for name, result in zip(network.result_names, results, strict=True)}


def check_finite(network: NetworkOp, results: Mapping[str, Array]) -> None:
    """Raise HapirError (HAP0422) where results of a network are not finite, though its input and weights are."""
    for name, value in results.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            what = f"`{name}` of `{network.sym_name.data}` is not finite on this input: its sums leave the range of f32"
            fail("HAP0422", what, at=network, help="scale the input, or train smaller weights")


def run_op(op: Operation, operands: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
    """What one op gives for its operands' arrays; parameters, and the tables of what it gives, are checked first.

    Raises HapirError (HAP0422 to HAP0425) as `run_network`.
    """
    for value in op.operands:
        if isinstance(value.owner, WeightOp):
            _check_parameter(value.owner, weights)
    _check_tables(op, weights)
    run = _Run(weights, None)
    return run.op(op, operands, Setting(weights, run.block))


@dataclass(frozen=True)
class _Run:
    """One run: where arrays come from and who watches."""

    weights: Mapping[str, Array]
    observe: Observer | None

    def block(self, block: Block, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """Run a block's ops; the operands of its terminator."""
        terminator = block.last_op
        assert terminator is not None
        setting = Setting(self.weights, self.block)
        last_use = {operand: op for op in block.ops for operand in op.operands}
        values: dict[SSAValue, Array] = dict(zip(block.args, arguments, strict=True))
        for op in block.ops:
            if op is terminator:
                break
            results = self.op(op, [values[operand] for operand in op.operands], setting)
            values.update(zip(op.results, results, strict=True))
            for value in (*op.operands, *op.results):
                if last_use.get(value, op) is op:
                    values.pop(value, None)
        return tuple(values[operand] for operand in terminator.operands)

    def op(self, op: Operation, operands: Sequence[Array], setting: Setting) -> tuple[Array, ...]:
        """Run one op."""
        meaning = MEANINGS.get(type(op))
        if meaning is None:
            fail(
                "HAP0425",
                f"the reference interpreter does not know the op `{op.name}`",
                at=op,
                help="give the op a meaning in its dialect's table under hapir/reference",
            )
        try:
            # what leaves f32 is infinite, as IEEE 754 says: no warning of numpy's is needed
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                results = meaning(op, operands, setting)
        except FloatingPointError as error:
            fail("HAP0422", f"{error}, at {_place(op)}", at=op, help="look for weights or inputs of absurd size")
        except OverflowError as error:
            error.add_note(f"at {_place(op)}")
            raise
        if self.observe is not None:
            self.observe(op, results)
        return results


def _place(op: Operation) -> str:
    layer = op.properties.get("layer")
    return f"{op.name} {layer}" if layer is not None else op.name


def _bind_inputs(network: NetworkOp, inputs: Mapping[str, Array], finite: bool) -> list[Array]:
    """The input arrays in the network's order, checked."""
    declared = {name.data: value for name, value in zip(network.input_names, network.body.block.args, strict=True)}
    wanted = ", ".join(f"`{name}`: {_words(value)}" for name, value in declared.items())
    for name in inputs:
        if name not in declared:
            hint = did_you_mean(name, declared) or f"the inputs are {wanted}"
            fail("HAP0420", f"the network `{network.sym_name.data}` has no input `{name}`", at=network, help=hint)
    missing = [name for name in declared if name not in inputs]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        fail("HAP0420", f"no array is given for the input {names}", at=network, help=f"the inputs are {wanted}")
    exact = all(inputs[name].shape == shape_of(value) for name, value in declared.items())
    batch = None if exact else len(next(iter(inputs.values()))) if next(iter(inputs.values())).ndim else 0
    for name, value in declared.items():
        _check_input(network, name, value, inputs[name], batch)
        if finite or inputs[name].dtype.kind != "f":
            _check_values(network, f"the input `{name}`", inputs[name], element_type(value))
    mixes = None if exact else first_mixing(network)
    if mixes is not None:
        message = f"{_place(mixes)} mixes the items along axis 0: the network takes exactly the shapes that it declares"
        shapes = ", ".join(f"`{name}`: {text(shape_of(value))}" for name, value in declared.items())
        fail("HAP0421", message, at=mixes, help=f"they are {shapes}, one batch at a time")
    return [inputs[name] for name in declared]


def _words(value: SSAValue) -> str:
    """A tensor's type as numpy words: `float32 of shape Nx1x8x8`."""
    shape = shape_of(value)
    return f"{dtype_of(element_type(value))} of shape {'x'.join(['N', *map(str, shape[1:])]) if shape else 'scalar'}"


def _check_input(network: NetworkOp, name: str, value: SSAValue, array: Array, batch: int | None) -> None:
    """One input has the declared dtype and shape, and the batch size of all where it is given."""
    shape, dtype = shape_of(value), dtype_of(element_type(value))
    expected = f"it must be {_words(value)}"
    if array.dtype != dtype:
        fail("HAP0421", f"the input `{name}` is {array.dtype}", at=network, help=expected)
    if array.ndim != len(shape) or array.shape[1:] != shape[1:] or (batch is None and array.shape != shape):
        fail("HAP0421", f"the input `{name}` has shape {text(array.shape)}", at=network, help=expected)
    if batch is not None and (array.ndim == 0 or len(array) != batch or batch == 0):
        fail(
            "HAP0421",
            f"the input `{name}` holds {len(array)} items",
            at=network,
            help="every input needs the same number of items, at least one",
        )


def _check_values(op: Operation, what: str, array: Array, element: Attribute) -> None:
    """Floats must be finite; integers of an odd width must lie in its range."""
    if array.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            place: list[int] = bad[0].tolist()
            count = "a value that is" if len(bad) == 1 else f"{len(bad)} values that are"
            where = f"({array[tuple(place)]}) at {place}"
            message = f"{what} has {count} not finite, {where if len(bad) == 1 else f'the first {where}'}"
            broken = "train or export them again" if isinstance(op, WeightOp) else "clean the data"
            fail("HAP0422", message, at=op, help=f"{broken}: every value must be a finite number")
        return
    codes = codes_of(element)
    if codes is None or not array.size:
        return
    low, high = code_range(codes)
    limits = np.iinfo(array.dtype)
    if (low > limits.min or high < limits.max) and (array.min() < low or array.max() > high):
        message = f"{what} has values from {array.min()} to {array.max()}, {codes} holds {low} to {high}"
        fail("HAP0422", message, at=op, help="quantize the data to the type's range")
    if isinstance(codes, BipolarType) and (array % 2 == 0).any():
        fail("HAP0422", f"{what} has even numbers, {codes} holds odd ones", at=op, help="quantize the data again")


def _check_weights(network: NetworkOp, weights: Mapping[str, Array]) -> None:
    """Every array that the IR names is there, and is what its type says."""
    for op in network.walk():
        if isinstance(op, WeightOp):
            _check_parameter(op, weights)
        else:
            _check_tables(op, weights)


def _check_tables(op: Operation, weights: Mapping[str, Array]) -> None:
    for result in op.results:
        if isinstance(result.type, TensorType):
            _check_table(op, result, weights)


def _check_parameter(op: WeightOp, weights: Mapping[str, Array]) -> None:
    """The array of a parameter and the table of its type are there, and are what the type says."""
    array = _stored(op, op.key.data, weights)
    expected = (dtype_of(element_type(op.result)), shape_of(op.result))
    if (array.dtype, array.shape) != expected:
        fail(
            "HAP0424",
            f"the weights `{op.key.data}` are {array.dtype} of shape {text(array.shape)}",
            at=op,
            help=f"the network reads them as {expected[0]} of shape {text(expected[1])}",
        )
    _check_values(op, f"the array `{op.key.data}`", array, element_type(op.result))
    _check_table(op, op.result, weights)


def _stored(op: Operation, key: str, weights: Mapping[str, Array]) -> Array:
    array = weights.get(key)
    if array is None:
        help = did_you_mean(key, weights) or (
            f"the file holds {len(weights)} arrays, none of a similar name" if weights else GIVE_WEIGHTS
        )
        fail("HAP0423", f"there are no weights `{key}`", at=op, help=help)
    return array


def _check_table(op: Operation, value: SSAValue, weights: Mapping[str, Array]) -> None:
    """The table that a value's element type names is there, of the right shape, sound, and as long as codes reach."""
    element, shape = element_type(value), shape_of(value)
    key = table_key(element)
    if key is None:
        return
    table = _stored(op, key, weights)
    what, wanted = _wanted_table(element, shape, table.shape)
    if table.dtype.kind != "f" or wanted is not None:
        message = f"the {what} `{key}` are {table.dtype} of shape {text(table.shape)}"
        fail("HAP0424", message, at=op, help=wanted or "they must be floating-point numbers")
    sound = np.isfinite(table) if what != "scales" else np.isfinite(table) & (table > 0)
    if not sound.all():
        kind = "finite" if what != "scales" else "positive and finite"
        fail("HAP0422", f"the {what} `{key}` are not all {kind}", at=op, help="quantize the network again")
    if isinstance(op, WeightOp) and isinstance(element, CodebookType):
        last = int(weights[op.key.data].max(initial=0))
        if last >= table.shape[-1]:
            message = f"the array `{op.key.data}` has the index {last}, there are {table.shape[-1]} levels"
            fail("HAP0422", message, at=op, help="quantize the network again")


def _wanted_table(element: Attribute, shape: tuple[int, ...], found: tuple[int, ...]) -> tuple[str, str | None]:
    """What a table is called, and what its shape should be where it is another."""
    match element:
        case PerChannelType():
            axis, channels = element.axis.data, shape[element.axis.data]
            return "scales", None if found == (channels,) else f"axis {axis} needs {channels} floating-point scales"
        case ScaledType():
            fits = fits_blocks(found, shape)
            return "scales", None if fits else f"each of its sizes must divide that of the tensor, {text(shape)}"
        case PlanesType():
            count = element.count.data
            fits = found[-1:] == (count,) and _rows_fit(found, shape)
            return "bases", None if fits else f"there must be {count} of them, or rows of as many for blocks of axis 0"
        case _:
            assert isinstance(element, CodebookType)
            most = 1 << element.storage.width.data
            fits = found != () and 1 <= found[-1] <= most and _rows_fit(found, shape)
            return "levels", None if fits else f"there must be at most {most} of them, or rows for blocks of axis 0"


def _rows_fit(table: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a table is a row, or as many rows as axis 0 has equal blocks."""
    return len(table) == 1 or (len(table) == 2 and fits_blocks(table[:1], shape[:1]))

"""Recurrent layers of the dialect `nn`: a cell that walks over the time steps of N T C.

Rationale. One op is one direction: a bidirectional layer is two ops on the same input and a concat of their outputs
along axis 2, so that every pass that works on weights meets one matrix per operand. Everything is f32 but `lengths`.
Gates lie one after the other along axis 0 of weights and biases, in PyTorch's order; with H hidden units, rows `g*H` to
`(g + 1)*H` belong to gate g. Other tools have other orders, and their importers reorder: ONNX has i o f c and z r h,
Keras i f c o and z r h. What is left out has its default: the state before the first step is 0, gates go through
sigmoid and all else through tanh. Weights are parameters as a rule, but may be computed like any other operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import ClassVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    BoolAttr,
    Float64Type,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    UnitAttr,
    f32,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.assembly import float_text
from hapir.dialects.nn_cell import CellActivation, cell_activation
from hapir.dialects.nn_op import LayerOp, implied_shape, infer_result, is_parameter, layer_attr, need_float
from hapir.dialects.nn_shapes import Shape
from hapir.dialects.num import element_type, shape_of, signed


class RecurrentOp(LayerOp):
    """A recurrent layer: x N T C, input and hidden weights, no bias or two (input, hidden), and what it starts from.

    `initial`: none or one tensor N H (or 1 H) per state. `peephole`: (3H), of an LSTM. `lengths`: si32 N, how many
    steps each sequence has (cut to 0 .. T): outputs past it are 0, its last state is that of its last step. `clip`:
    the sums of gates are cut to -clip .. clip before their activations; the cell's state is not.
    Its results are those of all steps, then the states; each op defines them itself, as xDSL puts an op's own before
    those it inherits.
    """

    GATES: ClassVar[int]
    """How many gates a cell has."""
    STATES: ClassVar[int]
    """How many states a cell has: the last output, and the cell of an LSTM."""
    ACTIVATIONS: ClassVar[tuple[str, ...]]
    """The activations where none are given, in ONNX's order (f, g, h)."""

    x = operand_def(base(TensorType))
    w_input = operand_def(base(TensorType))
    w_hidden = operand_def(base(TensorType))
    biases = var_operand_def(base(TensorType))
    initial = var_operand_def(base(TensorType))
    peephole = opt_operand_def(base(TensorType))
    lengths = opt_operand_def(base(TensorType))
    reverse = prop_def(BoolAttr)
    activations = opt_prop_def(ArrayAttr[StringAttr])
    clip = opt_prop_def(FloatAttr[Float64Type])
    reset_before = opt_prop_def(UnitAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(Pure())

    def __init__(
        self,
        x: SSAValue,
        w_input: SSAValue,
        w_hidden: SSAValue,
        biases: Sequence[SSAValue] = (),
        *,
        initial: Sequence[SSAValue] = (),
        peephole: SSAValue | None = None,
        lengths: SSAValue | None = None,
        reverse: bool = False,
        activations: Sequence[str] = (),
        clip: float | None = None,
        reset_before: bool = False,
        layer: str | None = None,
    ):
        given = tuple(cell_activation(text).text for text in activations)
        super().__init__(
            operands=[x, w_input, w_hidden, biases, initial, peephole, lengths],
            result_types=[f32] * len(self.get_irdl_definition().results),
            properties={
                "reverse": IntegerAttr.from_bool(reverse),
                "activations": None if given in ((), self.ACTIVATIONS) else ArrayAttr(map(StringAttr, given)),
                "clip": None if clip is None else FloatAttr(clip, 64),
                "reset_before": UnitAttr() if reset_before else None,
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def cell_activations(self) -> tuple[CellActivation, ...]:
        """The activations of the cell, in ONNX's order (f, g, h). Raises ValueError for a text that names none."""
        given = self.ACTIVATIONS if self.activations is None else [text.data for text in self.activations]
        return tuple(map(cell_activation, given))

    @property
    def keeps_items(self) -> bool:
        """Whether items of the batch stay apart at any batch size: not where parameters come from inputs, or where
        there is a parameter per item.
        """
        shared = [self.w_input, self.w_hidden, *self.biases, *([] if self.peephole is None else [self.peephole])]
        per_item = [*self.initial, *([] if self.lengths is None else [self.lengths])]
        return all(map(is_parameter, shared)) and all(not is_parameter(v) or shape_of(v)[0] == 1 for v in per_item)

    def implied_types(self) -> Sequence[Attribute]:
        need_float(self, *(v for v in self.operands if v is not self.lengths))
        self._check_cell()
        biases = [shape_of(v) for v in self.biases]

        def rule() -> Shape:
            weights = shape_of(self.w_input), shape_of(self.w_hidden)
            shape = nn_shapes.recurrent(shape_of(self.x), *weights, biases, self.GATES)
            peephole = None if self.peephole is None else shape_of(self.peephole)
            lengths = None if self.lengths is None else shape_of(self.lengths)
            nn_shapes.recurrent_start(shape, list(map(shape_of, self.initial)), self.STATES, peephole, lengths)
            return shape

        n, t, h = implied_shape(rule)
        state = TensorType(f32, (n, h))
        return [TensorType(f32, (n, t, h)), *[state] * (len(self.results) - 1)]

    def _check_cell(self) -> None:
        """Raise VerifyException where activations, clip, peephole or lengths are not those of this cell."""
        try:
            activations = self.cell_activations
        except ValueError as error:
            raise VerifyException(str(error)) from error
        if len(activations) != len(self.ACTIVATIONS):
            raise VerifyException(f"{self.name} has {len(self.ACTIVATIONS)} activations, got {len(activations)}")
        if self.clip is not None and not (isfinite(self.clip.value.data) and self.clip.value.data > 0):
            raise VerifyException(f"{self.name} clips at a positive number, got {self.clip.value.data}")
        if self.peephole is not None and not isinstance(self, LstmOp):
            raise VerifyException(f"{self.name} has no peepholes: an LSTM has")
        if self.reset_before is not None and not isinstance(self, GruOp):
            raise VerifyException(f"{self.name} has no reset gate: a GRU has")
        if self.lengths is not None and element_type(self.lengths) != signed(32):
            raise VerifyException(f"{self.name} takes lengths of si32, got {element_type(self.lengths)}")

    @classmethod
    def parse(cls, parser: Parser) -> RecurrentOp:
        at = parser.pos
        given = [parser.parse_unresolved_operand()]
        for _ in range(2):
            parser.parse_punctuation(",")
            given.append(parser.parse_unresolved_operand())
        segments = [1, 1, 1]
        for keyword in ("bias", "initial", "peephole", "lengths"):
            found = []
            if parser.parse_optional_keyword(keyword):
                found = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
            segments.append(len(found))
            given += found
        activations: list[str] = []
        if parser.parse_optional_keyword("activations"):
            activations = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal)
        clip = float(parser.parse_number()) if parser.parse_optional_keyword("clip") else None
        reset_before = parser.parse_optional_keyword("reset_before") is not None
        parser.parse_keyword("reverse")
        reverse = parser.parse_boolean()
        layer = parser.parse_str_literal() if parser.parse_optional_keyword("layer") else None
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        type_ = parser.parse_function_type()
        operands = parser.resolve_operands(given, type_.inputs.data, at)
        if max(segments[5:]) > 1:
            parser.raise_error("a recurrent layer has one tensor of peepholes and one of lengths", at)
        pieces = list[SSAValue | Sequence[SSAValue] | None](operands[:3])
        first = 3
        for position, size in enumerate(segments[3:]):
            found = operands[first : first + size]
            pieces.append(found if position < 2 else next(iter(found), None))
            first += size
        properties: dict[str, Attribute | None] = {
            "reverse": IntegerAttr.from_bool(reverse),
            "activations": ArrayAttr(map(StringAttr, activations)) if activations else None,
            "clip": None if clip is None else FloatAttr(clip, 64),
            "reset_before": UnitAttr() if reset_before else None,
            "layer": layer_attr(layer),
        }
        op = cls.__new__(cls)
        LayerOp.__init__(op, operands=pieces, result_types=type_.outputs.data, properties=properties)
        op.attributes.update(attributes)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list((self.x, self.w_input, self.w_hidden), printer.print_ssa_value)
        extra = {"bias": self.biases, "initial": self.initial}
        single = {"peephole": self.peephole, "lengths": self.lengths}
        extra |= {keyword: () if value is None else (value,) for keyword, value in single.items()}
        for keyword, values in extra.items():
            if values:
                printer.print_string(f" {keyword} ")
                printer.print_list(values, printer.print_ssa_value)
        if self.activations is not None:
            printer.print_string(" activations ")
            printer.print_attribute(self.activations)
        if self.clip is not None:
            printer.print_string(f" clip {float_text(self.clip.value.data)}")
        if self.reset_before is not None:
            printer.print_string(" reset_before")
        printer.print_string(f" reverse {str(bool(self.reverse.value.data)).lower()}")
        if self.layer is not None:
            printer.print_string(" layer ")
            printer.print_string_literal(self.layer.data)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_operation_type(self)


@irdl_op_definition
class LstmOp(RecurrentOp):
    """Long short-term memory: x N T C -> all outputs N T H, the last output N H, the last cell state N H.

    Per step, with gates i, f, g, o in this order: `(i, f, g, o) = (W_input x + b_input) + (W_hidden h + b_hidden)`,
    `c = sigmoid(f) * c + sigmoid(i) * tanh(g)`, `h = sigmoid(o) * tanh(c)`. With `reverse` the steps run from the last
    to the first; output t still belongs to step t (Hochreiter and Schmidhuber, 1997; Gers et al., 2000). Peepholes p,
    in the order i, f, o, add `p_i * c` to i and `p_f * c` to f, and `p_o * c` of the new c to o. Activations f, g, h
    take the places of sigmoid, of the tanh of g and of the tanh of c.

    Example: `%y, %h, %c = nn.lstm %x, %wi, %wh bias %bi, %bh reverse false layer "l" : (tensor<1x6x4xf32>,
        tensor<32x4xf32>, tensor<32x8xf32>, tensor<32xf32>, tensor<32xf32>)
        -> (tensor<1x6x8xf32>, tensor<1x8xf32>, tensor<1x8xf32>)`
    """

    name = "nn.lstm"
    GATES: ClassVar[int] = 4
    STATES: ClassVar[int] = 2
    ACTIVATIONS: ClassVar[tuple[str, ...]] = ("sigmoid", "tanh", "tanh")
    outputs = result_def(base(TensorType))
    hidden = result_def(base(TensorType))
    cell = result_def(base(TensorType))


@irdl_op_definition
class GruOp(RecurrentOp):
    """Gated recurrent unit: x N T C -> all outputs N T H, the last output N H.

    Per step, with gates r, z, n in this order: `r, z = sigmoid((W_input x + b_input) + (W_hidden h + b_hidden))`,
    `n = tanh((W_input x + b_input) + r * (W_hidden h + b_hidden))`, `h = (1 - z) * n + z * h`: the reset gate scales
    after the hidden weights, as in PyTorch, in Keras with reset_after and in ONNX with linear_before_reset. With
    `reset_before` it scales before them: `n = tanh((W_input x + b_input) + (W_hidden (r * h) + b_hidden))` (Cho et
    al., 2014). Activations f, g take the places of sigmoid and tanh.

    Example: `%y, %h = nn.gru %x, %wi, %wh reverse false layer "g" : (tensor<1x6x4xf32>, tensor<24x4xf32>,
        tensor<24x8xf32>) -> (tensor<1x6x8xf32>, tensor<1x8xf32>)`
    """

    name = "nn.gru"
    GATES: ClassVar[int] = 3
    STATES: ClassVar[int] = 1
    ACTIVATIONS: ClassVar[tuple[str, ...]] = ("sigmoid", "tanh")
    outputs = result_def(base(TensorType))
    hidden = result_def(base(TensorType))


@irdl_op_definition
class RnnOp(RecurrentOp):
    """A layer whose outputs are its state: x N T C -> all outputs N T H, the last output N H.

    Per step: `h = tanh((W_input x + b_input) + (W_hidden h + b_hidden))` (Elman, 1990). The activation f takes the
    place of tanh.

    Example: `%y, %h = nn.rnn %x, %wi, %wh reverse false layer "r" : (tensor<1x6x4xf32>, tensor<8x4xf32>,
        tensor<8x8xf32>) -> (tensor<1x6x8xf32>, tensor<1x8xf32>)`
    """

    name = "nn.rnn"
    GATES: ClassVar[int] = 1
    STATES: ClassVar[int] = 1
    ACTIVATIONS: ClassVar[tuple[str, ...]] = ("tanh",)
    outputs = result_def(base(TensorType))
    hidden = result_def(base(TensorType))

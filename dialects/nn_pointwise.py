"""Ops of the dialect `nn` that are a function of each element: `nn.pointwise`, `nn.cast`, and `nn.fill`, one number.

Operands repeat along axes of size 1 and along leading axes that they lack, as numpy broadcasts them. The functions are
those of `nn_functions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float32Type,
    Float64Type,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
    f32,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.assembly import Number, Reals, Word, number, reals
from hapir.dialects.nn_functions import FUNCTIONS, Function
from hapir.dialects.nn_op import LayerOp, UnaryOp, implied_shape, infer_result, layer_attr, repeats_items
from hapir.dialects.num import element_type, integer_range, shape_of


@irdl_op_definition
class FillOp(IRDLOperation):
    """One number in all places of a tensor, which is mostly a scalar that the other operand of a function repeats.

    Example: `%c = nn.fill 0.5 : tensor<f32>`
    """

    name = "nn.fill"
    value = prop_def(FloatAttr[Float64Type] | IntegerAttr[I64])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "custom<Number>($value) attr-dict `:` type($result)"
    custom_directives = (Number,)

    def __init__(self, value: float | int, element: Attribute, shape: Sequence[int] = ()):
        """`value` as the element type holds it: of f32 it is rounded when the network runs."""
        held = float(value) if isinstance(element, Float32Type) else int(value)
        super().__init__(result_types=[TensorType(element, shape)], properties={"value": number(held)})

    def verify_(self) -> None:
        element, value = element_type(self.result), self.value
        match element:
            case Float32Type() if isinstance(value, FloatAttr):
                return
            case IntegerType() if isinstance(value, IntegerAttr):
                low, high = integer_range(element)
                if not low <= value.value.data <= high:
                    raise VerifyException(f"{element} holds {low} to {high}, not {value.value.data}")
            case _:
                raise VerifyException(f"f32 is filled with a real number and integers with a whole one, got {element}")


@irdl_op_definition
class PointwiseOp(LayerOp):
    """A function of the table `nn_functions` of each element of its operands, which repeat to fit each other.

    Example: `%y = nn.pointwise elu(%x) with [1.0] : (tensor<1x4xf32>) -> tensor<1x4xf32>`
    """

    name = "nn.pointwise"
    function = prop_def(StringAttr)
    inputs = var_operand_def(base(TensorType))
    parameters = opt_prop_def(ArrayAttr[FloatAttr[Float64Type]])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "custom<Word>($function) `(` $inputs `)` (`with` custom<Reals>($parameters)^)? (`layer` $layer^)? attr-dict "
        "`:` functional-type(operands, results)"
    )
    custom_directives = (Word, Reals)

    def __init__(
        self, function: str, inputs: Sequence[SSAValue], parameters: Sequence[float] = (), *, layer: str | None = None
    ):
        """`parameters` in the order of the table; those left out have its defaults."""
        known = FUNCTIONS.get(function)
        defaults = list(known.parameters.values()) if known else []
        given = [*parameters, *defaults[len(parameters) :]]
        super().__init__(
            operands=[inputs],
            result_types=[f32],
            properties={
                "function": StringAttr(function),
                "parameters": reals(given) if given else None,
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def definition(self) -> Function:
        """The function's entry. Raises VerifyException where there is none."""
        found = FUNCTIONS.get(self.function.data)
        if found is None:
            raise VerifyException(f"there is no function `{self.function.data}`")
        return found

    @property
    def constants(self) -> tuple[float, ...]:
        """The parameters as numbers."""
        return () if self.parameters is None else tuple(p.value.data for p in self.parameters)

    @property
    def keeps_items(self) -> bool:
        return repeats_items(self.inputs, shape_of(self.result))

    def result_type(self) -> Attribute:
        function, name = self.definition, self.function.data
        if len(self.inputs) != function.arity:
            raise VerifyException(f"{name} takes {function.arity} operands, got {len(self.inputs)}")
        if len(self.constants) != len(function.parameters):
            raise VerifyException(f"{name} has the parameters {', '.join(function.parameters) or 'none'}")
        try:
            element = function.rule([element_type(v) for v in self.inputs])
        except ValueError as error:
            raise VerifyException(f"{name} {error}") from error
        shape = implied_shape(lambda: nn_shapes.broadcast_all([shape_of(v) for v in self.inputs], name))
        return TensorType(element, shape)


@irdl_op_definition
class CastOp(UnaryOp):
    """The same numbers in another element type: f32 to integers by truncation towards 0, integers to integers modulo
    2^width, anything to `ui1` as 1 where it is not 0. A real number that the integers do not reach becomes the nearest
    that they do.

    Example: `%y = nn.cast %x : tensor<1x4xf32> -> tensor<1x4xsi32>`
    """

    name = "nn.cast"

    def __init__(self, x: SSAValue, element: Attribute, *, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[TensorType(element, shape_of(x))],
            properties={"layer": layer_attr(layer)},
        )

    def result_type(self) -> Attribute:
        for element in (element_type(self.x), element_type(self.result)):
            if not isinstance(element, Float32Type | IntegerType):
                raise VerifyException(f"nn.cast is between f32 and integers, not {element}")
        return TensorType(element_type(self.result), shape_of(self.x))

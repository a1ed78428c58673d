"""How weights lie in memory.

Rationale. Encoded weights are byte arrays, parameters like any other: `nn.weight "..." : tensor<Nxui8>`, one per part
of the encoding, so a weights file holds exactly these bytes. `enc.decode` names the encoding as the text of a
registered value, with every option chosen, and gives the tensor of codes or floats that was encoded; what depends on
the tensor (shape, bits of a symbol) is read from its type. A part that several ops read, such as one Huffman book for
all layers, is stored once. `fold_constants` decodes for targets that want plain arrays. Weights that are generated
slice by slice from short codes (`enc_slices`) are of this dialect too.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, Float32Type, IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Attribute, Dialect, SSAValue
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

from hapir.diagnostics import HapirError
from hapir.dialects.enc_slices import BsgGenerateOp, CsgGenerateOp
from hapir.dialects.num import UI8, code_bits, element_type, shape_of, storage_of
from hapir.encodings.encoding import Encoding, Tensor
from hapir.registered import ENCODING, value_of


@irdl_op_definition
class DecodeOp(IRDLOperation):
    """The tensor behind the parts of an encoding: codes, or f32.

    `key` is the weight key of what was encoded: passes and targets name the decoded array after it.
    `zero` is the symbol that means zero, for encodings that leave it out. `encode` adds what the parts take in bits
    (`bits`), shared parts apart (`shared_bits`), and the order-0 entropy of the symbols (`entropy_bits`).

    Example:
    ```
    %w = enc.decode "rle(gap_bits = 4, levels = 2)" of "c1.weight" zero 0 (%levels, %words)
        : (tensor<1xui8>, tensor<9xui8>) -> tensor<4x9x!num.ternary>
    ```
    """

    name = "enc.decode"
    encoding = prop_def(StringAttr)
    key = opt_prop_def(StringAttr)
    zero = opt_prop_def(IntegerAttr[I64])
    parts = var_operand_def(base(TensorType[Attribute]))
    result = result_def(base(TensorType[Attribute]))
    traits = traits_def(Pure())
    assembly_format = (
        "$encoding (`of` $key^)? (`zero` $zero^)? `(` $parts `)` attr-dict `:` `(` type($parts) `)` `->` type($result)"
    )

    def __init__(
        self, encoding: str, zero: int | None, parts: Sequence[SSAValue], result: Attribute, key: str | None = None
    ):
        super().__init__(
            operands=[parts],
            properties={
                "encoding": StringAttr(encoding),
                "key": None if key is None else StringAttr(key),
                "zero": None if zero is None else IntegerAttr(zero, i64),
            },
            result_types=[result],
        )

    @property
    def value(self) -> Encoding:
        """The encoding. Raises HapirError (HAP0550, HAP0305) where the text names none."""
        return value_of(self.encoding.data, ENCODING)

    @property
    def tensor(self) -> Tensor:
        """What is known of the symbols before the bytes are read."""
        zero = None if self.zero is None else self.zero.value.data
        return Tensor(shape_of(self.result), code_bits(element_type(self.result)), zero)

    def verify_(self) -> None:
        element = element_type(self.result)
        if not isinstance(element, Float32Type) and storage_of(element) is None:
            raise VerifyException(f"decoded elements are codes or f32, got {element}")
        for part in self.parts:
            if element_type(part) != UI8 or len(shape_of(part)) != 1:
                raise VerifyException(f"a part is a tensor<Nxui8>, got {part.type}")
        try:
            encoding = self.value
        except HapirError as error:
            raise VerifyException(error.diagnostics[0].message) from error
        if not encoding.is_fitted:
            raise VerifyException(f"every option of `{self.encoding.data}` must be chosen, none can be auto")
        if len(self.parts) != len(encoding.part_names):
            names = ", ".join(encoding.part_names)
            raise VerifyException(f"`{encoding.name}` has the parts {names}; {len(self.parts)} are given")
        tensor = self.tensor
        if tensor.zero is None and encoding.leaves_out_zeros:
            raise VerifyException(f"`{encoding.name}` leaves out zeros and needs `zero`")
        if tensor.zero is not None and not 0 <= tensor.zero < 1 << tensor.bits:
            raise VerifyException(f"a symbol of {tensor.bits} bits cannot be {tensor.zero}")


Enc = Dialect("enc", [DecodeOp, CsgGenerateOp, BsgGenerateOp])

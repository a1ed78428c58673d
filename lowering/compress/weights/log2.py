"""Powers of two: weights become 0 or +-2^e, so a multiplication is a shift.

Law: lossy; every weight is 0 or a power of two among `2^(bits - 1) - 1` neighbouring ones, and doing it twice changes
nothing. As codebooks the codes have `bits` bits; as integers they are +-2^i in steps of the lowest power, which
`quantize` keeps where they fit its weights (Zhou et al., "Incremental Network Quantization", ICLR 2017; Miyashita, Lee,
Murmann, "Convolutional Neural Networks using Logarithmic Data Representation", 2016).

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `log2(bits = 4)`
```
%c = nn.weight "c1.weight.log2" {max_error = 0.12 : f64, sqnr_db = 13.5 : f64}
    : tensor<16x1x3x3x!num.codebook<ui4, "c1.weight.log2.levels">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.coded import Coded
from hapir.quantizers.power_of_two import HIGHEST_EXPONENT, LOWEST_EXPONENT, PowerOfTwo, power_of_two, shifts
from hapir.quantizers.sorted_values import Floats

WIDEST_INTEGER = 32


@dataclass(frozen=True)
class Log2Pass(ModulePass):
    """Weights as powers of two. Lossy; the loss of each parameter is written to the IR.

    `bits`: of a code: 2^(bits - 1) - 1 exponents on either side of 0.
    `rounding`: linear: to the nearest level; log: to the nearest exponent.
    `small`: what weights below the lowest power become: zero where that is nearer, or always the lowest power.
    `highest`: the highest exponent; where it is not given, the one that the largest weight rounds to.
    `form`: codes as indices of levels, or as integers with a scale: +-2^i in steps of the lowest power, of
    2^(bits - 1) bits; for those at most 6 `bits`.
    `granularity`: exponents chosen for a tensor (of a recurrent layer, for each gate), or for each output channel.
    `layers`: names of layers, or patterns like `c*`.

    Example: `log2(bits = 4, form = integers)`
    """

    name = "log2"
    bits: int = field(default=4, metadata=bounded(at_least=2, at_most=8))
    rounding: Literal["linear", "log"] = "linear"
    small: Literal["zero", "lowest"] = "zero"
    highest: int | None = field(default=None, metadata=bounded(at_least=LOWEST_EXPONENT, at_most=HIGHEST_EXPONENT))
    form: Literal["codebook", "integers"] = "codebook"
    granularity: Granularity = "tensor"
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        width = self._rule.integer_width
        if self.form == "integers" and width > WIDEST_INTEGER:
            raise ValueError(f"integers of `bits` = {self.bits} have {width} bits, more than {WIDEST_INTEGER}")

    @property
    def _rule(self) -> PowerOfTwo:
        return PowerOfTwo(self.bits, self.rounding, self.small, self.highest)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (see `code_weights`)."""
        for network in networks_of(op):
            code_weights(network, self.layers, hapir_context(ctx), self._coded, self.name)

    def _coded(self, w: Floats, slot: WeightSlot) -> Coded:
        rule, blocks = self._rule, slot.blocks(self.granularity)
        if self.form == "integers":
            return by_rows(w, blocks, lambda block: shifts(block, rule))
        return by_rows(w, blocks, lambda block: power_of_two(block, rule))

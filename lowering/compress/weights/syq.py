"""SYQ: binary or ternary weights with symmetric scales per sub-group of the kernel.

Law: lossy; with scales of least squares the error of granularity pixel is at most that of row, and that at most that of
tensor. Sub-groups are ordered: the scale of a weight depends on its place in the kernel alone. Ternary codes keep
weights of 0. Rule, counts and sources: `hapir/quantizers/syq.py`.

```
%w = nn.weight "c2.weight" : tensor<16x16x3x3xf32>
```
becomes, with the nine scales "c2.weight.syq.scale" of shape 1 x 1 x 3 x 3,
```
%c = nn.weight "c2.weight.syq" {max_error = 0.29 : f64, sqnr_db = 5.4 : f64}
    : tensor<16x16x3x3x!num.scaled<!num.ternary, "c2.weight.syq.scale">>
%w = num.dequantize %c : ... -> tensor<16x16x3x3xf32>
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
from hapir.diagnostics import fail
from hapir.lowering.compress.binary_zeros import check_signs
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import WeightSlot
from hapir.lowering.network_edits import networks_of, weight_op_of
from hapir.quantizers.coded import Coded, Floats
from hapir.quantizers.scale_groups import scale_shape
from hapir.quantizers.syq import GROUP_FILTERS, SyqGranularity, SyqKind, syq, syq_shape


@dataclass(frozen=True)
class SyqPass(ModulePass):
    """Binary or ternary weights with a scale per sub-group. Lossy; the loss of each parameter is written to the IR.

    Of K x C x R x S weights, granularity tensor has 1 scale, row R, pixel R S, channel K, group R S K / 4 (per pixel of
    four filters), and asymmetric 2, one per sign. Layers without a kernel have one row of one pixel. Integer layers can
    keep the codes of tensor and channel.

    Signs have no zero, so with `kind = binary` a layer with more than 5 % of zeros is refused.

    `granularity`: which weights share a scale.
    `kind`: signs, or signs and zeros.
    `layers`: names of layers, or patterns like `c*`.
    `threshold`: the share of the layer's largest magnitude below which weights become 0 (eta); of ternary codes. The
        thesis trains with 0.05; the digits, trained in floats, keep more of their accuracy with 0.1.
    `tie`: what a magnitude equal to that threshold becomes; of ternary codes.
    `scale`: the scales of the least squared error, or the mean magnitude of a whole sub-group, weights that become 0
        among them: where SYQ starts to train.
    `zeros`: refuse layers with many weights of 0, or let all zeros become positive; of binary codes.

    Example: `fold_batch_norm(); syq(granularity = pixel, kind = binary, layers = "c2")`
    """

    name = "syq"
    granularity: SyqGranularity = "pixel"
    kind: SyqKind = "ternary"
    layers: str | tuple[str, ...] = "*"
    threshold: float = field(default=0.05, metadata=bounded(at_least=0))
    tie: Literal["zero", "nonzero"] = "nonzero"
    scale: Literal["least_squares", "mean"] = "least_squares"
    zeros: Literal["refuse", "positive"] = "refuse"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError: HAP0530 to HAP0532, and those of `code_weights`."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            code_weights(network, self.layers, context, self._rule, self.name)

    def _rule(self, w: Floats, slot: WeightSlot) -> Coded:
        if self.granularity == "group" and len(w) % GROUP_FILTERS:
            fail(
                "HAP0532",
                f"`{weight_op_of(slot.value).key.data}` has {len(w)} filters, no multiple of {GROUP_FILTERS}",
                at=slot.op,
                help="choose another granularity for this layer, or leave it out of `layers`",
            )
        if self.kind == "binary":
            shape = w.shape
            scales = scale_shape(shape) if self.granularity == "asymmetric" else syq_shape(shape, self.granularity)
            check_signs(w, slot, self.zeros, scales)
        return syq(w, self.granularity, self.kind, self.threshold, self.tie, self.scale)

"""Integers for weights, rounded up or down at random so that they are right on average.

Law: lossy; every weight becomes a code less than one step away, and the mean over seeds is the weight itself (S. Gupta
et al., Deep Learning with Limited Numerical Precision, ICML 2015, section 3.1). Weights of 0 stay 0.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `stochastic(bits = 4)`
```
%c = nn.weight "c1.weight.stochastic" {max_error = 0.08 : f64, sqnr_db = 15.9 : f64}
    : tensor<16x1x3x3x!num.scaled<si4, "c1.weight.stochastic.scale">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from dataclasses import dataclass, field

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.dialects.formats import Integer
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.coded import Coded, Floats, Scaled
from hapir.universe import HapirUniverse


def stochastic(w: Floats, bits: int, random: np.random.Generator) -> Scaled:
    """Codes with a scale per index of axis 0; the scale of zeros alone is 1."""
    largest = (1 << (bits - 1)) - 1
    reach = np.abs(w).max(axis=tuple(range(1, w.ndim)), keepdims=True)
    scales = np.where(reach > 0, reach / largest, 1.0).astype(np.float32)
    steps = w / scales.astype(np.float64)
    codes = np.clip(np.floor(steps + random.random(w.shape)), -largest, largest)
    return Scaled(codes.astype(np.int8), Integer(bits, True), scales)


@dataclass(frozen=True)
class StochasticPass(ModulePass):
    """Integers for weights, rounded at random. Lossy; the loss of each parameter is written to the IR.

    `layers`: globs over layer names.
    `bits`: of a weight.
    `seed`: of the random numbers; every layer draws its own.

    Example: `fold_batch_norm(); stochastic(bits = 4, seed = 1)`
    """

    name = "stochastic"
    layers: str | tuple[str, ...] = "*"
    bits: int = field(default=8, metadata=bounded(at_least=2, at_most=8))
    seed: int = field(default=0, metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError: what `code_weights` raises."""
        random = np.random.default_rng(self.seed)

        def rule(w: Floats, slot: WeightSlot) -> Coded:
            return stochastic(w, self.bits, random)

        for network in networks_of(op):
            code_weights(network, self.layers, hapir_context(ctx), rule, self.name)


UNIVERSE = HapirUniverse(all_passes={"stochastic": lambda: StochasticPass})

"""Weight sharing by k-means: the weights of a layer become indices of a few shared values.

Law: lossy; each weight takes the nearest centroid, weights that are 0 stay 0, and a layer with no more distinct weights
than centroids changes nothing (Han, Mao, Dally, "Deep Compression", ICLR 2016, section 3).

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `k_means(bits = 3)`
```
%c = nn.weight "c1.weight.k_means" {max_error = 0.11 : f64, sqnr_db = 17.8 : f64}
    : tensor<16x1x3x3x!num.codebook<ui3, "c1.weight.k_means.levels">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.dialects.formats import NumberFormat
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.plugin_failures import at_work
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.coded import Coded
from hapir.quantizers.k_means import KMeans, Start, k_means
from hapir.quantizers.sorted_values import Floats
from hapir.registered import FORMAT, FormatText, spell, value_of


@dataclass(frozen=True)
class KMeansPass(ModulePass):
    """Weight sharing by k-means. Lossy; the loss of each parameter is written to the IR.

    `bits`: 2^bits centroids.
    `start`: the first centroids: evenly from the least to the largest weight, evenly over the ranks, or drawn.
    `seed`: of `start = random`.
    `keep_zeros`: weights that are 0 stay 0 and cost no centroid. 0 then is one level more: where a layer has such
    weights, a dense code takes `bits` + 1 bits, and a sparse encoding, which skips them, `bits`.
    `centroids`: the number format that centroids are rounded to in the end.
    `iterations`: at most so many; it ends before where no weight moves any more.
    `granularity`: one codebook for a tensor (of a recurrent layer, for each gate), or for each output channel.
    `layers`: names of layers, or patterns like `c*`.

    Example: `k_means(bits = 4)`
    """

    name = "k_means"
    bits: int = field(default=4, metadata=bounded(at_least=1, at_most=8))
    start: Start = "linear"
    seed: int = field(default=0, metadata=bounded(at_least=0))
    keep_zeros: bool = True
    centroids: FormatText = "f32"
    iterations: int = field(default=300, metadata=bounded(at_least=0))
    granularity: Granularity = "tensor"
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        object.__setattr__(self, "centroids", spell(self._format))

    @property
    def _format(self) -> NumberFormat:
        """The format. Raises HapirError (HAP0232, HAP0305) where the option names none."""
        return value_of(self.centroids, FORMAT)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (see `code_weights`)."""
        for network in networks_of(op):
            code_weights(network, self.layers, hapir_context(ctx), self._coded, self.name)

    def _coded(self, w: Floats, slot: WeightSlot) -> Coded:
        rule = KMeans(self.bits, self.start, self.seed, self.keep_zeros, self.iterations)
        format = self._format
        with at_work("formats", format.name, slot.op):
            return by_rows(w, slot.blocks(self.granularity), lambda block: k_means(block, rule, format.round))

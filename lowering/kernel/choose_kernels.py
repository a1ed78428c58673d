"""Choose how each convolution and dense layer is computed on a host: the algorithm, and its options.

Law: exact on integers; bounded on floats, as an algorithm changes the order and the number of roundings of a sum
(`float_bound` of `lowering/kernel/winograd.py`), and bf16, which is taken only where it is asked for, rounds. A cost
model of the host decides between outer products, minimal filtering, lists of non-zeros and Reduce-and-Scale; what a
schedule asks for goes before it, and a layer that has a choice keeps it.

```
%y = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c1" : ...
```
becomes
```
%y = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c1"
    {kernel = #kernel.choice<winograd, {tile = 4 : i64}>} : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.dialects.kernel import ChoiceAttr
from hapir.lowering.kernel.choose import KERNEL, decide, decodes, find_host, products_of, requests_of, work_of
from hapir.lowering.network_edits import networks_of


@dataclass(frozen=True)
class ChooseKernelsPass(ModulePass):
    """Choose the algorithm of each convolution and dense layer for a host. Exact on integers, bounded on floats.

    `host`: a machine of the module, `native` for the computer that compiles, or `generic`; by default the host of the
        schedule's machine, and `generic` where it has none.

    Example: `hapir opt digits.hap -p 'float_c,choose_kernels{host="generic"},tile_kernels{host="generic"}' -t c`
    """

    name = "choose_kernels"
    host: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Set the attribute `kernel` of layers. Raises HapirError (HAP0728, HAP0729, HAP0730)."""
        weights = hapir_context(ctx).weights
        host = find_host(op, self.host)
        for network in networks_of(op):
            requests = requests_of(op, network)
            found = [(layer, work_of(name, layer, weights)) for name, layer in products_of(network)]
            decoded = decodes((work for _, work in found if work.layer not in requests), host)
            for layer, work in found:
                request = requests.get(work.layer)
                if isinstance(layer.attributes.get(KERNEL), ChoiceAttr) and request is None:
                    continue
                layer.attributes[KERNEL] = decide(layer, work, host, request, decoded=decoded).choice

"""Decide how outer products are blocked: what stays in registers on each SIMD path, and which loop is outermost.

Law: exact, on floats too: every sum still runs over its window in order. The register block costs least by the host's
registers, ports, latency and caches (`register_tiles`); the other paths of the source get blocks of typical hosts. A
layer that has tiles keeps them.

```
%y = nn.dense %x, %w layer "f1" {kernel = #kernel.choice<direct>} : ...
```
becomes
```
%y = nn.dense %x, %w layer "f1" {kernel = #kernel.choice<direct>, tiles = #kernel.tiles<filters, 2,
    [#kernel.register_tile<avx512 : 14 by 2>, #kernel.register_tile<avx2 : 6 by 1>, ...]>} : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.lowering.kernel.choose import TILES, find_host, products_of, requests_of, tiles_of, work_of
from hapir.lowering.network_edits import networks_of


@dataclass(frozen=True)
class TileKernelsPass(ModulePass):
    """Block the loops of layers that are computed by outer products. Exact.

    `host`: a machine of the module, `native` for the computer that compiles, or `generic`; by default the host of the
        schedule's machine, and `generic` where it has none.

    Example: `hapir opt digits.hap -p 'float_c,choose_kernels,tile_kernels{host="native"}'`
    """

    name = "tile_kernels"
    host: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Set the attribute `tiles` of layers. Raises HapirError (HAP0728, HAP0729, HAP0731)."""
        weights = hapir_context(ctx).weights
        host = find_host(op, self.host)
        for network in networks_of(op):
            requests = requests_of(op, network)
            for name, layer in products_of(network):
                if TILES in layer.attributes:
                    continue
                tiles = tiles_of(layer, work_of(name, layer, weights), host, requests.get(name))
                if tiles is not None:
                    layer.attributes[TILES] = tiles

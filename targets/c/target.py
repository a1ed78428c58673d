"""`-t c`: the C of every network of a module on one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.target import Target

from hapir.context import hapir_context
from hapir.lowering.fold_constants import fold_constants
from hapir.lowering.kernel.plan_loads import WeightsFile
from hapir.lowering.network_edits import networks_of, used_keys
from hapir.targets.c.emit import emit_c
from hapir.targets.c.options import COptions


@dataclass(frozen=True)
class CTarget(Target):
    """Prints header and source of each network of the module as C11.

    Coded weights are constants; encoded ones are decoded at run time from the file that `--save-weights` writes.

    `weights`: print the units that hold the weights, and the weights file, as well.
    `dispatch`: for x86, several paths in one program, chosen by the processor that it runs on.
    `weights_file`: the weights of layers come from a file that the program reads, not from its own constants.

    Example: `hapir opt digits.hap -p 'fold_batch_norm,fuse' -t c`
    """

    name: ClassVar[str] = "c"

    weights: bool = False
    dispatch: bool = False
    weights_file: bool = False

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        """Print files one after the other, each under a comment with its name. Raises HapirError (HAP07xx)."""
        stored = hapir_context(ctx).weights.copy()
        stored.retain(used_keys(module))
        for network in networks_of(module.clone()):
            weights = stored.copy()
            encoded = fold_constants(network, weights)
            file = WeightsFile.of(stored, encoded) if encoded else None
            artefact = emit_c(network, weights, file=file, options=COptions(self.dispatch, self.weights_file))
            for file, text in artefact.files.items():
                if self.weights or not file.endswith(("_weights.c", "_file.c")):
                    output.write(f"/* ---- {file} ---- */\n{text}\n")

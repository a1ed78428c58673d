"""`-t c`: the C of every network of a module on one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.target import Target

from hapir.context import hapir_context
from hapir.dialects.nn import NetworkOp
from hapir.targets.c.emit import emit_c


@dataclass(frozen=True)
class CTarget(Target):
    """Prints header and source of each network of the module as C11.

    `weights`: print the unit that holds the weights as well.

    Example: `hapir opt digits.hap -p 'fold_batch_norm,fuse' -t c`
    """

    name: ClassVar[str] = "c"

    weights: bool = False

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        """Print files one after the other, each under a comment with its name. Raises HapirError (HAP07xx)."""
        store = hapir_context(ctx).weights
        for op in module.ops:
            if not isinstance(op, NetworkOp):
                continue
            for file, text in emit_c(op, store).files.items():
                if self.weights or not file.endswith("_weights.c"):
                    output.write(f"/* ---- {file} ---- */\n{text}\n")

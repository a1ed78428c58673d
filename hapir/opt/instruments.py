"""What `hapir opt` shows while passes run: IR before and after them, and their times. All of it goes to stderr."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer

from hapir.report.table import table


@dataclass(frozen=True)
class IrPrinter:
    """Prints the whole module around the passes that the options name, each time under a banner."""

    options: argparse.Namespace
    passes: Sequence[ModulePass]
    where: str
    """Which chunk of the input, for the banner; empty where there is one only."""

    def before(self, index: int, module: ModuleOp) -> None:
        """Called before a pass runs."""
        if self.options.print_ir_before_all or self.passes[index].name in self.options.print_ir_before:
            self._print("before", index, module)

    def after(self, index: int, module: ModuleOp, before: ModuleOp) -> None:
        """Called after a pass ran well."""
        options = self.options
        wanted = options.print_ir_after_all or self.passes[index].name in options.print_ir_after
        if wanted or (options.print_ir_after_change and not module.is_structurally_equivalent(before)):
            self._print("after", index, module)

    def failed(self, index: int, module: ModuleOp) -> None:
        """Called after a pass failed."""
        if self.options.print_ir_after_failure:
            self._print("after failed", index, module)

    def _print(self, when: str, index: int, module: ModuleOp) -> None:
        name = self.passes[index].name
        banner = f"// === IR {when} {name} (pass {index + 1} of {len(self.passes)}{self.where}) ==="
        text = StringIO()
        try:
            Printer(
                stream=text,
                print_generic_format=self.options.print_op_generic,
                print_properties_as_attributes=self.options.print_no_properties,
                print_debuginfo=self.options.print_debuginfo,
            ).print_op(module)
        except Exception as error:  # a failed pass may leave what cannot be printed
            text.write(f"\n// the rest cannot be printed: {type(error).__name__}: {error}")
        print(f"{banner}\n{text.getvalue()}\n", file=sys.stderr)


@dataclass
class Clock:
    """Where the time goes, by label in the order of first use."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def measure(self, label: str) -> Generator[None]:
        """Add the time of a block to a label, also where the block fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[label] = self.seconds.get(label, 0.0) + time.perf_counter() - started

    def report(self) -> str:
        """A table of the times and their shares, the total last."""
        total = sum(self.seconds.values())
        rows = [*self.seconds.items(), ("total", total)]
        shown = [(f"{s:.4f}", f"{100 * s / total if total else 0:.1f}", label) for label, s in rows]
        return table(("seconds", "%", "what"), [(s.rjust(9), share.rjust(5), label) for s, share, label in shown])

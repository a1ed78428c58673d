"""Networks as ONNX and QONNX models: `export` says what each style promises.

Nothing here needs the package `onnx` before something is exported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hapir.diagnostics import fail
from hapir.files import check_file, write_atomically

if TYPE_CHECKING:
    from hapir.driver import ExportStyle, Scheduled


@dataclass(frozen=True)
class ExportReport:
    """A written model: its file, style and opset, the nodes by operator, and the bytes of each file by name."""

    path: Path
    style: str
    opset: int
    operators: Mapping[str, int]
    files: Mapping[str, int]

    def to_text(self) -> str:
        """A line about the model, and one with its operators."""
        beside = "".join(f" and {name}" for name in self.files if name != self.path.name)
        counts = ", ".join(f"{count} {kind}" for kind, count in self.operators.items())
        return f"wrote {self.path}{beside}: style {self.style}, opset {self.opset}\n{counts}"

    def to_json(self) -> dict[str, object]:
        """The same for scripts."""
        return {
            "path": str(self.path),
            "style": self.style,
            "opset": self.opset,
            "operators": dict(self.operators),
            "files": dict(self.files),
        }


def check_output(path: Path) -> None:
    """Refuse what is no place for a model before the long work: a spec, its weights or data are not written over.

    Raises HapirError (HAP0884, HAP0920).
    """
    if path.suffix != ".onnx":
        fail("HAP0920", f"`{path}` is no name of a model", help=f"models end in .onnx: `{path.stem or 'net'}.onnx`")
    check_file(path)


def export_scheduled(
    scheduled: Scheduled,
    path: Path,
    style: ExportStyle | None,
    opset: int | None,
    any_batch: bool,
    external_data: bool,
) -> ExportReport:
    """What `Scheduled.export` does."""
    from hapir.exporters.onnx.export import ExportOptions, export_network, model_files, style_of
    from hapir.exporters.onnx.styles import DEFAULT_OPSET, Style

    check_output(path)
    decoded = scheduled.decoded
    chosen = style_of(decoded.network, None if style is None else Style(style))
    options = ExportOptions(chosen, DEFAULT_OPSET if opset is None else opset, any_batch)
    model = export_network(decoded.network, decoded.weights, options)
    kinds = Counter(node.op_type for node in model.graph.node)
    files = model_files(model, path.name, external_data)
    for name, data in files.items():  # the model comes last: who sees it finds its arrays
        write_atomically(path.parent / name, data)
    operators = dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
    return ExportReport(path, chosen.value, options.opset, operators, {name: len(d) for name, d in files.items()})

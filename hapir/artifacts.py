"""What `hapir compile` writes: one folder with everything, put in place only when all of it exists.

```
manifest.json                     versions, choices, the cut, and the SHA-256 of every other file
ir/00_built.mlir ...              the module after each pass; then the parts of the cut, which read the weights below
c/  verilog/                      the targets' files
report/estimate.json, .txt        with the verilog
report/kernels.json, .txt         with the C
weights.safetensors               the arrays that the last IR names
```

Invariant: equal inputs give equal bytes, on any machine and under any hash seed: no times, no absolute paths.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hapir.diagnostics import fail, files_from
from hapir.dialects.dataflow import LayerOp
from hapir.dialects.nn import NetworkOp
from hapir.files import replaced_folder, writing
from hapir.lowering.cut_integer_body import cut
from hapir.pipeline import ir_text
from hapir.report.kernels import kernel_report
from hapir.versions import versions
from hapir.witnesses import check_targets, default_targets, emit, estimate

if TYPE_CHECKING:
    from hapir.driver import Scheduled
    from hapir.targets.c.options import COptions

MANIFEST = "manifest.json"
FORMAT = 1
"""The version of the manifest's layout."""


@dataclass(frozen=True)
class CompileReport:
    """What was written: the targets, and the size in bytes of each file."""

    spec: str
    schedule: str
    recipe: str | None
    targets: tuple[str, ...]
    files: Mapping[str, int]
    seconds: Mapping[str, float]
    """Wall time of each pass, in order; a pass that ran twice has a number behind its name."""

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields."""
        return {**asdict(self), "files": dict(self.files), "seconds": dict(self.seconds)}

    def to_text(self) -> str:
        """A line per file."""
        from hapir.report.table import table

        return table(("file", "bytes"), list(self.files.items()))


def compile_to(
    scheduled: Scheduled, folder: Path, targets: Sequence[str] | None, c: COptions | None = None
) -> CompileReport:
    """Write everything about a schedule to `folder`, which is replaced as a whole where hapir wrote it.

    `targets` defaults to all that can take the network; `c` are options of the C. Raises HapirError (HAP0790, HAP0803,
    HAP0881, HAP0884, and what passes and targets say); then `folder` is as it was.
    """
    with files_from(scheduled.design.spec.folder), replaced_folder(folder, MANIFEST) as place:
        chosen = default_targets(scheduled) if targets is None else check_targets(targets)
        if c is not None and "c" not in chosen:
            fail("HAP0803", "there are options of the C, and no C is written", help="name the target: `--target c`")
        scheduled = scheduled.kernels if "c" in chosen else scheduled
        files = dict(sorted(_files(scheduled, chosen, c).items()))
        manifest = _manifest(scheduled, chosen, files)
        if c is not None:
            manifest["c"] = asdict(c)
        for name, data in {**files, MANIFEST: _json(manifest)}.items():
            path = place / name
            with writing(folder / name):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return CompileReport(
        scheduled.design.path.name,
        scheduled.shown_name,
        scheduled.recipe,
        chosen,
        {name: len(data) for name, data in files.items()},
        _seconds(scheduled),
    )


def _files(scheduled: Scheduled, targets: Sequence[str], c: COptions | None) -> dict[str, bytes]:
    """All files but the manifest, by path."""
    files: dict[str, bytes] = {}
    for index, (name, module) in enumerate(scheduled.compiled.snapshots):
        files[f"ir/{index:02}_{name}.mlir"] = ir_text(module).encode()
    for name, part in _parts(scheduled).items():
        files[f"ir/{name}.mlir"] = ir_text(part).encode()
    files["weights.safetensors"] = scheduled.weights.to_bytes()
    for target in targets:
        files |= {f"{target}/{name}": data for name, data in emit(target, scheduled, c).items()}
    if "c" in targets:
        kernels = kernel_report(scheduled)
        files["report/kernels.json"] = _json(kernels.to_json())
        files["report/kernels.txt"] = f"{kernels.to_text()}\n".encode()
    if "verilog" in targets:  # what the machine makes of the network belongs with the machine
        report = estimate(scheduled)
        files["report/estimate.json"] = _json(report.to_json())
        files["report/estimate.txt"] = f"{report.to_text()}\n".encode()
    return files


def _parts(scheduled: Scheduled) -> dict[str, NetworkOp]:
    """The parts of the cut as they name the arrays of the weights file: with what is coded still coded."""
    found = cut(scheduled.network)
    named = {"prologue": found.prologue, "body": found.body, "epilogue": found.epilogue}
    return {name: part for name, part in named.items() if part is not None}


def _manifest(scheduled: Scheduled, targets: Sequence[str], files: Mapping[str, bytes]) -> dict[str, object]:
    spec = scheduled.design.path
    return {
        "format": FORMAT,
        "versions": versions(),
        "spec": {"file": spec.name, "sha256": hashlib.sha256(spec.read_bytes()).hexdigest()},
        "schedule": scheduled.name,
        "network": scheduled.network.sym_name.data,
        "machine": None if scheduled.machine is None else scheduled.machine.sym_name.data,
        "recipe": scheduled.recipe,
        "passes": [stage.pipeline for stage in scheduled.stages],
        "targets": list(targets),
        "cut": {name: _described(part) for name, part in _parts(scheduled).items()},
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }


def _described(part: NetworkOp) -> dict[str, object]:
    """A part of the cut: its ends with their types, and its layers in order."""
    types = part.function_type
    return {
        "inputs": {n.data: str(t) for n, t in zip(part.input_names, types.inputs, strict=True)},
        "results": {n.data: str(t) for n, t in zip(part.result_names, types.outputs, strict=True)},
        "layers": [op.layer_name for op in part.body.block.ops if isinstance(op, LayerOp)],
    }


def _json(data: Mapping[str, object]) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()


def _seconds(scheduled: Scheduled) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for stage in scheduled.stages:
        name, n = stage.name, 1
        while name in seconds:
            n += 1
            name = f"{stage.name} {n}"
        seconds[name] = stage.seconds
    return seconds

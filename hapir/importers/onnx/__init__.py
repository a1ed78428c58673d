"""ONNX models as networks of the IR.

Bytes become a `ModelProto` (`load`), that a checked `Graph` of plain data (`graph`, `model`), that a `nn.network` and
its weights (`convert`), one handler per operator (`nodes`, the files `ops_*`).
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hapir.importers.onnx.read import Imported


def import_model(
    path: str | PathLike[str],
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
    name: str | None = None,
    canonical: bool = True,
) -> Imported:
    """The network of a model file, and its weights; `name` is the network's, that of the file by default.

    What other tools write in many ways is brought into one form by the pipeline `canonical`, if that is asked for.

    `batch` and `dims` are the sizes of what the model leaves open. Raises HapirError: HAP0880 where the extra `onnx` is
    not installed, HAP0900 to HAP0916 for what is wrong with the file, HAP0990 and HAP0991 for what cannot be imported.
    """
    from hapir.witnesses import naming_extras

    with naming_extras():
        from hapir.importers.onnx.read import read
    return read(Path(path), batch=batch, dims=dims, name=name, canonical=canonical)

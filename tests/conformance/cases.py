"""The backend cases of the installed onnx: collected once, kept as one file, read one by one.

The file is a zip of what onnx keeps on disk itself: a model and its tensors as protobufs, and an index. It lies in
hapir's cache under the version of onnx.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests

from hapir.cache import cached_file

FORMAT = "2"
"""Of the file; another one is collected anew."""
ON_DISK = ("simple", "pytorch-operator", "pytorch-converted")
"""Kinds of cases that onnx ships as files, with their data."""
WHOLE = "real"
"""The kind of whole networks."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A model and one set of data. `rtol` and `atol` bound the difference as in numpy's `assert_allclose`.

    `ops` are its operators with their domains, `types` those of its inputs, outputs and constants as onnx names them;
    what is no tensor is `other`. `inputs` and `outputs` count the arrays; both are None where some are no tensors.
    """

    name: str
    kind: str
    ops: tuple[str, ...]
    types: tuple[str, ...]
    rtol: float
    atol: float
    inputs: int | None
    outputs: int | None

    @property
    def key(self) -> str:
        """The case's name among those of all kinds."""
        return f"{self.kind}/{self.name.removeprefix('test_')}"

    def model(self) -> ModelProto:
        """The model."""
        return onnx.load_model_from_string(_read(self, "model.onnx"))

    def arrays(self, what: str) -> list[Array]:
        """Its `inputs` or `outputs`."""
        count = self.inputs if what == "inputs" else self.outputs
        return [_array(_read(self, f"{what}_{i}.pb")) for i in range(count or 0)]


def cases() -> tuple[Case, ...]:
    """All cases, in the order of their names."""
    return _open()[1]


@cache
def _open() -> tuple[zipfile.ZipFile, tuple[Case, ...]]:
    def make(folder: Path) -> Path:
        path = folder / "cases.zip"
        _write(path, _collect())
        return path

    file = zipfile.ZipFile(cached_file("onnx_cases", ("onnx", onnx.__version__, FORMAT), ".zip", make))
    rows: list[dict[str, Any]] = json.loads(file.read("index.json"))
    for row in rows:
        row |= {"ops": tuple(row["ops"]), "types": tuple(row["types"])}
    return file, tuple(Case(**row) for row in rows)


def _read(case: Case, name: str) -> bytes:
    return _open()[0].read(f"{case.key}/{name}")


def _array(data: bytes) -> Array:
    return numpy_helper.to_array(TensorProto.FromString(data))


# --- collecting -------------------------------------------------------------------------------------------------------

Parts = tuple[Case, ModelProto, Sequence[TensorProto], Sequence[TensorProto]]


def _write(path: Path, found: Iterable[Parts]) -> None:
    rows: list[dict[str, Any]] = []
    with zipfile.ZipFile(path, "w") as file:
        for case, model, inputs, outputs in sorted(found, key=lambda parts: parts[0].key):
            file.writestr(f"{case.key}/model.onnx", model.SerializeToString(deterministic=True))
            for what, tensors in (("inputs", inputs), ("outputs", outputs)):
                for i, tensor in enumerate(tensors):
                    file.writestr(f"{case.key}/{what}_{i}.pb", tensor.SerializeToString())
            rows.append(asdict(case))
        file.writestr("index.json", json.dumps(rows))


def _collect() -> Iterator[Parts]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases overflow and divide by zero on purpose
        found = load_model_tests(kind="node")
    for case in found:
        assert case.model is not None
        assert case.data_sets is not None
        ((inputs, outputs),) = case.data_sets
        known = "other" not in _types(case.model)
        yield _parts(case, "node", case.model, _tensors(inputs) if known else None, _tensors(outputs))
    for kind in ON_DISK:
        for case in load_model_tests(kind=kind):
            assert case.model_dir is not None
            model = ModelProto.FromString((Path(case.model_dir) / "model.onnx").read_bytes())
            (data,) = Path(case.model_dir).glob("test_data_set_*")
            known = "other" not in _types(model)
            yield _parts(case, kind, model, _files(data, "input") if known else None, _files(data, "output"))
    yield from _whole_networks()


def _whole_networks() -> Iterator[Parts]:
    """The networks of the model zoo as onnx ships them: without weights, which are one number each."""
    for case in load_model_tests(kind=WHOLE):
        assert case.url is not None
        path = Path(DATA_DIR, "light", Path(case.url).name)
        model = ModelProto.FromString(path.read_bytes())
        known = {tensor.name for tensor in model.graph.initializer}
        (image,) = (value for value in model.graph.input if value.name not in known)
        shape = [d.dim_value for d in image.type.tensor_type.shape.dim]
        ramp = np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)
        output = TensorProto.FromString((path.parent / f"{path.stem}_output_0.pb").read_bytes())
        yield _parts(case, WHOLE, model, _tensors([ramp.astype(np.float32)]), [output])


def _parts(
    case: Any, kind: str, model: ModelProto, inputs: list[TensorProto] | None, outputs: list[TensorProto]
) -> Parts:
    ops = {n.op_type if n.domain in {"", "ai.onnx"} else f"{n.domain}.{n.op_type}" for n in _nodes(model.graph)}
    known = inputs is not None
    described = Case(
        case.name,
        kind,
        tuple(sorted(ops)),
        tuple(sorted(_types(model))),
        case.rtol,
        case.atol,
        len(inputs) if known else None,
        len(outputs) if known else None,
    )
    return described, model, inputs or (), outputs if known else ()


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _types(model: ModelProto) -> set[str]:
    """The types of inputs, outputs and constants."""
    types = {_type(value) for value in (*model.graph.input, *model.graph.output)}
    types |= {_name(t.data_type) for t in model.graph.initializer}
    attributes = (a for n in _nodes(model.graph) for a in n.attribute)
    return types | {_name(a.t.data_type) for a in attributes if a.type == onnx.AttributeProto.TENSOR}


def _type(value: onnx.ValueInfoProto) -> str:
    return _name(value.type.tensor_type.elem_type) if value.type.HasField("tensor_type") else "other"


def _name(element: int) -> str:
    """A type as numpy and onnx write it: float32 for FLOAT, bool for BOOL."""
    name = TensorProto.DataType.Name(element).lower()  # pyright: ignore[reportArgumentType]  # the stubs want an enum
    return {"float": "float32", "double": "float64"}.get(name, name)


def _tensors(values: Sequence[Any]) -> list[TensorProto]:
    """Arrays as protobufs; what is no tensor is left out."""
    found: list[TensorProto] = []
    for value in values:
        if isinstance(value, TensorProto):
            found.append(value)
        elif hasattr(value, "dtype"):
            found.append(numpy_helper.from_array(np.asarray(value)))
    return found


def _files(folder: Path, what: str) -> list[TensorProto]:
    count = len(list(folder.glob(f"{what}_*.pb")))
    return [TensorProto.FromString((folder / f"{what}_{i}.pb").read_bytes()) for i in range(count)]

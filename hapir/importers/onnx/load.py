"""A file or its bytes as a `ModelProto` that hapir may go on with.

Only protobuf's own parser reads the bytes: it bounds the depth of messages and never reads beyond them. Tensors in
external data stay where they are until they are needed (see `tensors`). `onnx.load` is not used because it would read
all external data at once, nor `onnx.checker` because it looks for external data below the current folder where it
knows no other; what they check is checked here, in `graph` and in `schemas`, each with a diagnostic of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from hapir.diagnostics import fail, some
from hapir.importers.onnx.limits import MAXIMUM_FILE, MAXIMUM_NODES, shown

OLDEST_OPSET = 7
NEWEST_OF_OTHERS = (1 << 31) - 1
"""The largest version of a domain: onnx counts them in 32 bits."""
_AGAIN = "export the model again"


@dataclass(frozen=True)
class Loaded:
    """A model, and the folder that its external data lie in: None where it did not come from a file."""

    proto: onnx.ModelProto
    folder: Path | None


def load_file(path: Path) -> Loaded:
    """Read a model file.

    Raises HapirError: HAP0901 where it cannot be read or is too large, and what `parse` says.
    """
    if not path.is_file():
        if path.is_dir():
            fail("HAP0901", f"`{path}` is a folder", help="name a file of a model: model.onnx")
        if path.exists():
            fail("HAP0901", f"`{path}` is not a regular file", help="name a file of a model: model.onnx")
        near = sorted(p.name for p in path.parent.glob("*.onnx")) if path.parent.is_dir() else []
        help = f"there are {some(near, 8)}" if near else f"looked for it in {path.parent}"
        fail("HAP0901", f"the file `{path.name}` does not exist", help=help)
    try:
        size = path.stat().st_size
        if size > MAXIMUM_FILE:
            help = "keep its tensors in external data: `onnx.save(model, path, save_as_external_data=True)`"
            fail("HAP0901", f"`{path.name}` has {size} bytes, more than protobuf can read", help=help)
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fail("HAP0901", f"`{path.name}` cannot be read: {reason}", help="make it readable, or name another file")
    return Loaded(parse(data, path.name), Path(os.path.realpath(path)).parent)


def parse(data: bytes, name: str = "the model") -> onnx.ModelProto:
    """The model that bytes say.

    Raises HapirError (HAP0900) where they say none.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        help = "it is damaged, cut off, or no ONNX model: export it again"
        fail("HAP0900", f"`{name}` is not an ONNX model ({len(data)} bytes): {str(error).lower()}", help=help)
    return model


def check(model: onnx.ModelProto) -> None:
    """Check what must hold before anything else is asked of a model.

    Raises HapirError: HAP0900 where it has no graph or names that are no text, HAP0902 for versions that hapir does not
    know, HAP0906 for too many nodes.
    """
    if not model.HasField("graph"):
        fail("HAP0900", "the model holds no graph", help=_AGAIN)
    _check_text(model)
    if model.ir_version < 1 or model.ir_version > onnx.IR_VERSION:
        known = f"the installed onnx {onnx.__version__} knows 1 to {onnx.IR_VERSION}"
        help = f"{known}: update onnx, or export for an older version"
        fail("HAP0902", f"the model is of IR version {model.ir_version}", help=help)
    opsets_of(model)
    if len(model.graph.node) > MAXIMUM_NODES:
        help = f"at most {MAXIMUM_NODES} can be imported; simplify the model before"
        fail("HAP0906", f"the model has {len(model.graph.node)} nodes", help=help)


def _check_text(model: onnx.ModelProto) -> None:
    """Raise HapirError (HAP0900) where text is not UTF-8: protobuf gives bytes then, which no name is equal to."""
    waiting: list[Message] = [model]
    while waiting:
        message = waiting.pop()
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_STRING:
                texts = cast("Sequence[object]", value) if field.is_repeated else [value]
                if not all(isinstance(text, str) for text in texts):
                    fail("HAP0900", f"the model has a {field.name} that is no text", help=_AGAIN)
            elif field.message_type is not None:
                waiting.extend(cast("Sequence[Message]", value) if field.is_repeated else [value])


def opsets_of(model: onnx.ModelProto) -> dict[str, int]:
    """The version of each domain's operators; ONNX's own domain is "". Raises HapirError (HAP0902)."""
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        domain = domain_of(entry.domain)
        if opsets.setdefault(domain, entry.version) != entry.version:
            fail("HAP0902", f"the model gives domain {shown(entry.domain)} two versions", help=_AGAIN)
        if not 1 <= entry.version <= NEWEST_OF_OTHERS:
            fail("HAP0902", f"the model has version {entry.version} of domain {shown(entry.domain)}", help=_AGAIN)
    latest = onnx.defs.onnx_opset_version()
    if "" not in opsets:
        if any(domain_of(node.domain) == "" for node in model.graph.node):
            fail("HAP0902", "the model does not say which opset its operators are of", help=_AGAIN)
    elif opsets[""] < OLDEST_OPSET:
        help = f"convert it: `onnx.version_converter.convert_version(model, {min(latest, 17)})`"
        fail("HAP0902", f"the model is of opset {opsets['']}, older than {OLDEST_OPSET}", help=help)
    elif opsets[""] > latest:
        help = (
            f"the installed onnx {onnx.__version__} knows {OLDEST_OPSET} to {latest}: update onnx, or export for those"
        )
        fail("HAP0902", f"the model is of opset {opsets['']}", help=help)
    return opsets


def domain_of(domain: str) -> str:
    """A domain, ONNX's own as ""."""
    return "" if domain == "ai.onnx" else domain

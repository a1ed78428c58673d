"""Tensors of a file as arrays: sizes are compared with the data before anything is allocated.

External data are read from files below the model's folder alone: no absolute path, none that leaves the folder, also
not through a link. float16, bfloat16 and float64 become float32; int4, uint4, int2 and uint2 their values in 8 bits.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx

from hapir.diagnostics import fail
from hapir.importers.onnx.elements import ELEMENTS, WIDENED, Element, element_name
from hapir.importers.onnx.limits import MAXIMUM_CONSTANTS, count_of, shown
from hapir.importers.onnx.model import Array

_DAMAGED = "the file is damaged; export the model again"


class TensorReader:
    """Reads tensors of one model, and keeps count of them. `widened` holds the names of those that became float32."""

    def __init__(self, folder: Path | None):
        self._folder = folder
        self._bytes = 0
        self.widened: dict[str, list[str]] = {}

    def array(self, tensor: onnx.TensorProto, name: str) -> Array:
        """The values of a tensor, which messages call `name`.

        Raises HapirError: HAP0903 and HAP0904 for external data, HAP0905 where data and shape differ, HAP0906 for
        absurd sizes, HAP0910 for elements that cannot be imported.
        """
        what = f"the tensor {shown(name)}"
        element = ELEMENTS.get(tensor.data_type)
        if element is None:
            help = "float32, float16, bfloat16, float64, integers and bool can be imported"
            fail("HAP0910", f"{what} is of type {element_name(tensor.data_type)}", help=help)
        if tensor.HasField("segment"):
            fail("HAP0905", f"{what} is cut into segments", help="export the model with whole tensors")
        count = self._counted(tuple(tensor.dims), element, what)
        size = -(-count * element.bits // 8)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            values = _from_bytes(self._external(tensor, size, what), element, count)
        elif tensor.HasField("raw_data"):
            if len(tensor.raw_data) != size:
                fail("HAP0905", f"{what} has {len(tensor.raw_data)} bytes, its shape says {size}", help=_DAMAGED)
            values = _from_bytes(tensor.raw_data, element, count)
        else:
            values = _from_field(tensor, element, count, what)
        if tensor.data_type in WIDENED:
            self.widened.setdefault(element.name, []).append(name)
        return values.reshape(tuple(tensor.dims))

    def dense(self, sparse: onnx.SparseTensorProto, name: str) -> Array:
        """A sparse tensor with its zeros. Raises HapirError as `array` does."""
        what = f"the sparse tensor {shown(name)}"
        values = self.array(sparse.values, name)
        indices = self.array(sparse.indices, f"{name} (indices)")
        shape = tuple(sparse.dims)
        if values.ndim != 1 or indices.dtype != np.int64:
            fail("HAP0905", f"{what} needs a list of values and int64 indices", help=_DAMAGED)
        count = self._counted(shape, ELEMENTS[sparse.values.data_type], what)
        if indices.shape == (len(values), len(shape)):
            inside = bool(((indices >= 0) & (indices < np.array(shape))).all())
            places = indices @ np.array([int(np.prod(shape[i + 1 :])) for i in range(len(shape))], np.int64)
        elif indices.shape == values.shape:
            inside, places = bool(((indices >= 0) & (indices < count)).all()), indices
        else:
            fail("HAP0905", f"{what} has {len(values)} values and indices of shape {indices.shape}", help=_DAMAGED)
        if not inside:
            fail("HAP0905", f"{what} has an index outside of its shape", help=_DAMAGED)
        dense = np.zeros(count, values.dtype)
        dense[places] = values
        return dense.reshape(shape)

    def _counted(self, shape: Sequence[int], element: Element, what: str) -> int:
        count = count_of(shape, what)
        self._bytes += count * element.dtype.itemsize
        if self._bytes > MAXIMUM_CONSTANTS:
            help = f"at most {MAXIMUM_CONSTANTS >> 30} GiB can be imported"
            fail("HAP0906", f"the tensors of the model have more than {MAXIMUM_CONSTANTS >> 30} GiB", help=help)
        return count

    def _external(self, tensor: onnx.TensorProto, size: int, what: str) -> bytes:
        """The bytes of a tensor that lie in a file of the model's folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        offset = _whole(entries.get("offset", "0"), "offset", what)
        length = _whole(entries.get("length", str(size)), "length", what)
        if length != size:
            fail("HAP0904", f"{what} has {length} bytes of external data, its shape says {size}", help=_DAMAGED)
        location = entries.get("location", "")
        path = self._inside(location, what)
        missing = "keep the files of external data beside the model, as they were exported"
        try:
            with os.fdopen(_open_plain(path), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    fail("HAP0904", f"{what} lies in {shown(location)}, which is no regular file", help=missing)
                if offset + size > status.st_size:
                    said = f"{size} bytes from {offset} of {shown(location)}, which has {status.st_size}"
                    fail("HAP0904", f"{what} takes {said}", help=missing)
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            fail("HAP0904", f"{what} lies in {shown(location)}, which cannot be read: {reason}", help=missing)
        if len(data) != size:
            fail("HAP0904", f"{what} lies in {shown(location)}, which became shorter while it was read", help=missing)
        return data

    def _inside(self, location: str, what: str) -> Path:
        """The file of a location, links followed. Raises HapirError (HAP0903) where it is outside of the folder."""
        if self._folder is None:
            fail("HAP0903", f"{what} lies in a file beside the model", help="import the model's file, not its bytes")
        help = "external data are read from the model's own folder alone"
        if not location or "\0" in location or Path(location).is_absolute():
            fail("HAP0903", f"{what} names {shown(location)} for its data, which is no relative path", help=help)
        folder = os.path.realpath(self._folder)
        path = Path(os.path.realpath(Path(folder) / location))
        if not path.is_relative_to(folder):
            fail("HAP0903", f"{what} names {shown(location)} for its data, outside of the model's folder", help=help)
        return path


def _open_plain(path: Path) -> int:
    """Open a file to read, without waiting for a pipe's writer or following a link put there in the meantime."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))


def _whole(text: str, key: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        fail("HAP0904", f"the {key} of {what} is {shown(text)}", help="a whole number of bytes, not negative")
    return int(text)


def _from_bytes(data: bytes, element: Element, count: int) -> Array:
    """Little-endian bytes as values; what is narrower than a byte comes from the low bits up."""
    if element.narrow:
        return _unpacked(np.frombuffer(data, np.uint8), element, count)
    if element.name == "bool":
        return np.frombuffer(data, np.uint8) != 0
    if element.name == "bfloat16":
        return _from_bfloat16(np.frombuffer(data, "<u2"))
    stored = np.frombuffer(data, np.dtype(element.name).newbyteorder("<"))
    return _as(stored, element.dtype)


def _from_field(tensor: onnx.TensorProto, element: Element, count: int, what: str) -> Array:
    """The values of the field that the element type uses."""
    field = cast("Sequence[Any]", getattr(tensor, element.field))
    wanted = -(-count * element.bits // 8) if element.narrow else count
    if len(field) != wanted:
        fail("HAP0905", f"{what} has {len(field)} values, its shape says {wanted}", help=_DAMAGED)
    if element.field in ("float_data", "double_data"):
        return _as(np.array(field, np.float64 if element.field == "double_data" else np.float32), element.dtype)
    values = np.array(field, np.uint64 if element.field == "uint64_data" else np.int64)
    if element.name == "bool":
        return values != 0
    kind = np.dtype(np.uint8 if element.narrow else element.dtype)
    if kind.kind == "f":  # the bits of 16-bit floats
        kind = np.dtype(np.uint16)
    bounds = np.iinfo(kind)
    if count and not bounds.min <= int(values.min()) <= int(values.max()) <= bounds.max:
        fail("HAP0905", f"{what} has values that {element.name} cannot hold", help=_DAMAGED)
    return _from_bytes(values.astype(kind.newbyteorder("<")).tobytes(), element, count)


def _unpacked(data: Array, element: Element, count: int) -> Array:
    """Integers of 2 or 4 bits out of bytes, the lowest bits first."""
    bits = element.bits
    fields = (data[:, None] >> np.arange(0, 8, bits, dtype=np.uint8)) & ((1 << bits) - 1)
    values = fields.reshape(-1)[:count].astype(np.uint8)
    if element.dtype.kind == "u":
        return values
    shift = 8 - bits
    return (values << shift).astype(np.uint8).view(np.int8) >> shift


def _from_bfloat16(stored: Array) -> Array:
    return (stored.astype(np.uint32) << 16).view(np.float32)


def _as(values: Array, dtype: np.dtype[Any]) -> Array:
    """Values in another type; a float64 beyond float32 becomes infinite, which the converter refuses with its name."""
    with np.errstate(over="ignore"):
        return values.astype(dtype, copy=False)

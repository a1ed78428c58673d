"""Arrays beside the IR: the IR holds keys, a `WeightStore` holds the numbers.

Text IR with literal weights is slow to parse and unreadable: `nn.weight` ops and per-channel types name a key. A
pass that changes values writes a new key and leaves the old one: stores only grow until `retain` drops what no IR
names.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hapir.diagnostics import Span, did_you_mean, fail, some

Array = npt.NDArray[np.generic]
GIVE_WEIGHTS = (
    'give some: `weights from "file"` in the network, `weights = "file"` or `weights = random()` in the schedule'
)
"""The help where a network that is to be computed has no weights."""


class WeightStore(Mapping[str, Array]):
    """Named arrays, each read-only once stored."""

    def __init__(self, arrays: Mapping[str, Array] | None = None):
        self._arrays: dict[str, Array] = {}
        for key, array in (arrays or {}).items():
            self.put(key, array)

    def __getitem__(self, key: str) -> Array:
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def put(self, key: str, array: Array) -> str:
        """Store a private read-only copy under `key` (replacing it where present) and return the key."""
        copy = np.array(array, order="C")
        copy.flags.writeable = False
        self._arrays[key] = copy
        return key

    def put_new(self, key: str, array: Array) -> str:
        """Store under `key`, or under `key.1`, `key.2`, ... where it is taken; returns the key used."""
        unique, n = key, 0
        while unique in self._arrays:
            n += 1
            unique = f"{key}.{n}"
        return self.put(unique, array)

    def copy(self) -> WeightStore:
        """A store with the same (shared, read-only) arrays, to be changed independently."""
        other = WeightStore()
        other._arrays = dict(self._arrays)
        return other

    def retain(self, keys: Iterable[str]) -> None:
        """Drop every array whose key is not in `keys`."""
        kept = set(keys)
        self._arrays = {key: array for key, array in self._arrays.items() if key in kept}

    def digest(self) -> str:
        """SHA-256 over keys, dtypes, shapes and bytes, independent of insertion order."""
        state = hashlib.sha256()
        for key in sorted(self._arrays):
            array = self._arrays[key]
            state.update(f"{key}|{array.dtype.str}|{array.shape}|".encode())
            state.update(array.tobytes())
        return state.hexdigest()

    def to_bytes(self) -> bytes:
        """The store as a safetensors file; byte-identical for equal contents."""
        from safetensors.numpy import save

        return save({key: self._arrays[key] for key in sorted(self._arrays)})

    @property
    def file_bytes(self) -> int:
        """How many bytes `to_bytes` gives: the arrays, and a header of their names and shapes."""
        return len(self.to_bytes())

    @staticmethod
    def starts(data: bytes) -> dict[str, int]:
        """Where the bytes of each array begin in what `to_bytes` gave."""
        begin = 8 + int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(data[8:begin])
        header.pop("__metadata__", None)
        return {key: begin + described["data_offsets"][0] for key, described in header.items()}

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        path.write_bytes(self.to_bytes())

    @staticmethod
    def load(path: Path, at: Span | None = None) -> WeightStore:
        """Read a `.safetensors` or `.npz` file.

        Raises HapirError (HAP0401) where the file is missing, unreadable or of another kind.
        """
        return WeightStore(load_arrays(path, at))


def load_arrays(path: Path, at: Span | None = None) -> dict[str, Array]:
    """The named arrays of a `.safetensors` or `.npz` file, in its order. Raises HapirError (HAP0401) placed at `at`."""
    if not path.is_file():
        if path.is_dir():
            fail("HAP0401", f"`{path}` is a folder", at=at, help="name a .safetensors or .npz file")
        fail("HAP0401", f"the file `{path.name}` does not exist", at=at, help=_other_files(path))
    read = {".safetensors": _load_safetensors, ".npz": _load_npz}.get(path.suffix)
    if read is None:
        fail("HAP0401", f"`{path.name}` is neither .safetensors nor .npz", at=at, help="convert it to one of the two")
    try:
        arrays = read(path)
    except Exception as error:  # the two libraries raise many types for a damaged file
        fail("HAP0401", f"the file `{path.name}` cannot be read: {error}", at=at, help="write it again; it is damaged")
    return arrays


def _other_files(path: Path) -> str:
    """A help line for a file that is not there: the one that was meant, or those that lie there."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    near = sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".safetensors", ".npz"))
    found = did_you_mean(path.name, near)
    if found is not None:
        return found
    return f"looked for it in {folder}" + (f", which has {some(near, 8)}" if near else "")


def _load_safetensors(path: Path) -> dict[str, Array]:
    from safetensors.numpy import load

    data = path.read_bytes()
    arrays = load(data)  # in any order
    starts = WeightStore.starts(data)
    return {key: arrays[key] for key in sorted(arrays, key=lambda key: (starts[key], key))}


def _load_npz(path: Path) -> dict[str, Array]:
    """Raises ValueError for what numpy would offer to unpickle, or would hand out as bytes."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an .npz archive")
    with np.load(path, allow_pickle=False) as archive:
        found: dict[str, object] = {key: archive[key] for key in archive.files}
    for key, array in found.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"`{key}` in it is not an array")
    return cast("dict[str, Array]", found)

"""How much of a model hapir takes: a file says little about how much it asks for, so everything is counted first."""

from __future__ import annotations

from collections.abc import Sequence

from hapir.diagnostics import fail
from hapir.spec.tensor_types import MAXIMUM_SIZE

MAXIMUM_FILE = (1 << 31) - 1
"""Bytes of a model file: what protobuf reads. Larger models keep their tensors in external data."""
MAXIMUM_NODES = 50_000
MAXIMUM_RANK = 16
MAXIMUM_CONSTANTS = 1 << 32
"""Bytes of all constants together, as hapir holds them."""
MAXIMUM_NAME = 60
"""Characters of a name that a message shows."""


def shown(name: str) -> str:
    """A name of the file as a message may show it: one line, printable, not too long."""
    printable = "".join(c if c.isprintable() else "?" for c in name[:MAXIMUM_NAME])
    return f"`{printable}...`" if len(name) > MAXIMUM_NAME else f"`{printable}`"


def count_of(shape: Sequence[int], what: str) -> int:
    """The number of elements of a shape. Raises HapirError (HAP0906) where it cannot be, or is too large for hapir."""
    if len(shape) > MAXIMUM_RANK:
        help = f"at most {MAXIMUM_RANK} can be imported"
        fail("HAP0906", f"{what} has {len(shape)} dimensions", help=help)
    count = 1
    for size in shape:
        if size < 0:
            fail("HAP0906", f"{what} has the negative dimension {size}", help="the file is damaged; export it again")
        count *= size
    if count > MAXIMUM_SIZE or any(size > MAXIMUM_SIZE for size in shape):
        text = "x".join(str(size) for size in shape)
        fail("HAP0906", f"{what} has the shape {text}", help=f"at most {MAXIMUM_SIZE} elements can be imported")
    return count

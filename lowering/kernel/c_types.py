"""The types of C that buffers and tables hold."""

from __future__ import annotations

from typing import Literal

import numpy as np

CType = Literal[
    "uint8_t", "int8_t", "uint16_t", "int16_t", "uint32_t", "int32_t", "uint64_t", "int64_t", "float", "double"
]

DTYPES: dict[CType, np.dtype[np.generic]] = {
    "uint8_t": np.dtype(np.uint8),
    "int8_t": np.dtype(np.int8),
    "uint16_t": np.dtype(np.uint16),
    "int16_t": np.dtype(np.int16),
    "uint32_t": np.dtype(np.uint32),
    "int32_t": np.dtype(np.int32),
    "uint64_t": np.dtype(np.uint64),
    "int64_t": np.dtype(np.int64),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}


def size_of(ctype: CType) -> int:
    """Bytes of one element."""
    return DTYPES[ctype].itemsize

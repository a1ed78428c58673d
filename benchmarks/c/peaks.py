"""The peaks of the host, measured in the same rounds as what is compared with them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

from benchmarks.c.c_libraries import compile_c
from hapir.targets.c.build import FAST_FLAGS

CHAINS, BF16_CHAINS, TURNS = 12, 24, 4096
"""As in `peaks.c`."""

BF16_DOT = "peak bf16 dot"
PEAKS = {"peak f32 FMA": 1, "peak u8 x i8 dot": 2, "peak xor-popcount": 3, BF16_DOT: 4}


@dataclass(frozen=True)
class Peak:
    """A measured peak: the object to run and the operations of one call (two per multiply-accumulate)."""

    name: str
    path: Path
    operations: int


def build_peaks(folder: Path) -> dict[str, Peak]:
    """Compile all peaks that this host has an instruction for."""
    text = Path(__file__).with_name("peaks.c").read_text(encoding="utf-8")
    peaks: dict[str, Peak] = {}
    for name, number in PEAKS.items():
        library = compile_c(folder / f"peak{number}", {"peaks.c": text}, [*FAST_FLAGS, f"-DPEAK={number}"])
        lanes = int(ctypes.CDLL(str(library.path)).bench_lanes())
        if lanes:
            chains = BF16_CHAINS if name == BF16_DOT else CHAINS
            peaks[name] = Peak(name, library.path, 2 * lanes * chains * TURNS)
    return peaks

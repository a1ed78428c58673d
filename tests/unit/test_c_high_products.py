"""High halves of products in lanes, on every path at -O2, where compilers have their own ideas of vectors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from hapir.targets.c.emit import INLINE
from hapir.targets.c.simd.primitive import primitives, print_primitives
from tests.c_machines import BASE, MACHINES, Machine, skip_unless_here

COUNT = 4000
MAIN = """
int main(void)
{
    static int32_t x[16], m[16], y[16];
    while (fread(x, sizeof(x), 1, stdin) == 1 && fread(m, sizeof(m), 1, stdin) == 1) {
        hapir__i32x16 r = i32x16__mul_high(i32x16__load(x), i32x16__set(m[0]));
        r = i32x16__add(r, i32x16__set(5));
        i32x16__store(y, r);
        fwrite(y, sizeof(y), 1, stdout);
        r = i32x16__shift_left(i32x16__load(x), i32x16__set(3));
        i32x16__store(y, i32x16__mul_high_sticky(r, i32x16__load(m)));
        fwrite(y, sizeof(y), 1, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_high_halves(machine: Machine, tmp_path: Path):
    """GCC 12.2 got them wrong for riscv64, which has no vectors of its own."""
    skip_unless_here(machine)
    names = ("load", "store", "set", "add", "shift_left", "mul_high", "mul_high_sticky")
    used = [primitives()[f"i32x16__{name}"] for name in names]
    heads = "\n".join(f"#include <{header}.h>" for header in ("stdint", "stdio", "stddef", "string"))
    (tmp_path / "main.c").write_text("\n".join([heads, INLINE, print_primitives(used), MAIN]), encoding="utf-8")
    command = [machine.compiler, "-O2", *BASE, *machine.flags, "-o", "main", "main.c", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    rng = np.random.default_rng(1)
    pairs = rng.integers(-(1 << 26), 1 << 26, (COUNT, 2, 16)).astype(np.int32)
    pairs[:, 1] = rng.integers(0, (1 << 31) - 1, (COUNT, 16))
    program = [*machine.emulator, str(tmp_path / "main")]
    output = subprocess.run(program, input=pairs.tobytes(), capture_output=True, check=True).stdout
    found = np.frombuffer(output, np.int32).reshape(COUNT, 2, 16)
    x, m = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    np.testing.assert_array_equal(found[:, 0], (x * m[:, :1] >> 32) + 5)
    wide = 8 * x * m
    np.testing.assert_array_equal(found[:, 1], wide >> 32 | (wide & 0xFFFFFFFF != 0))

"""What a microcontroller's linker sees of the C: its size, what it calls, and that it keeps nothing of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import hapir

SPEC = """
hap 1
import "networks/resnet20.hap"
recipe int8 {
    fold_batch_norm()
    quantize(weights = i8, activations = u8, calibration = "calibration.npz")
}
recipe floats { fold_batch_norm() }
schedule int8_on_c of resnet20 with int8 { weights = random(seed = 1) }
schedule floats_on_c of resnet20 with floats { weights = random(seed = 1) }
"""
SOURCE_BYTES = 400_000
"""The most that the source of ResNet-20 may take without its weights."""
COPIES = {"memcpy", "memset", "memmove"}


def written(folder: Path, schedule: str) -> Path:
    """The C of a ResNet-20."""
    images = np.random.default_rng(1).standard_normal((2, 3, 32, 32), dtype=np.float32)
    np.savez(folder / "calibration.npz", image=images)
    (folder / "n.hap").write_text(SPEC)
    hapir.load(folder / "n.hap").schedule(schedule).lower("c", folder / "c")
    return folder / "c"


@pytest.mark.parametrize("schedule", ["int8_on_c", "floats_on_c"])
@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("nm")), reason="gcc is not installed")
def test_a_resnet_is_small_and_calls_nothing(schedule: str, tmp_path: Path):
    folder = written(tmp_path, schedule)
    assert (folder / "resnet20.c").stat().st_size < SOURCE_BYTES
    subprocess.run(["gcc", "-std=c11", "-O1", "-Werror", "-c", "resnet20.c"], cwd=folder, check=True)
    lines = subprocess.run(["nm", "resnet20.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-2:] for line in lines.splitlines()]
    called = {name for kind, name in symbols if kind == "U" and not name.startswith("resnet20_")}
    assert called - {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"} <= COPIES
    assert not [name for kind, name in symbols if kind in "dDbBC"]
    assert [name for kind, name in symbols if kind == "T"] == ["resnet20_run"]

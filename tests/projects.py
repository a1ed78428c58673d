"""Small projects for tests: a spec with weights, calibration and labelled data; and commands run in this process."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hapir.cli.main import main
from hapir.weights import WeightStore

SPEC = """\
hap 1
network {name}(image: f32[1, 2, 6, 6]) -> f32[1, 3] {{
    weights from "tiny.safetensors"
    c1 = conv2d(image, channels = 4, kernel = 3)
    r1 = relu(c1)
    p1 = max_pool(r1, kernel = 2)
    f1 = dense(flatten(p1), units = 3)
    return softmax(f1)
}}
machine m {{
    technology = cmos45
    clock = 200 MHz
    memory dram {{ bandwidth = 8 B/cycle, latency = 20 cycle }}
    memory activations {{ size = 16 KiB, holds = [input, output], double_buffered = true }}
    memory weights {{ size = 2 KiB, holds = weight }}
    array pe[4, 4] {{
        unit mac {{ multiply = u8 * i8, accumulate = i32, multiplier = exact }}
        unit requantize {{ multiplier = u16, rounding = half_up }}
        memory accumulator {{ size = 256 word, holds = psum }}
        memory weight_reg {{ size = 1 word, holds = weight, double_buffered = true }}
    }}
}}
recipe small {{
    quantize(calibration = "calib.npz")
}}
schedule on_m of {name} with small on m {{
    dataflow = weight_stationary
}}
"""
IMAGES = 20


@dataclass(frozen=True)
class Outcome:
    """What a command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)


def run_main(*argv: object) -> Outcome:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(a) for a in argv])
        except SystemExit as exit_:  # argparse leaves this way
            code = exit_.code if isinstance(exit_.code, int) else 2
    return Outcome(code, out.getvalue(), err.getvalue())


def write_project(folder: Path, *, seed: int = 0) -> Path:
    """Spec `tiny.hap` with all its files; returns the spec's path."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return draw.normal(size=shape).astype(np.float32)

    weights = {"c1.weight": normal(4, 2, 3, 3), "c1.bias": normal(4), "f1.weight": normal(3, 16), "f1.bias": normal(3)}
    WeightStore(weights).save(folder / "tiny.safetensors")
    np.savez(folder / "calib.npz", image=normal(16, 2, 6, 6))
    np.savez(folder / "test.npz", image=normal(IMAGES, 2, 6, 6), label=draw.integers(0, 3, IMAGES))
    spec = folder / "tiny.hap"
    spec.write_text(SPEC.format(name="tiny"), encoding="utf-8")
    return spec


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by relative path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

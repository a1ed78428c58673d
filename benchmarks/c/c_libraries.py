"""Generated C as shared objects that a worker loads: the sources of a tool behind a loop of calls in C.

Both generators are called from C, as their users do. Every object has `bench_prepare(x)`, `bench_burst(calls)`,
`bench_result()`, `bench_bytes()` and `bench_type()` (f: float, u: uint8_t, i: int8_t, w: int32_t).
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np

from benchmarks.c.graph import Array, Graph
from hapir.targets.c.build import FAST_FLAGS, find_compiler
from hapir.targets.c.emit import CArtefact

EMX_FLAGS = ("-std=c11", "-O3", "-march=native", "-ffast-math")
TYPES = {"float": "f", "uint8_t": "u", "int8_t": "i", "int32_t": "w"}

DRIVER = Template("""\
$includes
#include <stdint.h>
$state
static $result result[$length];
void bench_prepare(const void *given);
void bench_burst(long calls);
const void *bench_result(void);
long bench_bytes(void);
int bench_type(void);
static const $input *x;
void bench_prepare(const void *given) { x = given; $prepare }
void bench_burst(long calls) { $before for (long i = 0; i < calls; ++i) { $call } }
const void *bench_result(void) { return result; }
long bench_bytes(void) { return sizeof result; }
int bench_type(void) { return '$letter'; }
""")


@dataclass(frozen=True)
class Library:
    """A shared object, and what making it took."""

    path: Path
    compile_seconds: float
    source_bytes: int
    """Of all C files but those with nothing but weights."""


def compile_c(folder: Path, files: Mapping[str, str], flags: Sequence[str]) -> Library:
    """Write and compile files. Raises RuntimeError with what the compiler says."""
    folder.mkdir(parents=True, exist_ok=True)
    sources: list[str] = []
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        if name.endswith(".c"):
            sources.append(name)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*find_compiler().command, *flags, "-shared", "-fPIC", "-o", "bench.so", *sources, "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr[:2000])
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    own = [name for name in files if "weights" not in name and name != "driver.c"]
    return Library(folder / "bench.so", seconds, sum(len(files[name].encode()) for name in own))


def hapir_library(artefact: CArtefact, folder: Path) -> Library:
    """hapir's C with its own flags."""
    (given,), (taken,) = artefact.inputs, artefact.results
    name = artefact.name
    driver = DRIVER.substitute(
        includes=f'#include "{name}.h"',
        state=f"static struct {name}_ctx context;",
        input=given.ctype,
        result=taken.ctype,
        length=int(np.prod(taken.shape)),
        letter=TYPES[taken.ctype],
        prepare="",
        before=f"const struct {name}_in in = {{.{given.member} = x}};"
        f"struct {name}_out out = {{.{taken.member} = result}};",
        call=f"{name}_run(&context, &in, &out);",
    )
    return compile_c(folder, {**artefact.files, "driver.c": driver}, FAST_FLAGS)


def emx_library(model: Path, graph: Graph, folder: Path) -> Library:
    """emx-onnx-cgen's C; its weights and temporaries are static, so that no file is read and nothing allocated."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    options = ["--model-name", "model", "--large-temp-threshold", "0", "--large-weight-threshold", "0"]
    command = [str(Path(sys.executable).with_name("emx-onnx-cgen")), "compile", *options]
    done = subprocess.run(
        [*command, "--emit-data-file", str(model.resolve()), "model.c"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout)[-2000:])
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("model*.[ch]"))}
    ctype = "uint8_t" if graph.integers else "float"
    shapes = ["".join(f"[{d}]" for d in value.shape) for value in (graph.input, graph.result)]
    driver = DRIVER.substitute(
        includes="",
        state=f"void model(const {ctype} x{shapes[0]}, {ctype} y{shapes[1]});",
        input=ctype,
        result=ctype,
        length=int(np.prod(graph.result.shape)),
        letter=TYPES[ctype],
        prepare="",
        before="",
        call="model((const void *)x, (void *)result);",
    )
    renamed = {name.replace("_data", "_weights"): text for name, text in texts.items()}
    return compile_c(folder, renamed | {"driver.c": driver}, EMX_FLAGS)


def gemmbitserial_library(checkout: Path, weights: Array, rows: int, folder: Path) -> Path:
    """gemmbitserial, from a checkout of its sources, on weights of -1 and 1. Raises RuntimeError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bytes").write_bytes(weights.astype(np.int8).tobytes())
    compiler = [os.environ.get("CXX", "g++"), "-std=c++11", "-I", str(checkout)]
    return _foreign(compiler, "gemmbitserial.cpp", {"ROWS": rows, **_sizes(weights)}, folder)


def xnnpack_library(root: Path, weights: Array, bias: Array, pixels: int, folder: Path) -> Path:
    """XNNPACK's sparse kernel, from a folder into which Debian's packages are unpacked. Raises RuntimeError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bytes").write_bytes(weights.astype(np.float32).tobytes() + bias.astype(np.float32).tobytes())
    (libraries,) = {path.parent.resolve() for path in root.glob("usr/lib/*/libXNNPACK.so")}
    compiler = [*find_compiler().command, "-I", str(root / "usr/include"), "-L", str(libraries)]
    linked = ["-lXNNPACK", "-lpthreadpool", "-lcpuinfo", "-Wl,--disable-new-dtags", f"-Wl,-rpath,{libraries}"]
    return _foreign(compiler, "xnnpack_sparse.c", {"PIXELS": pixels, **_sizes(weights)}, folder, linked)


def _sizes(weights: Array) -> dict[str, int]:
    return {"OUTPUTS": weights.shape[0], "INPUTS": weights.shape[1]}


def _foreign(
    compiler: Sequence[str], source: str, defines: Mapping[str, int], folder: Path, linked: Sequence[str] = ()
) -> Path:
    """Compile one of the sources beside this file."""
    options = [f"-D{key}={value}" for key, value in defines.items()]
    options.append(f'-DWEIGHTS="{(folder / "weights.bytes").resolve()}"')
    target = folder / "bench.so"
    command = [*compiler, "-O3", "-march=native", "-shared", "-fPIC", *options, "-o", str(target)]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name(source)), *linked], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[:2000])
    return target

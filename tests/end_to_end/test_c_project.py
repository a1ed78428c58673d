"""What `hapir compile` writes around the C: a Makefile, a CMake package, an example, and the options of both."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.targets.c.options import COptions
from tests.c_machines import MACHINES
from tests.end_to_end.digits import DIGITS, SPECS
from tests.end_to_end.test_digits_machines import body_of
from tests.projects import run_main

OPTIONS = (COptions(), COptions(dispatch=True), COptions(weights_file=True), COptions(True, True))
CXX = [name for name in ("g++", "clang++") if shutil.which(name)]
needs_make = pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="`make` is not installed")
needs_cmake = pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("cc")), reason="`cmake` is not installed")


def written(folder: Path, options: COptions) -> Path:
    """The folder with the C of the digits."""
    hapir.load(DIGITS).schedule().compile(folder / "out", ["c"], c=options)
    return folder / "out" / "c"


def expected() -> tuple[bytes, list[int]]:
    """One image for the body, and the reference's results."""
    (_, inputs), results = body_of("digits")
    (image,), (logits,) = inputs.values(), results.values()
    return image[3].tobytes(), np.asarray(logits)[3].reshape(-1).tolist()


def printed(program: Path, folder: Path) -> list[int]:
    """What the example prints about one image."""
    data, _ = expected()
    (folder / "image.bin").write_bytes(data)
    done = subprocess.run([program, folder / "image.bin"], capture_output=True, text=True, check=True)
    return [int(word) for line in done.stdout.splitlines()[1:] for word in line.split()]


@needs_make
@pytest.mark.parametrize("options", [COptions(), COptions(True, True)], ids=str)
def test_make_builds_the_example(options: COptions, tmp_path: Path):
    folder = written(tmp_path, options)
    flags = "-O1 -Wall -Wextra -Werror -pedantic"
    subprocess.run(["make", "-s", f"CFLAGS={flags}"], cwd=folder, check=True)
    assert printed(folder / "digits_example", tmp_path) == expected()[1]
    (folder / "image.bin").write_bytes(b"short")
    done = subprocess.run(
        [folder / "digits_example", folder / "image.bin"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "has not the 64 bytes" in done.stderr) == (1, True)
    subprocess.run(["make", "-s", "clean"], cwd=folder, check=True)
    assert not list(folder.glob("*.o"))


USER = """
cmake_minimum_required(VERSION 3.13)
project(user LANGUAGES C)
{get}
add_executable(user {example})
target_link_libraries(user PRIVATE hapir::digits)
"""


def cmake(source: Path, build: Path, *options: str) -> None:
    """Configure and build quietly."""
    for command in (["cmake", "-S", source, "-B", build, *options], ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_cmake
@pytest.mark.parametrize("options", [COptions(), pytest.param(COptions(True, True), marks=pytest.mark.slow)], ids=str)
def test_cmake_finds_the_installed_package_and_takes_the_folder(options: COptions, tmp_path: Path):
    folder = written(tmp_path, options)
    cmake(folder, tmp_path / "build")
    assert printed(tmp_path / "build" / "digits_example", tmp_path) == expected()[1]
    install = ["cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "prefix"]
    subprocess.run(install, check=True, capture_output=True)
    for way, get in {
        "find": "find_package(digits REQUIRED)",
        "add": f'add_subdirectory("{folder}" digits)',
    }.items():
        user = tmp_path / way
        user.mkdir()
        (user / "CMakeLists.txt").write_text(USER.format(get=get, example=folder / "digits_example.c"))
        cmake(user, user / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
        assert printed(user / "build" / "user", tmp_path) == expected()[1]


@pytest.mark.parametrize("compiler", CXX)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_headers_serve_cplusplus(compiler: str, options: COptions, tmp_path: Path):
    folder = written(tmp_path, options)
    headers = sorted(path.name for path in folder.glob("*.h"))
    assert len(headers) == 1 + options.dispatch
    calls = ["digits_run(nullptr, nullptr, nullptr)"]
    calls += ["digits_has_path(DIGITS_PATH_BASE)"] if options.dispatch else []
    calls += ["digits_load(nullptr, nullptr, 0)"] if options.weights_file else []
    text = [
        *(f'#include "{name}"' for name in headers),
        f"int main() {{ digits_ctx c; (void)c; return {' + '.join(calls)}; }}",
    ]
    (folder / "main.cpp").write_text("\n".join([*text, ""]))
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-DHAPIR_LAYER_TIME"]
    subprocess.run([compiler, *flags, "-fsyntax-only", "main.cpp"], cwd=folder, check=True)


HOOK = """
#include "digits.h"
#include <stdio.h>
void digits_layer_time(int layer, int end)
{
    printf("%d%s", layer, end ? ") " : "(");
}
static struct digits_ctx context;
int main(void)
{
    uint8_t image[64] = {0}, logits[10];
    const struct digits_in in = {image};
    struct digits_out out = {logits};
    printf("%d: ", DIGITS_LAYERS);
    return digits_run(&context, &in, &out);
}
"""


@needs_make
def test_the_hook_is_called_around_each_layer(tmp_path: Path):
    folder = written(tmp_path, COptions())
    (folder / "hook.c").write_text(HOOK)
    units = ["hook.c", "digits.c", "digits_weights.c"]
    subprocess.run(
        ["cc", "-std=c11", "-Wall", "-Werror", "-DHAPIR_LAYER_TIME", "-o", "hook", *units], cwd=folder, check=True
    )
    text = subprocess.run([folder / "hook"], capture_output=True, text=True, check=True).stdout
    layers = json.loads((folder / "digits_report.json").read_text())["layers"]
    assert text == f"{len(layers)}: " + "".join(f"{i}({i}) " for i in range(len(layers)))


def test_integer_networks_need_no_mathematical_library(tmp_path: Path):
    folder = written(tmp_path, COptions())
    assert "math.h" not in (folder / "digits.c").read_text()
    assert "-lm" not in (folder / "Makefile").read_text()


def test_the_options_on_the_command_line(tmp_path: Path):
    done = run_main("compile", DIGITS, "-o", tmp_path / "a", "--target", "c", "--dispatch", "--weights-file")
    assert done.code == 0, done.err
    assert {"digits_dispatch.c", "digits_weights.bin"} <= {path.name for path in (tmp_path / "a" / "c").iterdir()}
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["c"] == {"dispatch": True, "weights_file": True}
    without = run_main("compile", DIGITS, "-o", tmp_path / "b", "--target", "verilog", "--dispatch")
    assert (without.code, "HAP0803" in without.err) == (1, True)
    twice = run_main("compile", SPECS / "digits_encoded.hap", "-o", tmp_path / "c", "--weights-file")
    assert (twice.code, "HAP0804" in twice.err) == (1, True)
    several = run_main("compile", DIGITS, "-o", tmp_path / "d", "--target", "c", "--dispatch", "--jobs", "1")
    assert several.code == 0, several.err
    assert (tmp_path / "d" / "digits" / "c" / "digits_dispatch.h").exists()


def test_the_options_of_the_target():
    done = run_main("opt", DIGITS, "-p", 'int8{calibration="digits_calib.npz"}', "-t", "c{dispatch=true}")
    assert done.code == 0, done.err
    assert "digits_dispatch.c ----" in done.out


def test_the_machines_of_the_tests_are_told_apart():
    assert len({machine.name for machine in MACHINES}) == len(MACHINES)

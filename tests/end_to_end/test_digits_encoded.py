"""`digits_encoded.hap`: what is compiled has the bytes that are reported, and C reads them from the file."""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, ModuleOp

import hapir
from hapir.dialects.enc import DecodeOp
from hapir.dialects.nn import WeightOp
from hapir.encodings.bits import bytes_for
from hapir.lowering.network_edits import used_keys
from hapir.targets.c.build import find_compiler
from hapir.weights import WeightStore
from tests.end_to_end.digits import SPECS, TEST_DATA, arrays_of
from tests.projects import run_main

ENCODED = SPECS / "digits_encoded.hap"
QUANTIZED = """
hap 1
import "{specs}/digits.hap"
recipe packed {{
    fold_batch_norm()
    quantize(weights = i4, activations = u8, granularity = channel, calibration = "{specs}/digits_calib.npz")
    encode(encoding = {encoding})
}}
schedule packed_on_tiny of digits with packed on tiny_ws {{ }}
"""
READER = """
#include "digits.h"
#include <stdio.h>

static unsigned char file[DIGITS_FILE_BYTES + 9];
static struct digits_ctx ctx;

int main(int count, char **arguments)
{
    (void)count;
    FILE *from = fopen(arguments[1], "rb");
    const size_t size = from == NULL ? 0 : fread(file, 1, sizeof(file), from);
    float image[64] = {0}, output[10];
    const struct digits_in in = {image};
    struct digits_out out = {output};
    if (digits_run(&ctx, &in, &out) != 2) {
        return 9;
    }
    const int status = digits_load(&ctx, file, size);
    return digits_run(&ctx, &in, &out) == (status == 0 ? 0 : 2) ? status : 8;
}
"""


def test_the_example_on_c_and_reference():
    outcome = run_main("run", ENCODED, "--on", "c", "--input", TEST_DATA, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["accuracy"] >= 0.96
    assert outcome.json["max_abs_error"] <= 1e-5  # on probabilities
    assert outcome.json["file_bytes"] < 15_570 * 4 / 8
    assert outcome.json["weight_bytes"] == 360  # the biases


def test_the_compiled_file_is_the_parts_and_a_header_and_c_reads_it(tmp_path: Path):
    outcome = run_main("compile", ENCODED, "--target", "c", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    data = (tmp_path / "out" / "weights.safetensors").read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    named = json.loads(data[8:header])
    scheduled = hapir.load(ENCODED).schedule("encoded")
    decodes = [op for op in scheduled.module.walk() if isinstance(op, DecodeOp)]
    assert len(decodes) == 4
    assert set(scheduled.decoded.weights) == used_keys(ModuleOp([scheduled.decoded.network.clone()]))
    sizes = {key: v["data_offsets"][1] - v["data_offsets"][0] for key, v in named.items()}
    assert len(data) == header + sum(sizes.values())
    for op in decodes:
        owners = [part.owner for part in op.parts]
        stored = [sizes[owner.key.data] for owner in owners if isinstance(owner, WeightOp)]
        bits = op.attributes["bits"]
        assert isinstance(bits, IntegerAttr)
        assert bytes_for(bits.value.data) <= sum(stored) < bytes_for(bits.value.data) + len(op.parts)
    assert [reads(tmp_path, data), reads(tmp_path, data[:-1]), reads(tmp_path, data + b"\0"), reads(tmp_path, b"")] == [
        *(0, 2, 2, 2)
    ]
    assert WeightStore.load(tmp_path / "out" / "weights.safetensors").digest() == scheduled.weights.digest()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0x10
    assert reads(tmp_path, bytes(flipped)) == 2
    # bytes that pass for the file, by their CRC, and are none of an encoder
    book = next(key for key in named if key.endswith(".huffman.book"))
    begin, end = (header + offset for offset in named[book]["data_offsets"])
    damaged = with_crc(data[:begin] + b"\xff" * (end - begin) + data[end:], zlib.crc32(data))
    assert (len(damaged), zlib.crc32(damaged)) == (len(data), zlib.crc32(data))
    assert reads(tmp_path, damaged) == 3


def with_crc(data: bytes, wanted: int) -> bytes:
    """The bytes with the last four changed so that they have a CRC-32, which is linear in the bits of these."""

    def ending(bits: int) -> bytes:
        return data[:-4] + bits.to_bytes(4, "little")

    base, rows = zlib.crc32(ending(0)), dict[int, tuple[int, int]]()
    for i in range(32):
        change, bits = zlib.crc32(ending(1 << i)) ^ base, 1 << i
        while change.bit_length() in rows:
            known, own = rows[change.bit_length()]
            change, bits = change ^ known, bits ^ own
        rows[change.bit_length()] = change, bits
    left, found = wanted ^ base, 0
    while left:
        change, bits = rows[left.bit_length()]
        left, found = left ^ change, found ^ bits
    return ending(found)


@pytest.mark.parametrize("spec", ["digits_encoded.hap", "packed.hap"])
def test_the_compiled_parts_read_the_compiled_weights(spec: str, tmp_path: Path):
    (tmp_path / "packed.hap").write_text(QUANTIZED.format(specs=SPECS, encoding="smallest"), encoding="utf-8")
    path = tmp_path / spec if spec == "packed.hap" else SPECS / spec
    schedule = "packed_on_tiny" if spec == "packed.hap" else "encoded"
    out = tmp_path / "out"
    command = ("compile", path, "--schedule", schedule, "--target", "c", "-o", out, "--allow-outside")
    assert run_main(*command).code == 0
    body = out / "ir" / "body.mlir"
    assert "enc.decode" in body.read_text(encoding="utf-8")
    printed = run_main("opt", body, "--weights", out / "weights.safetensors", "-t", "c{weights=true}")
    assert printed.code == 0, printed.err
    around = {"Makefile", "CMakeLists.txt", "digits_example.c", "digits_report.txt", "digits_report.json"}
    written = [file for file in (out / "c").iterdir() if file.name not in around]
    compiled = {file.name: file.read_text(encoding="utf-8") for file in written}
    chunks = (chunk.split(" ---- */\n", 1) for chunk in printed.out.split("/* ---- ")[1:])
    assert {name: without_places(text) for name, text in chunks} == {
        name: without_places(f"{text}\n") for name, text in compiled.items()
    }


def without_places(text: str) -> str:
    """The text without the lines of sources that its comments name."""
    return re.sub(r" \(\S+:\d+\)", "", text)


def reads(folder: Path, data: bytes) -> int:
    """What a program that reads its weights from a file says."""
    sources = folder / "out" / "c"
    program, file = folder / "reader", folder / "file"
    if not program.exists():
        (folder / "reader.c").write_text(READER, encoding="utf-8")
        names = [str(sources / name) for name in ("digits.c", "digits_weights.c")]
        command = [*find_compiler().command, "-std=c11", f"-I{sources}", "reader.c", *names, "-o", "reader", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
    file.write_bytes(data)
    return subprocess.run([str(program), str(file)], check=False).returncode


@pytest.mark.parametrize("encoding", ["huffman(source = gaps, codebook = model)", "bit_planes(word = 32)"])
def test_an_integer_network_is_bit_for_bit_the_reference(encoding: str, tmp_path: Path):
    spec = tmp_path / "packed.hap"
    spec.write_text(QUANTIZED.format(specs=SPECS, encoding=encoding), encoding="utf-8")
    images = {name: array[:40] for name, array in arrays_of(TEST_DATA).items()}
    packed = hapir.load(spec, allow_outside=True).schedule("packed_on_tiny")
    c, reference = packed.run("c", images), packed.run("reference", images)
    for name, logits in reference.body.items():
        assert logits.dtype.kind in "iu"
        np.testing.assert_array_equal(c.body[name], logits)
    assert not any(isinstance(op, DecodeOp) for op in packed.cut.body.walk())

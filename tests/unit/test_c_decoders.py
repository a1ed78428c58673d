"""The decoders in C beside those in numpy, on good, damaged and truncated bytes, under the sanitizers.

One program takes cases from its input: which tensor, and its parts, each in a block of exactly its size.
"""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hapir.encodings.bits import Bytes, Unsigned
from hapir.encodings.encoding import DamagedError, Encoding, Symbols, Tensor
from hapir.registry import HAPIR
from hapir.targets.c import decoders
from hapir.targets.c.build import find_compiler
from hapir.targets.c.decoders import c_decoder
from hapir.targets.c.simd.primitive import primitives
from tests.property.encoded_symbols import ENCODINGS, symbols_from
from tests.property.test_c_sanitizers import FLAGS

MAIN = """
static uint32_t *symbols;

static int store(void *to, const uint8_t *file, uint32_t position, uint32_t symbol)
{
    (void)file;
    ((uint32_t *)to)[position] = symbol;
    return 0;
}

static int run(uint32_t which, const struct hapir__part *parts, uint32_t *count)
{
    switch (which) {
$cases
    default:
        return 9;
    }
}

int main(void)
{
    uint32_t head[2];
    while (fread(head, 4, 2, stdin) == 2) {
        struct hapir__part parts[8] = {{0}};
        for (uint32_t i = 0; i < head[1]; ++i) {
            uint32_t size;
            if (fread(&size, 4, 1, stdin) != 1) return 1;
            uint8_t *data = malloc(size ? size : 1);
            if (fread(data, 1, size, stdin) != size) return 1;
            parts[i].data = data;
            parts[i].size = size;
        }
        uint32_t count = 0;
        const int32_t status = run(head[0], parts, &count);
        fwrite(&status, 4, 1, stdout);
        fwrite(symbols, 4, count, stdout);
        free(symbols);
        for (uint32_t i = 0; i < head[1]; ++i) free((void *)parts[i].data);
    }
    return 0;
}
"""


@dataclass(frozen=True, eq=False)
class Case:
    """An encoding with every option chosen, the tensor, and the bytes to decode."""

    encoding: Encoding
    tensor: Tensor
    parts: list[Bytes]


def program(kinds: Sequence[tuple[Encoding, Tensor]]) -> str:
    texts: dict[str, None] = {}
    cases: list[str] = []
    for number, (encoding, tensor) in enumerate(kinds):
        found = c_decoder(encoding, tensor)
        assert found is not None
        texts |= dict.fromkeys(found[0])
        fields = f"{tensor.count}, {tensor.rows}, {tensor.columns}, {tensor.zero or 0}U, {tensor.bits}"
        cases.append(
            f"    case {number}: {{\n        *count = {tensor.count};\n"
            f"        symbols = calloc({max(tensor.count, 1)}, 4);\n"
            f"        const struct hapir__tensor tensor = {{{fields}, store, symbols, NULL}};\n"
            f"        return {found[1]};\n    }}"
        )
    includes = "".join(f"#include <{name}.h>\n" for name in ("stddef", "stdint", "stdio", "stdlib", "string"))
    return includes + "\n\n".join(texts) + MAIN.replace("$cases", "\n".join(cases))


def decode_all(cases: Sequence[Case], folder: Path) -> list[tuple[int, Unsigned]]:
    """What the C program says of each case: its status and the symbols."""
    kinds = list(dict.fromkeys((case.encoding, case.tensor) for case in cases))
    (folder / "main.c").write_text(program(kinds), encoding="utf-8")
    subprocess.run([*find_compiler().command, *FLAGS, "-o", "main", "main.c"], cwd=folder, check=True)
    data = b""
    for case in cases:
        data += struct.pack("<II", kinds.index((case.encoding, case.tensor)), len(case.parts))
        data += b"".join(struct.pack("<I", len(part)) + part.tobytes() for part in case.parts)
    done = subprocess.run([str(folder / "main")], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    results: list[tuple[int, Unsigned]] = []
    rest = done.stdout
    for case in cases:
        status, size = struct.unpack("<i", rest[:4])[0], 4 + 4 * case.tensor.count
        results.append((status, np.frombuffer(rest[4:size], np.uint32)))
        rest = rest[size:]
    assert not rest
    return results


def tensors() -> list[Symbols]:
    """Sparse, dense, empty, with and without zeros, wide and narrow ones."""
    rng = np.random.default_rng(7)

    def drawn(shape: tuple[int, ...], bits: int, levels: Sequence[int], zeros: float, zero: int | None) -> Symbols:
        count = int(np.prod(shape))
        values = rng.choice(np.array(levels, np.uint64), count)
        values[rng.random(count) < zeros] = levels[0]
        return symbols_from([int(v) for v in values], bits, zero, shape)

    floats = [0, *(int(v) for v in rng.integers(1, 2**32, 40))]
    return [
        drawn((4, 3, 3, 3), 2, [0, 1, 3], 0.7, 0),
        drawn((3, 300), 2, [0, 1, 3], 0.98, 0),
        drawn((5, 41), 8, list(range(256)), 0.5, 0),
        drawn((2, 7), 32, floats, 0.3, 0),
        drawn((6, 5), 3, [5, 1, 7], 0.5, 5),
        drawn((20,), 4, [1, 2, 3, 9], 0.0, None),
        drawn((3, 3), 2, [0], 0.0, 0),
        drawn((1,), 2, [1], 0.0, 0),
        drawn((0, 4), 2, [0], 0.0, 0),
        drawn((2, 600), 1, [0, 1], 0.99, 0),
    ]


def damaged(parts: Sequence[Bytes], rng: np.random.Generator) -> list[Bytes]:
    """The parts with a few bits flipped, or one part cut, longer or replaced."""
    changed = [part.copy() for part in parts]
    which = int(rng.integers(len(parts)))
    part = changed[which]
    kind = rng.integers(5)
    if kind <= 2 and len(part):
        for _ in range(int(rng.integers(1, 3))):
            part[rng.integers(len(part))] ^= np.uint8(1 << rng.integers(8))
    elif kind == 3:
        changed[which] = part[: int(rng.integers(len(part) + 1))]
    else:
        changed[which] = rng.integers(0, 256, int(rng.integers(len(part) + 3)), np.uint8)
    return changed


def test_c_decodes_as_numpy_does(tmp_path: Path):
    rng = np.random.default_rng(11)
    cases: list[Case] = []
    good: list[Unsigned | None] = []
    for symbols in tensors():
        for encoding in ENCODINGS:
            if encoding.unfit(symbols) is not None:
                continue
            common = encoding.for_all([symbols])
            fitted = common.fitted(symbols)
            parts = [part.data for part in fitted.encode(symbols, common.share([symbols]))]
            cases.append(Case(fitted, symbols.tensor, parts))
            good.append(symbols.values)
            for _ in range(12):
                cases.append(Case(fitted, symbols.tensor, damaged(parts, rng)))
                good.append(None)
    assert {case.encoding.name for case in cases} == set(HAPIR.encodings) - {"smallest"}
    refused = 0
    for case, expected, (status, found) in zip(cases, good, decode_all(cases, tmp_path), strict=True):
        try:
            decoded = case.encoding.decode(case.parts, case.tensor)
        except DamagedError:
            refused += 1
            assert status == 1, case.encoding
            assert expected is None
            continue
        assert status == 0, case.encoding
        np.testing.assert_array_equal(found, decoded)
        if expected is not None:
            np.testing.assert_array_equal(found, expected)
    assert 0.2 < refused / len(cases) < 0.9


def test_no_function_of_a_decoder_is_called_like_one_of_a_kernel():
    defines = re.compile(r"^(?:static|HAPIR__INLINE)[^;(]*?\b(\w+__\w+)\(", re.M)
    texts = [text for name, text in vars(decoders).items() if name.isupper() and isinstance(text, str)]
    of_decoders = {name for text in texts for name in defines.findall(text)}
    of_kernels = {name for p in primitives().values() for text in p.texts.values() for name in defines.findall(text)}
    assert len(of_decoders) > 10
    assert len(of_kernels) > 100
    assert not of_decoders & of_kernels

"""Primitives written once per register and spread over the registers of a vector.

Sixteen doubles are a vector as well: two registers of AVX-512, four of AVX2, eight of NEON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import dedent

from hapir.dialects.kernel import PATHS
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c as fill
from hapir.targets.c.text import listed

_LETTERS = "abcdefgh"

REGISTERS: dict[str, Mapping[str, tuple[str, int]]] = {
    "hapir__i32x16": {"avx512": ("__m512i", 1), "avx2": ("__m256i", 2), "neon": ("int32x4_t", 4), "c": ("int32_t", 16)},
    "hapir__f32x16": {"avx512": ("__m512", 1), "avx2": ("__m256", 2), "neon": ("float32x4_t", 4), "c": ("float", 16)},
    "hapir__f64x16": {
        "avx512": ("__m512d", 2),
        "avx2": ("__m256d", 4),
        "neon": ("float64x2_t", 8),
        "c": ("double", 16),
    },
}
"""Per type and path its register (a lane on path `c`), and how many make 16 lanes; one alone is the type itself."""

_VECTORS = {"i32": "hapir__i32x16", "f32": "hapir__f32x16", "f64": "hapir__f64x16"}
_USED = re.compile(r"\b(?:hapir__\w+|[a-z]\d+x16__\w+)\b")


def _doubles() -> Primitive:
    texts: dict[str, str] = {}
    for path, (register, count) in REGISTERS["hapir__f64x16"].items():
        members = "v[16]" if path == "c" else ", ".join(_LETTERS[:count])
        texts[path] = f"typedef struct {{\n    {register} {members};\n}} hapir__f64x16;"
    return Primitive("hapir__f64x16", texts)


DOUBLES = _doubles()
"""The type of 16 doubles."""


def each(name: str, result: str, parameters: str, avx512: str, avx2: str, neon: str, plain: str) -> Primitive:
    """A function that treats all registers alike: an expression per path, `x@` for the register (or lane) of `x`."""
    bodies: dict[str, str] = {}
    for path, expression in zip(("avx512", "avx2", "neon", "c"), (avx512, avx2, neon, plain), strict=True):
        _, count = REGISTERS[result][path]
        if count == 1:
            bodies[path] = f"return {expression.replace('@', '')};"
        elif path == "c":
            value = expression.replace("@", ".v[i]")
            floats = result == _VECTORS["f32"] and all(p.startswith("f32 ") for p in parameters.split(", "))
            bodies[path] = (
                float_lanes(value)
                if floats
                else f"{result} r;\nfor (int i = 0; i < 16; ++i) {{\n    r.v[i] = {value};\n}}\nreturn r;"
            )
        else:
            bodies[path] = spread(result, [expression.replace("@", f".{part}") for part in _LETTERS[:count]])
    return per_path(name, result, parameters, **bodies)


_LANE = re.compile(r"(\w+)\.v\[i\]")
_PLAIN = re.compile(r"[\w\s.+*?:<>-]*")


def float_lanes(expression: str) -> str:
    """The plain C of a vector of floats whose lane i is an expression of i, `x.v[i]` being that of x.

    Arithmetic and choices by one comparison are done on four lanes at a time where the compiler has such vectors: these
    stay in registers, which arrays of lanes do not.
    """
    loop = f"for (int i = 0; i < 16; ++i) {{\n    r.v[i] = {expression};\n}}"
    if not _PLAIN.fullmatch(_LANE.sub(r"\1", expression)):
        return f"hapir__f32x16 r;\n{loop}\nreturn r;"
    parts: list[str] = []
    for place in ("", " + 4", " + 8", " + 12"):
        quarter = _LANE.sub(rf"hapir__load(\1.v{place})", expression)
        condition, _, values = quarter.partition(" ? ")
        if values:
            yes, no = values.split(" : ")
            quarter = f"hapir__choose({condition}, {yes}, {no})"
        if quarter == expression:  # the same in all lanes
            quarter = f"(hapir__f32x4){{{', '.join([quarter] * 4)}}}"
        parts.append(f"hapir__store(r.v{place}, {quarter});")
    return "\n".join(("hapir__f32x16 r;", "#ifdef HAPIR__QUARTERS", *parts, "#else", loop, "#endif", "return r;"))


def spread(result: str, parts: list[str]) -> str:
    """The statement that returns a vector of registers."""
    return listed(f"return ({result}){{", parts, "};")


OF_QUARTERS = ("hapir__load", "hapir__store", "hapir__choose")
"""Functions of four lanes that plain C may call, where the compiler has them."""


def function(name: str, result: str, parameters: str, bodies: Mapping[str, str], *needs: str) -> Primitive:
    """A function with a body per path, in types as C has them; `needs` are what the bodies build on."""
    texts = {
        path: fill(f"HAPIR__INLINE {result} {name}({parameters})\n{{\n    $body\n}}", body=body.strip("\n"))
        for path, body in bodies.items()
    }
    used = (other for other in OF_QUARTERS if f"{other}(" in texts.get("c", ""))
    return Primitive(name, texts, ("types", *used, *needs))


def lanes(expression: str, *, floats: bool = False) -> str:
    """The plain C of a vector whose lane i is an expression of i."""
    if floats:
        return float_lanes(expression)
    return f"hapir__i32x16 r;\nfor (int i = 0; i < 16; ++i) {{\n    r.v[i] = {expression};\n}}\nreturn r;"


def vector(kind: str, avx512: str, avx2: str, neon: str, plain: str = "") -> dict[str, str]:
    """The bodies of a function of whole vectors: an expression per register, `%` being its name; with `plain`, of i."""

    def registers(text: str, names: str) -> str:
        return "\n".join([f"{kind} r;", *(f"r.{name} = {text.replace('%', name)};" for name in names), "return r;"])

    bodies = {"avx512": f"return {avx512};", "avx2": registers(avx2, "ab"), "neon": registers(neon, "abcd")}
    return bodies | ({"c": lanes(plain, floats=kind == "hapir__f32x16")} if plain else {})


def per_path(name: str, result: str, parameters: str, **bodies: str) -> Primitive:
    """A function of whole vectors with a body per path."""
    return _function(name, result, parameters, bodies, part=False)


def per_register(name: str, result: str, parameters: str, **bodies: str) -> Primitive:
    """A function of one register of each vector with a body per path."""
    return _function(name, result, parameters, bodies, part=True)


def _function(name: str, result: str, parameters: str, bodies: Mapping[str, str], *, part: bool) -> Primitive:
    texts: dict[str, str] = {}
    for path in PATHS:
        if path not in bodies:
            continue
        type_ = REGISTERS[result][path][0] if part else result
        head = listed(f"HAPIR__INLINE {type_} {name}(", _declared(parameters, path, part=part), ")")
        texts[path] = fill("$head\n{\n    $body\n}", head=head, body=dedent(bodies[path]).strip("\n"))
    used = dict.fromkeys(word for text in texts.values() for word in _USED.findall(text))
    needs = dict.fromkeys("types" if word in ("hapir__i32x16", "hapir__f32x16") else word for word in used)
    return Primitive(name, texts, tuple(need for need in needs if need != name))


def _declared(parameters: str, path: str, *, part: bool) -> list[str]:
    """`i32 a, int n` with the vector types spelled out, or their registers."""
    found: list[str] = []
    for parameter in parameters.split(", "):
        type_, _, name = parameter.rpartition(" ")
        if type_ in _VECTORS:
            type_ = REGISTERS[_VECTORS[type_]][path][0] if part else _VECTORS[type_]
        found.append(f"{type_} {name}")
    return found

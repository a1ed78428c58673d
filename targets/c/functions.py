"""The functions that loops apply to elements, as C: an expression each, or a helper where an operand is read twice.

`$a`, `$b` and `$d` are the operands, `$p` and `$q` the constants, `$t` the type of the result, `$u` its unsigned
counterpart, `$f` that of the first operand. Integer arithmetic is done on unsigned numbers, where it may wrap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hapir.lowering.kernel.c_types import CType

Kind = str
"""`real`, `signed` or `unsigned`: what the first operand is."""


@dataclass(frozen=True)
class Text:
    """How a function is written; `helper` is the body of an inline function of the operands, named after it."""

    expression: str = ""
    helper: str = ""


def _same(text: Text) -> Mapping[Kind, Text]:
    return {"real": text, "signed": text, "unsigned": text}


def _real(expression: str) -> Mapping[Kind, Text]:
    return {"real": Text(expression)}


def _real_helper(body: str) -> Mapping[Kind, Text]:
    return {"real": Text(helper=body)}


def _whole(text: Text) -> Mapping[Kind, Text]:
    return {"signed": text, "unsigned": text}


def _wrapping(operator: str) -> Mapping[Kind, Text]:
    return _whole(Text(f"($t)(($u)($a) {operator} ($u)($b))"))


_BITS = "(int)(sizeof(a) * 8)"
_ELU = "a > 0.0f ? a : p * (expf(a) - 1.0f)"

FUNCTIONS: Mapping[str, Mapping[Kind, Text]] = {
    **{name: _real(f"{name}f($a)") for name in ("exp", "log", "sqrt", "floor", "ceil")},
    **{name: _real(f"{name}f($a)") for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh")},
    **{name: _real(f"{name}f($a)") for name in ("asinh", "acosh", "atanh", "tanh")},
    "round": _real("rintf($a)"),
    "reciprocal": _real("1.0f / ($a)"),
    "erf": _real("(float)erf((double)($a))"),
    "add": _real("($a) + ($b)"),
    "sub": _real("($a) - ($b)"),
    "mul": _real("($a) * ($b)"),
    "elu": _real_helper(f"return {_ELU};"),
    "selu": _real_helper(f"return q * ({_ELU});"),
    "celu": _real_helper("return a > 0.0f ? a : p * (expf(a / p) - 1.0f);"),
    "thresholded_relu": _real_helper("return a > p ? a : 0.0f;"),
    "shrink": _real_helper("return a < -q ? a + p : a > q ? a - p : 0.0f;"),
    "softplus": _real_helper("return (a > 0.0f ? a : 0.0f) + log1pf(expf(-fabsf(a)));"),
    "softsign": _real_helper("return a / (1.0f + fabsf(a));"),
    "mish": _real_helper("return a * tanhf((a > 0.0f ? a : 0.0f) + log1pf(expf(-fabsf(a))));"),
    "gelu_tanh": _real_helper("return a * 0.5f * (1.0f + tanhf(0.7978845608028654f * (a + 0.044715f * (a * a * a))));"),
    "is_nan": _real("($t)(isnan($a) != 0)"),
    "is_infinite": _real("($t)(isinf($a) != 0)"),
    "abs": {
        "real": Text("fabsf($a)"),
        "signed": Text(helper="return a < 0 ? ($t)(0U - ($u)a) : a;"),
        "unsigned": Text("$a"),
    },
    "neg": {"real": Text("-($a)"), **_whole(Text("($t)(0U - ($u)($a))"))},
    "signum": {
        "real": Text(helper="return a > 0.0f ? 1.0f : a < 0.0f ? -1.0f : 0.0f;"),
        "signed": Text(helper="return ($t)((a > 0) - (a < 0));"),
        "unsigned": Text("($t)(($a) != 0)"),
    },
    "logical_not": _whole(Text("($t)!($a)")),
    "bit_not": _whole(Text("($t)~($u)($a)")),
    "div": {
        "real": Text("($a) / ($b)"),
        "signed": Text(helper="return b == 0 ? 0 : b == -1 ? ($t)(0U - ($u)a) : ($t)(a / b);"),
        "unsigned": Text(helper="return b == 0 ? 0 : ($t)(a / b);"),
    },
    "floor_mod": {
        "real": Text(helper="const float r = fmodf(a, b);\nreturn r != 0.0f && (r < 0.0f) != (b < 0.0f) ? r + b : r;"),
        "signed": Text(
            helper="const $t r = b == 0 || b == -1 ? 0 : ($t)(a % b);\n"
            "return r != 0 && (r < 0) != (b < 0) ? ($t)(r + b) : r;"
        ),
        "unsigned": Text(helper="return b == 0 ? 0 : ($t)(a % b);"),
    },
    "fmod": {
        "real": Text("fmodf($a, $b)"),
        "signed": Text(helper="return b == 0 || b == -1 ? 0 : ($t)(a % b);"),
        "unsigned": Text(helper="return b == 0 ? 0 : ($t)(a % b);"),
    },
    "prelu": {
        "real": Text(helper="return a >= 0.0f ? a : a * b;"),
        "signed": Text(helper="return a >= 0 ? a : ($t)(($u)a * ($u)b);"),
        "unsigned": Text(helper="(void)b;\nreturn a;"),
    },
    "minimum": _same(Text(helper="return a < b ? a : b;")),
    "maximum": _same(Text(helper="return a > b ? a : b;")),
    "wrapping_add": _wrapping("+"),
    "wrapping_sub": _wrapping("-"),
    "wrapping_mul": _wrapping("*"),
    **{
        name: _same(Text(f"($t)(($a) {operator} ($b))"))
        for name, operator in (
            *(("equal", "=="), ("less", "<"), ("less_equal", "<="), ("greater", ">"), ("greater_equal", ">=")),
            *(("logical_and", "&"), ("logical_or", "|"), ("logical_xor", "^")),
            *(("bit_and", "&"), ("bit_or", "|"), ("bit_xor", "^")),
        )
    },
    "shift_left": {
        "signed": Text(helper=f"return b < 0 || b >= {_BITS} ? 0 : ($t)((uint64_t)a << b);"),
        "unsigned": Text(helper="return b >= sizeof(a) * 8 ? 0 : ($t)((uint64_t)a << b);"),
    },
    "shift_right": {
        "signed": Text(helper=f"return ($t)(a >> (b < 0 || b >= {_BITS} ? {_BITS} - 1 : (int)b));"),
        "unsigned": Text(helper="return b >= sizeof(a) * 8 ? 0 : ($t)(a >> b);"),
    },
    "bits": _real_helper("$t bits;\nmemcpy(&bits, &a, sizeof(bits));\nreturn bits;"),
    "from_bits": {"signed": Text(helper="$t real;\nmemcpy(&real, &a, sizeof(real));\nreturn real;")},
    "where": _same(Text("($a) ? ($b) : ($d)")),
    "truth": {"real": Text("($t)(($a) != 0.0f)"), **_whole(Text("($t)(($a) != 0)"))},
}
"""By name and by the kind of the first operand; `pow` and `cast`, which know two types, are written by the printer."""


def kind_of(ctype: CType) -> Kind:
    """What a type of C holds."""
    return "real" if ctype in ("float", "double") else "unsigned" if ctype.startswith("u") else "signed"


def unsigned_of(ctype: CType) -> str:
    """The type in which arithmetic of integers wraps: at least as wide as `unsigned`, so that nothing is promoted."""
    return "uint64_t" if "64" in ctype else "uint32_t"

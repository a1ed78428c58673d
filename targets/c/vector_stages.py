"""Stages as C on 16 lanes: what happens to 16 sums between their addition and their store.

The same bits as `print_stages` gives for each lane. A stage without a form on vectors runs lane by lane on the scalar
text, so every chain has a vector text; only results of type uint32_t, which lanes of 32 bits do not hold, have none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hapir.dialects.assembly import float_text
from hapir.dialects.num import Rounding
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.stages import (
    Apply,
    Clamp,
    Dequantize,
    Function,
    Join,
    Quantize,
    Requantize,
    Rescale,
    ScaleShift,
    Stage,
    Threshold,
    ToBf16,
    Widen,
)
from hapir.targets.c.print_stages import Symbols, float32, integer, print_stages
from hapir.targets.c.simd.memory import RANGES, load, store
from hapir.targets.c.simd.primitive import primitives
from hapir.targets.c.text import c, offset, times

_PRIMITIVE = re.compile(r"\b[a-z]\d+x16__\w+(?=\()")


@dataclass(frozen=True)
class Pixels:
    """Several pixels at once, whose channels share what tables hold: how many, and the elements between them."""

    count: str
    read: str
    write: str


def print_vectors(
    read: str,
    source: CType,
    write: str,
    target: CType,
    stages: Sequence[Stage],
    channel: str,
    count: str | int,
    symbols: Symbols,
    *,
    bias: Table | None = None,
    of: int | None = None,
    joined: Sequence[str] = (),
    pixels: Pixels | None = None,
) -> str:
    """C that sends `count` elements from `read` on through stages to `write`, 16 at a time.

    Element i belongs to channel `channel + i`. A `count` known only when the program runs is a multiple of 16, or the
    last of `of` elements that are counted in multiples of 16. `joined` are the maps that the stages read, in order,
    which lie as the result does. Neither side is touched outside the elements.
    """
    total = of if of is not None else count
    assert isinstance(total, int)
    rest = total % LANES
    steps = (f"p * {pixels.read}", f"p * {pixels.write}") if pixels else ("", "")
    if not has_vectors(source, stages):
        at = f"({channel} + i)" if channel else "i"
        value = _element(offset(read, steps[0]))
        value = f"{value} + {symbols.of(bias)}[{at}]" if bias is not None else value
        text = f"{_element(offset(write, steps[1]))} = {print_stages(value, source, stages, at, symbols)};"
        text = _over_pixels(pixels, text)
        return c("for (int32_t i = 0; i < $count; ++i) {\n    $text\n}", count=count, text=text)

    def body(lanes: int, i: str) -> str:
        places = [offset(place, steps[1], i) for place in joined]
        chain = Chain(symbols, offset(channel, i) if channel else i or "0", lanes, places)
        value = chain.name(source, load(source, offset(read, steps[0], i), lanes))
        if bias is not None:
            value = chain.name(source, f"{_kind(source)}__add({value}, {chain.row(bias)})")
        value = chain.through(value, source, stages)
        chain.lines.append(f"{store(target, offset(write, steps[1], i), value, lanes)};")
        rows, lines = chain.parts()
        return "\n".join(part for part in (rows, _over_pixels(pixels, lines)) if part)

    parts: list[str] = []
    if total >= (2 * LANES if isinstance(count, int) else LANES):
        whole = f"i + {LANES} <= {count}" if rest else f"i < {count}"
        loop = "for (int32_t i = 0; $whole; i += $lanes) {\n    $body\n}"
        parts.append(c(loop, whole=whole, lanes=LANES, body=body(LANES, "i")))
    elif total >= LANES:
        parts.append(c("{\n    $body\n}", body=body(LANES, "")))
    if rest and isinstance(count, int):
        parts.append(c("{\n    $body\n}", body=body(rest, str(count - rest))))
    elif rest:
        last = c("if ($count % $lanes != 0) {\n    const int32_t i = $count - $rest;\n    $body\n}",
                 count=count, lanes=LANES, rest=rest, body=body(rest, "i"))  # fmt: skip
        parts.append(last)
    return "\n".join(parts)


def _element(pointer: str) -> str:
    return f"({pointer})[i]" if " " in pointer else f"{pointer}[i]"


def _over_pixels(pixels: Pixels | None, text: str) -> str:
    if pixels is None:
        return text
    return c("for (int32_t p = 0; p < $count; ++p) {\n    $text\n}", count=pixels.count, text=text)


def has_vectors(source: CType, stages: Sequence[Stage]) -> bool:
    """Whether lanes of 32 bits hold what goes in and what comes out of every stage."""
    return not {"uint32_t", "int64_t", "uint64_t"} & {source, *(stage.ctype for stage in stages)}


def _kind(ctype: CType) -> str:
    return "f32x16" if ctype == "float" else "i32x16"


@dataclass
class Chain:
    """Statements on vectors under construction: `channel` is that of lane 0, `lanes` how many are in use."""

    symbols: Symbols
    channel: str
    lanes: int = LANES
    joined: list[str] = field(default_factory=list[str])
    """Where the maps lie that stages read, in order."""
    rows: dict[str, str] = field(default_factory=dict[str, str])
    """What tables hold for the lanes' channels, by the variables for it, ahead of the statements."""
    lines: list[str] = field(default_factory=list[str])

    def text(self) -> str:
        """All statements; what they call is asked for."""
        return "\n".join(part for part in self.parts() if part)

    def parts(self) -> tuple[str, str]:
        """The statements that are the same for every pixel, and the others."""
        for name in dict.fromkeys(_PRIMITIVE.findall("\n".join((*self.rows.values(), *self.lines)))):
            self.symbols.use(primitives()[name])
        return "\n".join(self.rows.values()), "\n".join(self.lines)

    def name(self, ctype: CType, value: str) -> str:
        """A variable that holds a vector."""
        return self._define(f"hapir__{_kind(ctype)}", value)

    def _define(self, vector: str, value: str) -> str:
        variable = f"v{len(self.lines)}"
        self.lines.append(f"const {vector} {variable} = {value};")
        return variable

    def doubles(self, value: str) -> str:
        """A variable of 16 doubles."""
        return self._define("hapir__f64x16", value)

    def row(self, table: Table) -> str:
        """The entries of the lanes' channels."""
        vector = "hapir__f64x16" if table.ctype == "double" else f"hapir__{_kind(table.ctype)}"
        # a large table is a member of a union: `name.values`
        variable = f"row_{self.symbols.of(table)}".replace(".", "_")
        entries = load(table.ctype if table.ctype != "uint32_t" else "int32_t", *self._place(table))
        self.rows[variable] = f"const {vector} {variable} = {entries};"
        return variable

    def _place(self, table: Table) -> tuple[str, int]:
        place = offset(self.symbols.of(table), self.channel)
        # multipliers of 32 bits are read as lanes of the same bits
        return (f"(const int32_t *){_grouped(place)}" if table.ctype == "uint32_t" else place), self.lanes

    def through(self, value: str, ctype: CType, stages: Sequence[Stage], *, stored: bool = True) -> str:
        """The value after all stages; what is `stored` may lie outside its type, as a store brings it back."""
        for i, stage in enumerate(stages):
            last = stored and i + 1 == len(stages)
            print_stage = _STAGES.get(type(stage))
            found = print_stage(self, value, ctype, stage, last) if print_stage else None
            value = self._lane_by_lane(value, ctype, stage) if found is None else found
            ctype = stage.ctype
        return value

    def _lane_by_lane(self, value: str, ctype: CType, stage: Stage) -> str:
        n = len(self.lines)
        before = "float" if ctype == "float" else "int32_t"
        after = "float" if stage.ctype == "float" else "int32_t"
        given = f"({ctype})x{n}[j]" if ctype not in ("float", "int32_t") else f"x{n}[j]"
        text = print_stages(given, ctype, [stage], f"({self.channel} + j)", self.symbols)
        self.lines += [
            f"{before} x{n}[{LANES}];",
            f"{after} y{n}[{LANES}] = {{0}};",
            f"{_kind(ctype)}__store(x{n}, {value});",
            f"for (int32_t j = 0; j < {self.lanes}; ++j) {{\n    y{n}[j] = {text};\n}}",
        ]
        return self.name(stage.ctype, f"{_kind(stage.ctype)}__load(y{n})")

    def clamped(self, value: str, low: int | None, high: int | None) -> str:
        """Integers within bounds."""
        if low is not None:
            value = self.name("int32_t", f"i32x16__max({value}, {_set(low)})")
        if high is not None:
            value = self.name("int32_t", f"i32x16__min({value}, {_set(high)})")
        return value

    def codes(self, value: str, low: int, high: int, ctype: CType, *, last: bool) -> str:
        """Integers within the bounds of codes: those of the type itself are kept by the store."""
        whole = RANGES[ctype] if last or ctype == "int32_t" else (None, None)
        return self.clamped(value, low if low != whole[0] else None, high if high != whole[1] else None)


def _grouped(text: str) -> str:
    return f"({text})" if " " in text else text


def _set(value: int) -> str:
    return f"i32x16__set({integer(value)})"


FOLDED_ZERO_POINT = 1 << 28
"""Zero points below this are added inside of a product's upper half, which is below 2^30, without overflow."""


def _requantize(chain: Chain, v: str, ctype: CType, stage: Requantize, last: bool) -> str | None:
    form = stage.scaling
    if form is None:
        return None
    lift = form.lift
    if lift:
        v = chain.name("int32_t", f"i32x16__shift_left({v}, {_set(lift)})")
    zero_point = stage.zero_point
    folded = zero_point if abs(zero_point) < FOLDED_ZERO_POINT else 0
    floor = 32 - lift if form.half == "high" else 0
    ties = stage.rounding in (Rounding.half_even, Rounding.half_away)
    multiplier = _multiplier(chain, stage.multiplier)
    if form.half == "high" and stage.shift == floor:
        half = 1 << 31 if stage.rounding == Rounding.half_up else 0
        value = _upper(chain, v, multiplier, stage, f"INT64_C({half + (folded << 32)})")
        rest = zero_point - folded
    else:
        if form.half == "high":
            value = _upper(chain, v, multiplier, stage, "" if ties else "0")
        else:
            value = v if stage.multiplier == 1 else chain.name("int32_t", f"i32x16__mul({v}, {multiplier})")
        value, rest = _shifted(chain, value, stage, floor, folded)
    if rest:
        value = chain.name("int32_t", f"i32x16__add({value}, {_set(rest)})")
    return chain.codes(value, stage.low, stage.high, stage.ctype, last=last)


def _multiplier(chain: Chain, multiplier: Table | int) -> str:
    if isinstance(multiplier, Table):
        return chain.row(multiplier)
    return _set(multiplier if multiplier < 1 << 31 else multiplier - (1 << 32))


def _upper(chain: Chain, v: str, multiplier: str, stage: Requantize, added: str) -> str:
    """The upper half of the product plus what is added, or with a bit for its lower half."""
    assert stage.scaling is not None
    if not added:
        call = f"i32x16__mul_high_sticky({v}, {multiplier})"
    elif added in ("0", "INT64_C(0)"):
        call = f"i32x16__mul_high({v}, {multiplier})"
    else:
        call = f"i32x16__mul_add_high({v}, {multiplier}, {added})"
    value = chain.name("int32_t", call)
    if not stage.scaling.wide:
        return value
    # a multiplier of 2^31 and more was taken as 2^32 less
    short = v
    if isinstance(stage.multiplier, Table):
        short = f"i32x16__and({v}, i32x16__shift_right({multiplier}, {_set(31)}))"
    elif stage.multiplier < 1 << 31:
        return value
    return chain.name("int32_t", f"i32x16__add({value}, {short})")


def _shifted(chain: Chain, p: str, stage: Requantize, floor: int, zero_point: int) -> tuple[str, int]:
    """p over 2^(shift - floor), rounded; and what is left to add of the zero point."""

    def less(number: int) -> str:
        """The shift minus a number."""
        if not isinstance(stage.shift, Table):
            return _set(stage.shift - number)
        return f"i32x16__sub({chain.row(stage.shift)}, {_set(number)})" if number else chain.row(stage.shift)

    def define(value: str) -> str:
        return chain.name("int32_t", value)

    if stage.rounding == Rounding.floor:
        return define(f"i32x16__shift_right({p}, {less(floor)})"), stage.zero_point
    if stage.rounding == Rounding.half_up:
        if not isinstance(stage.shift, Table) and zero_point == 0:
            half = _set(1 << (stage.shift - floor) >> 1)
            return define(f"i32x16__shift_right(i32x16__add({p}, {half}), {less(floor)})"), stage.zero_point
        # the last bit apart: one more at it is half of 2^shift
        before = define(f"i32x16__shift_right({p}, {less(floor + 1)})")
        return (
            define(f"i32x16__shift_right(i32x16__add({before}, {_set(2 * zero_point + 1)}), {_set(1)})"),
            stage.zero_point - zero_point,
        )
    shift = less(floor)
    if isinstance(stage.shift, Table):
        half = define(f"i32x16__shift_left({_set(1)}, {less(floor + 1)})")
    else:
        half = _set(1 << (stage.shift - floor - 1))
    if stage.rounding == Rounding.half_even:
        odd = define(f"i32x16__and(i32x16__shift_right({p}, {shift}), {_set(1)})")
        half = define(f"i32x16__sub({half}, {_set(1)})") if isinstance(stage.shift, Table) else _set(
            (1 << (stage.shift - floor - 1)) - 1
        )  # fmt: skip
    else:
        odd = define(f"i32x16__shift_right({p}, {_set(31)})")
    added = define(f"i32x16__add(i32x16__add({p}, {half}), {odd})")
    return define(f"i32x16__shift_right({added}, {shift})"), stage.zero_point


def _real(chain: Chain, scale: Table | float) -> str:
    """A scale as 16 doubles."""
    if isinstance(scale, Table):
        return chain.row(scale)
    return f"f64x16__set({float_text(scale)})"


def _real_codes(chain: Chain, real: str, stage: Quantize | Rescale) -> str:
    """Doubles rounded and clamped to codes; what is not a number becomes the lowest."""
    value = chain.doubles(f"f64x16__{stage.rounding}({real})")
    if stage.zero_point:
        value = chain.doubles(f"f64x16__add({value}, f64x16__set({stage.zero_point}.0))")
    value = chain.doubles(f"f64x16__number_at_least({value}, f64x16__set({stage.low}.0))")
    value = chain.doubles(f"f64x16__at_most({value}, f64x16__set({stage.high}.0))")
    return chain.name("int32_t", f"f64x16__to_i32({value})")


NEAREST = 1 << 22
"""Floats below this are rounded by `f32x16__nearest_i32` on every path."""


def _single_codes(chain: Chain, real: str, stage: Quantize | Rescale) -> str | None:
    """Floats rounded to codes, ties to even; what is not a number becomes the lowest. None for other roundings.

    Clamping comes first: the bounds are whole numbers, so it makes no difference.
    """
    low, high = stage.low - stage.zero_point, stage.high - stage.zero_point
    if stage.rounding != Rounding.half_even or max(abs(low), abs(high)) >= NEAREST:
        return None
    value = chain.name("float", real)
    value = chain.name("float", f"f32x16__number_at_least({value}, {_one(low)})")
    value = chain.name("float", f"f32x16__at_most({value}, {_one(high)})")
    value = chain.name("int32_t", f"f32x16__nearest_i32({value})")
    return chain.name("int32_t", f"i32x16__add({value}, {_set(stage.zero_point)})") if stage.zero_point else value


def _single_scale(chain: Chain, scale: Table | float) -> str:
    """A scale as 16 floats."""
    return chain.row(scale) if isinstance(scale, Table) else _one(scale)


def _rescale(chain: Chain, v: str, ctype: CType, stage: Rescale, last: bool) -> str | None:
    if stage.single:
        real = f"f32x16__mul(f32x16__from_i32({v}), {_single_scale(chain, stage.scale)})"
        return _single_codes(chain, real, stage)
    real = chain.doubles(f"f64x16__mul(f64x16__from_i32({v}), {_real(chain, stage.scale)})")
    return _real_codes(chain, real, stage)


def _quantize(chain: Chain, v: str, ctype: CType, stage: Quantize, last: bool) -> str | None:
    if stage.single:
        return _single_codes(chain, f"f32x16__div({v}, {_single_scale(chain, stage.scale)})", stage)
    steps = stage.steps
    if steps is None:
        real = chain.doubles(f"f64x16__div(f64x16__from_f32({v}), {_real(chain, stage.scale)})")
        return _real_codes(chain, real, stage)
    v = chain.name("float", f"f32x16__number_at_least({v}, f32x16__set({float32(steps.first)}))")
    v = chain.name("float", f"f32x16__at_most({v}, f32x16__set({float32(steps.last)}))")
    factor = f"f64x16__set({float_text(steps.factor)})"
    if steps.added:
        added = f"f64x16__set({float_text(steps.added)})"
        real = chain.doubles(f"f64x16__fma({added}, f64x16__from_f32({v}), {factor})")
    else:
        real = chain.doubles(f"f64x16__mul(f64x16__from_f32({v}), {factor})")
    whole = f"f64x16__to_i32(f64x16__floor({real}))" if steps.floor else f"f64x16__nearest_i32({real})"
    value = chain.name("int32_t", whole)
    if stage.zero_point:
        value = chain.name("int32_t", f"i32x16__add({value}, {_set(stage.zero_point)})")
    return value


def _dequantize(chain: Chain, v: str, ctype: CType, stage: Dequantize, last: bool) -> str | None:
    zero_point = stage.zero_point
    if stage.single:
        assert not isinstance(stage.scale, Table)
        v = f"i32x16__sub({v}, {_set(zero_point)})" if zero_point else v
        return chain.name("float", f"f32x16__mul(f32x16__from_i32({v}), f32x16__set({float32(stage.scale)}))")
    real = f"f64x16__from_i32({v})"
    real = f"f64x16__add({real}, f64x16__set({-zero_point}.0))" if zero_point else real
    return chain.name("float", f"f64x16__to_f32(f64x16__mul({real}, {_real(chain, stage.scale)}))")


def _widen(chain: Chain, v: str, ctype: CType, stage: Widen, last: bool) -> str | None:
    if stage.zero_point:
        v = chain.name("int32_t", f"i32x16__sub({v}, {_set(stage.zero_point)})")
    return v if stage.multiplier == 1 else chain.name("int32_t", f"i32x16__mul({v}, {_set(stage.multiplier)})")


def _clamp(chain: Chain, v: str, ctype: CType, stage: Clamp, last: bool) -> str | None:
    if ctype != "float":
        return chain.clamped(v, *(None if b is None else int(b) for b in (stage.low, stage.high)))
    for what, limit in (("at_least", stage.low), ("at_most", stage.high)):
        if limit is not None:
            v = chain.name("float", f"f32x16__{what}({v}, f32x16__set({float32(limit)}))")
    return v


def _scale_shift(chain: Chain, v: str, ctype: CType, stage: ScaleShift, last: bool) -> str | None:
    return chain.name("float", f"f32x16__fma({chain.row(stage.shift)}, {v}, {chain.row(stage.scale)})")


def _threshold(chain: Chain, v: str, ctype: CType, stage: Threshold, last: bool) -> str | None:
    """What all levels give, less a step for each that is above v; where a channel flips, the other way round."""
    top = stage.low + stage.step * stage.count
    flips = stage.flips
    start, step = (stage.low, -stage.step) if flips == 1 else (top, stage.step)
    channels = stage.thresholds.values.size // stage.count

    def limit(level: str | int) -> str:
        table = chain.symbols.of(stage.thresholds)
        if stage.shared:
            return f"i32x16__set({table}[{level}])"
        row = times(str(level), channels) if isinstance(level, str) else str(level * channels)
        return load(stage.thresholds.ctype, offset(table, row, chain.channel), chain.lanes)

    if stage.count == 1 and not isinstance(flips, Table):
        value = f"i32x16__if_greater({limit(0)}, {v}, {_set(start - step)}, {_set(start)})"
        return chain.name("int32_t", value)
    n = len(chain.lines)
    chain.lines.append(f"hapir__i32x16 v{n} = {_set(0 if isinstance(flips, Table) else start)};")
    taken = -1 if isinstance(flips, Table) else step
    call = f"v{n} = i32x16__less_if_greater(v{n}, {{}}, {v}, {_set(taken)});"
    if stage.count <= UNROLLED_LEVELS:
        chain.lines += [call.format(limit(level)) for level in range(stage.count)]
    else:
        chain.lines.append(f"for (int32_t j = 0; j < {stage.count}; ++j) {{\n    {call.format(limit('j'))}\n}}")
    if not isinstance(flips, Table):
        return f"v{n}"
    kept = f"i32x16__sub({_set(stage.count)}, v{n})"
    reached = chain.name("int32_t", f"i32x16__if_greater({chain.row(flips)}, {_set(0)}, v{n}, {kept})")
    if stage.step != 1:
        reached = chain.name("int32_t", f"i32x16__mul({reached}, {_set(stage.step)})")
    return chain.name("int32_t", f"i32x16__add({reached}, {_set(stage.low)})") if stage.low else reached


def _join(chain: Chain, v: str, ctype: CType, stage: Join, last: bool) -> str | None:
    other = chain.name(stage.source, load(stage.source, chain.joined.pop(0), chain.lanes))
    # what the store would bring back must be in place before the sum
    other = chain.through(other, stage.source, stage.stages, stored=False)
    return chain.name(stage.ctype, f"{_kind(stage.ctype)}__add({v}, {other})")


UNROLLED_LEVELS = 16
"""More thresholds than these are a loop."""


def _one(value: float) -> str:
    return f"f32x16__set({float32(value)})"


def _between_0_and_1(value: str) -> str:
    return f"f32x16__at_most(f32x16__at_least({value}, {_one(0.0)}), {_one(1.0)})"


def _plain(name: str) -> Callable[[str, tuple[float, ...]], str]:
    return lambda v, _: f"f32x16__{name}({v})"


def _silu(v: str, _: tuple[float, ...]) -> str:
    return f"f32x16__mul({v}, f32x16__sigmoid({v}))"


def _leaky_relu(v: str, constants: tuple[float, ...]) -> str:
    (slope,) = constants
    return f"f32x16__if_less({v}, {_one(0.0)}, f32x16__mul({v}, {_one(slope)}), {v})"


def _hard_sigmoid(v: str, constants: tuple[float, ...]) -> str:
    slope, start = constants
    return _between_0_and_1(f"f32x16__fma({_one(start)}, {v}, {_one(slope)})")


def _hard_swish(v: str, _: tuple[float, ...]) -> str:
    return f"f32x16__mul({v}, {_hard_sigmoid(v, (1 / 6, 0.5))})"


_APPLY: Mapping[Function, Callable[[str, tuple[float, ...]], str]] = {
    "gelu": _plain("gelu"),
    "sigmoid": _plain("sigmoid"),
    "tanh": _plain("tanh"),
    "silu": _silu,
    "leaky_relu": _leaky_relu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
}


def _to_bf16(chain: Chain, v: str, ctype: CType, stage: ToBf16, last: bool) -> str | None:
    return chain.name("int32_t", f"f32x16__to_bf16({v})")


def _apply(chain: Chain, v: str, ctype: CType, stage: Apply, last: bool) -> str | None:
    text = _APPLY.get(stage.function)
    return None if text is None else chain.name("float", text(v, stage.constants))


_STAGES: Mapping[type[Stage], Callable[..., str | None]] = {
    Requantize: _requantize,
    Rescale: _rescale,
    Quantize: _quantize,
    Dequantize: _dequantize,
    Widen: _widen,
    Clamp: _clamp,
    ScaleShift: _scale_shift,
    Threshold: _threshold,
    Apply: _apply,
    Join: _join,
    ToBf16: _to_bf16,
}
"""Per stage its text on vectors: None where this one runs lane by lane."""

"""Recurrent layers as C: one step of one sequence at a time, all gates of a vector of units at once.

A cell in its default form runs on vectors of 16 units; with other activations, peepholes, clipped sums or a reset gate
that scales before the hidden weights it runs unit by unit.
"""

from __future__ import annotations

import re

from hapir.dialects.nn_cell import CELL_FUNCTIONS, CellActivation
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.program_recurrent import Part, Recurrent
from hapir.targets.c.print_elementwise import loop_of_vectors
from hapir.targets.c.print_stages import Symbols, float32
from hapir.targets.c.simd.memory import load, store
from hapir.targets.c.text import Printed, c, function, offset, sink, source

_DEFAULTS = {"lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh"), "rnn": ("tanh",)}

_FUNCTIONS = {
    "sigmoid": "    const float e = expf(v < 0.0f ? v : -v);\n    return (v < 0.0f ? e : 1.0f) / (1.0f + e);",
    "tanh": "    return tanhf(v);",
    "relu": "    return v > 0.0f ? v : 0.0f;",
    "affine": "    return alpha * v + beta;",
    "leaky_relu": "    return v < 0.0f ? v * alpha : v;",
    "thresholded_relu": "    return v > alpha ? v : 0.0f;",
    "scaled_tanh": "    return alpha * tanhf(beta * v);",
    "hard_sigmoid": ("    const float y = v * alpha + beta;\n    return y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;"),
    "elu": "    return v < 0.0f ? alpha * expm1f(v) : v;",
    "softsign": "    return v / (1.0f + (v < 0.0f ? -v : v));",
    "softplus": "    return (v > 0.0f ? v : 0.0f) + log1pf(expf(v < 0.0f ? v : -v));",
}
"""The bodies of C functions of one sum `v`, and of the numbers that `CELL_FUNCTIONS` names."""


def print_recurrent(step: Recurrent, name: str, program: Program, symbols: Symbols) -> Printed:
    """The function of a step; parameters are the sequence, what is written, and the other parts in their order."""
    parts: dict[Part, str] = {part: part for part in step.given}
    parts |= {part: symbols.of(table) for part, table in step.tables}
    lstm = step.cell is not None
    body = c(
        """
        float *restrict in = gates, *restrict back = gates + $rows;
        for (int32_t n = 0; n < $batch; ++n, hidden += $h$next) {
            $start
            $count
            for (int32_t step = 0; step < $steps; ++step) {
                const int32_t t = n * $length + $time;
                for (int32_t g = 0; g < $rows; ++g) {
                    in[g] = $b_input;
                    back[g] = $b_hidden;
                }
                $times(x + t * $inputs, $w_input, $rows, in, $inputs, $rows);
                $times(hidden, $w_hidden, $rows, back, $h, $columns);
                $cell
                memcpy(y + t * $h, hidden, sizeof(*y) * $h);
            }
            $rest
        }
        """,
        rows=step.rows,
        batch=step.batch,
        h=step.units,
        next=f", cell += {step.units}" if lstm else "",
        start="\n".join(_start(step, parts)),
        count=_LENGTH.replace("$length", str(step.length)) if step.has("lengths") else "",
        steps="count" if step.has("lengths") else step.length,
        length=step.length,
        time=_time(step),
        b_input=f"{parts['bias_input']}[g]" if step.has("bias_input") else "0.0f",
        b_hidden=f"{parts['bias_hidden']}[g]" if step.has("bias_hidden") else "0.0f",
        inputs=step.inputs,
        w_input=parts["weight_input"],
        w_hidden=parts["weight_hidden"],
        times=symbols.named("hapir__add_row_times_matrix"),
        columns=2 * step.units if step.reset_before else step.rows,
        cell=_vectors(step, symbols) if _is_default(step) else _units(step, parts, symbols),
        rest=_rest(step) if step.has("lengths") else "",
    )
    parameters = [source("float", "x"), *(sink("float", p) for p in ("y", "gates", "hidden"))]
    arguments = [step.sources[0], step.target, step.gates, step.hidden]
    if step.cell is not None:
        parameters.append(sink("float", "cell"))
        arguments.append(step.cell)
    for part, buffer in zip(step.given, step.sources[1:], strict=True):
        parameters.append(source(program.buffers[buffer].ctype, part))
        arguments.append(buffer)
    tables = tuple(table for _, table in step.tables)
    parameters += symbols.parameters(*tables)
    return Printed(function(name, parameters, body, step.origin), name, tuple(arguments), symbols.taken(*tables))


_LENGTH = "const int32_t count = lengths[n] < 0 ? 0 : lengths[n] < $length ? lengths[n] : $length;"


def _time(step: Recurrent) -> str:
    if not step.reverse:
        return "step"
    return "count - 1 - step" if step.has("lengths") else f"{step.length - 1} - step"


def _rest(step: Recurrent) -> str:
    """The outputs of steps that a sequence does not have."""
    return c(
        """
        for (int32_t i = (n * $length + count) * $h; i < (n + 1) * $length * $h; ++i) {
            y[i] = 0.0f;
        }
        """,
        length=step.length,
        h=step.units,
    )


def _start(step: Recurrent, parts: dict[Part, str]) -> list[str]:
    """The states before the first step."""
    states: dict[str, Part] = {"hidden": "initial_h"}
    if step.cell is not None:
        states["cell"] = "initial_c"
    cleared = [f"{state}[j] = 0.0f;" for state, part in states.items() if not step.has(part)]
    lines: list[str] = []
    if cleared:
        lines.append(c("for (int32_t j = 0; j < $h; ++j) {\n    $all\n}", h=step.units, all="\n".join(cleared)))
    for state, part in states.items():
        if step.has(part):
            row = parts[part] if part in step.shared else offset(parts[part], f"n * {step.units}")
            lines.append(f"memcpy({state}, {row}, sizeof(*{state}) * {step.units});")
    return lines


def _is_default(step: Recurrent) -> bool:
    plain = tuple(a.text for a in step.activations) == _DEFAULTS[step.kind]
    return plain and step.clip is None and not step.reset_before and not step.has("peephole")


def _vectors(step: Recurrent, symbols: Symbols) -> str:
    """What a cell makes of the sums of its inputs (`in`) and of its last state (`back`), 16 units at a time."""
    units = step.units

    def body(lanes: int, i: str) -> str:
        def gate(number: int) -> str:
            both = [load("float", offset(name, str(number * units), i), lanes) for name in ("in", "back")]
            return f"f32x16__add({', '.join(both)})"

        def keep(name: str, value: str) -> str:
            return f"const hapir__f32x16 {name} = {value};"

        def state(name: str) -> str:
            return load("float", offset(name, i), lanes)

        def put(name: str, value: str) -> str:
            return f"{store('float', offset(name, i), value, lanes)};"

        if step.kind == "lstm":
            lines = [
                keep("i_gate", f"f32x16__sigmoid({gate(0)})"),
                keep("f_gate", f"f32x16__sigmoid({gate(1)})"),
                keep("g_gate", f"f32x16__tanh({gate(2)})"),
                keep("o_gate", f"f32x16__sigmoid({gate(3)})"),
                keep("kept", f"f32x16__fma(f32x16__mul(i_gate, g_gate), f_gate, {state('cell')})"),
                put("cell", "kept"),
                put("hidden", "f32x16__mul(o_gate, f32x16__tanh(kept))"),
            ]
        elif step.kind == "gru":
            new = [load("float", offset(name, str(2 * units), i), lanes) for name in ("in", "back")]
            lines = [
                keep("r_gate", f"f32x16__sigmoid({gate(0)})"),
                keep("z_gate", f"f32x16__sigmoid({gate(1)})"),
                keep("fresh", f"f32x16__tanh(f32x16__fma({new[0]}, r_gate, {new[1]}))"),
                keep("rest", "f32x16__mul(f32x16__sub(f32x16__set(1.0f), z_gate), fresh)"),
                put("hidden", f"f32x16__fma(rest, z_gate, {state('hidden')})"),
            ]
        else:
            lines = [put("hidden", f"f32x16__tanh({gate(0)})")]
        for used in re.findall(r"\b[a-z]\d+x16__\w+(?=\()", "\n".join(lines)):
            symbols.named(used)
        return "\n".join(lines)

    return loop_of_vectors(units, body)


def _units(step: Recurrent, parts: dict[Part, str], symbols: Symbols) -> str:
    """The same unit by unit, in any form."""
    h = step.units

    def at(name: str, gate: int) -> str:
        return f"{name}[j + {gate * h}]" if gate else f"{name}[j]"

    def active(which: int, value: str) -> str:
        return _active(step.activations[which], _clipped(value, step.clip, symbols), symbols)

    def gate(number: int) -> str:
        return f"{at('in', number)} + {at('back', number)}"

    def peephole(number: int, state: str) -> str:
        return f" + {at(parts['peephole'], number)} * {state}" if step.has("peephole") else ""

    if step.kind == "lstm":
        lines = [
            f"const float i_gate = {active(0, gate(0) + peephole(0, 'cell[j]'))};",
            f"const float f_gate = {active(0, gate(1) + peephole(1, 'cell[j]'))};",
            f"const float kept = f_gate * cell[j] + i_gate * {active(1, gate(2))};",
            f"const float o_gate = {active(0, gate(3) + peephole(2, 'kept'))};",
            "cell[j] = kept;",
            f"hidden[j] = o_gate * {_active(step.activations[2], 'kept', symbols)};",
        ]
    elif step.kind == "gru":
        lines = [
            f"const float z_gate = {active(0, gate(1))};",
            f"const float scaled = {at('back', 2)}{'' if step.reset_before else ' * ' + active(0, gate(0))};",
            f"const float fresh = {active(1, at('in', 2) + ' + scaled')};",
            "hidden[j] = (1.0f - z_gate) * fresh + z_gate * hidden[j];",
        ]
    else:
        lines = [f"hidden[j] = {active(0, gate(0))};"]
    loop = "for (int32_t j = 0; j < $h; ++j) {\n    $lines\n}"
    text = c(loop, h=h, lines="\n".join(lines))
    if not step.reset_before:
        return text
    reset = c(loop, h=h, lines=f"in[j] = hidden[j] * {active(0, gate(0))};")
    times = symbols.named("hapir__add_row_times_matrix")
    columns = offset(parts["weight_hidden"], str(2 * h))
    return f"{reset}\n{times}(in, {columns}, {step.rows}, back + {2 * h}, {h}, {h});\n{text}"


def _active(activation: CellActivation, value: str, symbols: Symbols) -> str:
    """A call of the helper that computes an activation."""
    name = f"cell__{activation.function}"
    numbers = [number for number, _ in CELL_FUNCTIONS[activation.function].numbers]
    parameters = ", ".join(f"float {parameter}" for parameter in ("v", *numbers))
    text = f"static inline float {name}({parameters})\n{{\n{_FUNCTIONS[activation.function]}\n}}"
    symbols.helpers.setdefault(name, text)
    return f"{name}({', '.join((value, *map(float32, activation.numbers)))})"


def _clipped(value: str, limit: float | None, symbols: Symbols) -> str:
    if limit is None:
        return value
    body = "    return v < -limit ? -limit : v > limit ? limit : v;"
    symbols.helpers.setdefault("cell__clip", f"static inline float cell__clip(float v, float limit)\n{{\n{body}\n}}")
    return f"cell__clip({value}, {float32(limit)})"

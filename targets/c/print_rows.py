"""Steps over rows of floats as C: softmax, argmax, norms, 16 elements at a time.

Sums over a row run in 16 lanes: lane i takes the elements i, i + 16, ...; the lanes are added in halves, then what is
left over of the row one by one. The same bits on every path but for fused multiply-adds.
"""

from __future__ import annotations

from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.steps import Argmax, Norm, Softmax
from hapir.targets.c.print_stages import Symbols, float32
from hapir.targets.c.text import Printed, c, function, sink, source


def softmax_body(step: Softmax, symbols: Symbols) -> str:
    """The largest of each row, exp of what is below it, and their shares of the sum."""
    for name in ("set", "zero", "load", "store", "at_least", "exp", "add", "sub", "div", "largest", "sum"):
        symbols.named(f"f32x16__{name}")
    whole, rest = step.columns // LANES * LANES, step.columns % LANES
    for name in ("load_first", "store_first") if rest else ():
        symbols.named(f"f32x16__{name}")
    values = {"whole": whole, "rest": rest, "lanes": LANES, "columns": step.columns}
    return c(
        """
        for (int32_t n = 0; n < $rows; ++n, x += $columns, y += $columns) {
            float largest = x[$columns - 1], sum = 0.0f;
            $largest
            const hapir__f32x16 top = f32x16__set(largest);
            $exp
            const hapir__f32x16 total = f32x16__set(sum);
            $divide
        }
        """,
        **values,
        rows=step.rows,
        largest=_over(
            values,
            """
            hapir__f32x16 best = f32x16__load(x);
            for (int32_t k = $lanes; k < $whole; k += $lanes) {
                best = f32x16__at_least(best, f32x16__load(x + k));
            }
            largest = f32x16__largest(best);
            """,
            """
            for (int32_t k = $whole; k < $columns; ++k) {
                largest = x[k] > largest ? x[k] : largest;
            }
            """,
        ),
        exp=_over(
            values,
            """
            hapir__f32x16 sums = f32x16__zero();
            for (int32_t k = 0; k < $whole; k += $lanes) {
                const hapir__f32x16 e = f32x16__exp(f32x16__sub(f32x16__load(x + k), top));
                f32x16__store(y + k, e);
                sums = f32x16__add(sums, e);
            }
            sum = f32x16__sum(sums);
            """,
            """
            const hapir__f32x16 last = f32x16__load_first(x + $whole, $rest);
            f32x16__store_first(y + $whole, f32x16__exp(f32x16__sub(last, top)), $rest);
            for (int32_t k = $whole; k < $columns; ++k) {
                sum += y[k];
            }
            """,
        ),
        divide=_over(
            values,
            """
            for (int32_t k = 0; k < $whole; k += $lanes) {
                f32x16__store(y + k, f32x16__div(f32x16__load(y + k), total));
            }
            """,
            "f32x16__store_first(y + $whole, f32x16__div(f32x16__load_first(y + $whole, $rest), total), $rest);",
        ),
    )


def _over(values: dict[str, int], whole: str, rest: str) -> str:
    """The text for whole vectors and that for what is left over, where there are any."""
    texts = [whole if values["whole"] else "", rest if values["rest"] else ""]
    return "\n".join(c(text, **values) for text in texts if text)


def argmax_body(step: Argmax) -> str:
    """The lowest index of the largest."""
    return c(
        """
        for (int32_t n = 0; n < $rows; ++n, x += $columns) {
            int32_t best = 0;
            for (int32_t k = 1; k < $columns; ++k) {
                best = x[k] > x[best] ? k : best;
            }
            y[n] = best;
        }
        """,
        rows=step.rows,
        columns=step.columns,
    )


def print_norm(step: Norm, name: str, symbols: Symbols) -> Printed:
    """Rows of floats; factors that the network computes are parameters of the function."""
    factors = dict(zip(("gamma", "beta"), step.factors, strict=False))
    names = {word: word if isinstance(f, int) else symbols.of(f) for word, f in factors.items()}
    given = {word: f for word, f in factors.items() if isinstance(f, int)}
    body = _norm_body(step, symbols, names["gamma"], names.get("beta"))
    parameters = [source("float", "x"), sink("float", "y"), *(source("float", word) for word in given)]
    return Printed(function(name, parameters, body, step.origin), name, (step.source, step.target, *given.values()))


def _norm_body(step: Norm, symbols: Symbols, gamma: str, beta: str | None) -> str:
    """A row at a time: its mean, the mean of its squared differences, the result."""
    runs = step.shared > 1 or step.cycle > 1
    for name in ("set", "zero", "load", "store", "add", "sub", "mul", "fma", "sum"):
        symbols.named(f"f32x16__{name}")
    whole, rest = step.columns // LANES * LANES, step.columns % LANES
    values: dict[str, int | str] = {
        "whole": whole,
        "rest": rest,
        "lanes": LANES,
        "columns": step.columns,
        "gamma": gamma,
        "beta": beta or "",
    }
    mean = _norm_part(
        values,
        """
        hapir__f32x16 sums = f32x16__zero();
        for (int32_t k = 0; k < $whole; k += $lanes) {
            sums = f32x16__add(sums, f32x16__load(x + k));
        }
        mean = f32x16__sum(sums);
        """,
        "mean += x[k];",
    )
    return c(
        """
        for (int32_t n = 0; n < $rows; ++n, x += $columns, y += $columns) {
            float $sums;
            $mean
            $variance
            const float scale = 1.0f / sqrtf(variance / $count + $epsilon);
            $result
        }
        """,
        columns=step.columns,
        rows=step.rows,
        sums="mean = 0.0f, variance = 0.0f" if step.centred else "variance = 0.0f",
        count=float32(step.columns),
        epsilon=float32(step.epsilon),
        mean=f"{mean}\nmean /= {float32(step.columns)};" if step.centred else "",
        variance=_norm_part(
            values,
            """
            hapir__f32x16 squares = f32x16__zero();
            for (int32_t k = 0; k < $whole; k += $lanes) {
                const hapir__f32x16 apart = $apart;
                squares = f32x16__fma(squares, apart, apart);
            }
            variance = f32x16__sum(squares);
            """.replace("$apart", _apart_of_vector(step)),
            f"variance += {_apart(step)} * {_apart(step)};",
        ),
        result=_runs(step, gamma, beta) if runs else _factors(step, values, beta),
    )


def _apart(step: Norm, k: str = "k") -> str:
    """How far an element lies from what rows are normalized around."""
    return f"(x[{k}] - mean)" if step.centred else f"x[{k}]"


def _apart_of_vector(step: Norm) -> str:
    loaded = "f32x16__load(x + k)"
    return f"f32x16__sub({loaded}, f32x16__set(mean))" if step.centred else loaded


def _factors(step: Norm, values: dict[str, int | str], beta: str | None) -> str:
    """The result, with factors of its own for each element."""
    stored = "f32x16__fma(f32x16__load($beta + k), apart, gain)" if beta else "f32x16__mul(apart, gain)"
    return _norm_part(
        values,
        """
        for (int32_t k = 0; k < $whole; k += $lanes) {
            const hapir__f32x16 apart = $apart;
            const hapir__f32x16 gain = f32x16__mul(f32x16__load($gamma + k), f32x16__set(scale));
            f32x16__store(y + k, $stored);
        }
        """.replace("$apart", _apart_of_vector(step)).replace("$stored", stored),
        f"y[k] = {_apart(step)} * ($gamma[k] * scale)" + (" + $beta[k];" if beta else ";"),
    )


def _runs(step: Norm, gamma: str, beta: str | None) -> str:
    """The result, with factors that serve several elements."""
    runs = step.columns // step.shared
    first = f"n % {step.cycle} * {runs} + i" if step.cycle > 1 else "i"
    return c(
        """
        for (int32_t i = 0; i < $runs; ++i) {
            const float gain = $gamma[$first] * scale$shift;
            for (int32_t k = i * $shared; k < (i + 1) * $shared; ++k) {
                y[k] = $apart * gain$shifted;
            }
        }
        """,
        runs=runs,
        gamma=gamma,
        first=first,
        shift=f", shift = {beta}[{first}]" if beta else "",
        shifted=" + shift" if beta else "",
        shared=step.shared,
        apart=_apart(step),
    )


def _norm_part(values: dict[str, int | str], whole: str, each: str) -> str:
    """Whole vectors, then element by element."""
    rest = c("for (int32_t k = $whole; k < $columns; ++k) {\n    $each\n}", **values, each=c(each, **values))
    return "\n".join(([c(whole, **values)] if values["whole"] else []) + ([rest] if values["rest"] else []))

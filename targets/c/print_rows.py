"""Steps over rows of floats as C: softmax, argmax, norms, 16 elements at a time.

Sums over a row run in 16 lanes: lane i takes the elements i, i + 16, ...; the lanes are added in halves, then what is
left over of the row one by one. The same bits on every path but for fused multiply-adds.
"""

from __future__ import annotations

from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.steps import Argmax, Norm, Softmax
from hapir.targets.c.print_stages import Symbols, float32
from hapir.targets.c.text import c


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


def norm_body(step: Norm, symbols: Symbols) -> str:
    """A row at a time: its mean, the mean of its squared differences, the result."""
    for name in ("set", "zero", "load", "store", "add", "sub", "mul", "fma", "sum"):
        symbols.named(f"f32x16__{name}")
    whole, rest = step.columns // LANES * LANES, step.columns % LANES
    values = {
        "whole": whole,
        "rest": rest,
        "lanes": LANES,
        "columns": step.columns,
        "gamma": symbols.of(step.gamma),
        "beta": symbols.of(step.beta),
    }
    return c(
        """
        for (int32_t n = 0; n < $rows; ++n, x += $columns, y += $columns) {
            float mean = 0.0f, variance = 0.0f;
            $mean
            mean /= $count;
            $variance
            const float scale = 1.0f / sqrtf(variance / $count + $epsilon);
            $result
        }
        """,
        columns=step.columns,
        rows=step.rows,
        count=float32(step.columns),
        epsilon=float32(step.epsilon),
        mean=_norm_part(
            values,
            """
            hapir__f32x16 sums = f32x16__zero();
            for (int32_t k = 0; k < $whole; k += $lanes) {
                sums = f32x16__add(sums, f32x16__load(x + k));
            }
            mean = f32x16__sum(sums);
            """,
            "mean += x[k];",
        ),
        variance=_norm_part(
            values,
            """
            hapir__f32x16 squares = f32x16__zero();
            for (int32_t k = 0; k < $whole; k += $lanes) {
                const hapir__f32x16 apart = f32x16__sub(f32x16__load(x + k), f32x16__set(mean));
                squares = f32x16__fma(squares, apart, apart);
            }
            variance = f32x16__sum(squares);
            """,
            "variance += (x[k] - mean) * (x[k] - mean);",
        ),
        result=_norm_part(
            values,
            """
            for (int32_t k = 0; k < $whole; k += $lanes) {
                const hapir__f32x16 apart = f32x16__sub(f32x16__load(x + k), f32x16__set(mean));
                const hapir__f32x16 gain = f32x16__mul(f32x16__load($gamma + k), f32x16__set(scale));
                f32x16__store(y + k, f32x16__fma(f32x16__load($beta + k), apart, gain));
            }
            """,
            "y[k] = (x[k] - mean) * ($gamma[k] * scale) + $beta[k];",
        ),
    )


def _norm_part(values: dict[str, int | str], whole: str, each: str) -> str:
    """Whole vectors, then element by element."""
    rest = c("for (int32_t k = $whole; k < $columns; ++k) {\n    $each\n}", **values, each=c(each, **values))
    return "\n".join(([c(whole, **values)] if values["whole"] else []) + ([rest] if values["rest"] else []))

"""The systolic array: R x C processing elements, weights still, activations to the right, partial sums downwards.

Each PE holds two weights: the one it multiplies by and a shadow that the next tile loads meanwhile. A `swap` token runs
one cycle ahead of a tile's first activation and makes the shadow current, PE by PE, so tiles follow one another without
draining the array. Weights enter row by row over one bus per column; skews are added here, callers see aligned vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.lowering.rtl.builder import Module, Signal
from hapir.multipliers.model import Multiplier


@dataclass(frozen=True)
class ArrayShape:
    """Rows, columns, the widths in bits of an activation, a weight and a partial sum, and what multiplies."""

    rows: int
    cols: int
    activation_bits: int
    activation_signed: bool
    weight_bits: int
    psum_bits: int
    multiplier: Multiplier


def processing_element(shape: ArrayShape) -> Module:
    """One PE: `psum_out = psum_in + product(activation, weight)` in a cycle; activation and tokens pass on right."""
    m = Module(
        "pe",
        {
            "act": shape.activation_bits,
            "swap": 1,
            "load": 1,
            "weight_in": shape.weight_bits,
            "psum_in": shape.psum_bits,
        },
        doc="Processing element: multiply by the held weight and add to the passing partial sum.",
    )
    shadow = m.reg("shadow", shape.weight_bits, None)
    shadow.set(m["weight_in"], m["load"])
    weight = m.reg("weight", shape.weight_bits, None)
    weight.set(shadow, m["swap"])
    product = shape.multiplier.circuit(m, m["act"], weight, activation_signed=shape.activation_signed)
    assert product is not None, "plans with a multiplier that has no circuit are refused before"
    psum = m.reg("psum", shape.psum_bits, None)
    wide = product.sext(shape.psum_bits) if product.width <= shape.psum_bits else product.bits(0, shape.psum_bits)
    psum.set(m["psum_in"] + wide)
    for port, name in (("act", "act_out"), ("swap", "swap_out"), ("load", "load_out")):
        passed = m.reg(f"{port}_passed", m[port].width, None if port == "act" else 0)
        passed.set(m[port])
        m.output(name, passed)
    m.output("psum_out", psum)
    return m


def array_row(shape: ArrayShape, pe: Module) -> Module:
    """One row of PEs, chained left to right."""
    m = Module(
        "pe_row",
        {
            "act": shape.activation_bits,
            "swap": 1,
            "load": 1,
            "weights": shape.cols * shape.weight_bits,
            "psums_in": shape.cols * shape.psum_bits,
        },
        doc="A row of the array.",
    )
    act, swap, load = m["act"], m["swap"], m["load"]
    psums: list[Signal] = []
    for col in range(shape.cols):
        out = m.instance(
            pe,
            f"pe_{col}",
            act=act,
            swap=swap,
            load=load,
            weight_in=m["weights"].bits(col * shape.weight_bits, shape.weight_bits),
            psum_in=m["psums_in"].bits(col * shape.psum_bits, shape.psum_bits),
        )
        act, swap, load = out["act_out"], out["swap_out"], out["load_out"]
        psums.append(out["psum_out"])
    m.output("psums_out", m.cat(*reversed(psums)))
    return m


def array(shape: ArrayShape, row: Module) -> Module:
    """The whole array with its skews.

    `acts` are aligned activations of one pixel, one per row; `load` is one-hot over rows; `psums` are the aligned sums
    of all columns, R + C - 1 cycles after `acts`.
    """
    m = Module(
        "pe_array",
        {
            "acts": shape.rows * shape.activation_bits,
            "swap": 1,
            "load": shape.rows,
            "weights": shape.cols * shape.weight_bits,
        },
        doc="Weight-stationary systolic array with input and output skews.",
    )
    bits, psum_bits = shape.weight_bits, shape.psum_bits
    late = [m.delay(m["weights"].bits(c * bits, bits), c, f"weight_skew_{c}") for c in range(shape.cols)]
    weights = m.cat(*reversed(late))
    psums = m.const(0, shape.cols * psum_bits)
    swap = m["swap"]
    for r in range(shape.rows):
        act = m["acts"].bits(r * shape.activation_bits, shape.activation_bits)
        psums = m.instance(
            row,
            f"row_{r}",
            act=m.delay(act, r, f"act_skew_{r}"),
            swap=swap,
            load=m["load"].bit(r),
            weights=weights,
            psums_in=psums,
        )["psums_out"]
        if r < shape.rows - 1:
            swap = m.delay(swap, 1, f"swap_{r + 1}", reset=True)
    columns = (psums.bits(c * psum_bits, psum_bits) for c in range(shape.cols))
    aligned = [m.delay(p, shape.cols - 1 - c, f"psum_skew_{c}") for c, p in enumerate(columns)]
    m.output("psums", m.cat(*reversed(aligned)))
    return m

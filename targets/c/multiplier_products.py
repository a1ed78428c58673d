"""What the C text of a multiplier model computes, over all operands: for the tests of models."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import IntegerType

from hapir.dialects.num import integer_range
from hapir.multipliers.model import Int, Multiplier
from hapir.targets.c.build import find_compiler
from hapir.targets.c.text import c

FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC")


def c_products(model: Multiplier, activation: IntegerType, weight: IntegerType) -> Int:
    """The products of a model's C text, in the order of `product_table`.

    Raises ValueError where the model has no C text, HapirError (HAP0801) where there is no compiler, and
    `subprocess.CalledProcessError` where the compiler refuses or warns.
    """
    body = model.c_body()
    if body is None:
        raise ValueError(f"`{model.name}` has no C text")
    (a_low, a_high), (w_low, w_high) = integer_range(activation), integer_range(weight)
    text = c(
        """
        #include <stdint.h>
        static int32_t product(const int32_t a, const int32_t w)
        {
            $body
        }
        void products(int32_t *y);
        void products(int32_t *y)
        {
            for (int32_t a = $a_low; a <= $a_high; ++a) {
                for (int32_t w = $w_low; w <= $w_high; ++w) {
                    *y++ = product(a, w);
                }
            }
        }
        """,
        body=body,
        a_low=a_low,
        a_high=a_high,
        w_low=w_low,
        w_high=w_high,
    )
    found = np.empty((a_high - a_low + 1, w_high - w_low + 1), np.int32)
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "model.c", Path(folder) / "model.so"
        source.write_text(f"{text}\n", encoding="utf-8")
        command = [*find_compiler().command, *FLAGS, "-o", str(library), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        ctypes.CDLL(str(library)).products(found.ctypes.data_as(ctypes.c_void_p))
    return found.astype(np.int64)

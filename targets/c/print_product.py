"""Multiplier models in C: one inline function per model, which takes the place of `*`."""

from __future__ import annotations

from hapir.lowering.kernel.geometry import Product
from hapir.targets.c.mangle import mangle
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.simd.primitive import everywhere
from hapir.targets.c.text import c, comment_text


def print_product(product: Product, symbols: Symbols) -> str:
    """What the function `product__NAME` of a model is called; models whose names look alike in C get a number."""
    stem, n = mangle(product.model), 0
    while True:
        name = f"product__{stem}_{n}" if n else f"product__{stem}"
        text = c(
            """
            /* $title */
            HAPIR__INLINE int32_t $name(const int32_t a, const int32_t w)
            {
                $body
            }
            """,
            title=comment_text(product.model),
            name=name,
            body=product.body,
        )
        known = symbols.primitives.get(name)
        if known is None or known.texts["c"] == text:
            return symbols.use(everywhere(name, text))
        n += 1

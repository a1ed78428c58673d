"""Register blocks: helpers that keep pixels x filters sums in registers over a whole row of products.

They are inlined with constant lengths, so a compiler sees every trip count.
"""

from __future__ import annotations

from hapir.lowering.kernel.program import CType, Product
from hapir.targets.c.mangle import mangle
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.text import c, comment_text, listed, sink, source

_UNUSED = "(void)x_stride;\n(void)sums_stride;"
"""One pixel has no next one."""


def integer_tile(pixels: int, filters: int, x: CType, w: CType, symbols: Symbols) -> str:
    """The name of the helper for dot products of rows of x and rows of w.

    Each sum is a scalar of its own: compilers vectorize such reductions with dot-product instructions.
    """
    name = f"dot__{pixels}x{filters}_{x.removesuffix('_t')}_{w.removesuffix('_t')}"
    rows, columns = range(pixels), range(filters)
    body = c(
        """
        $unused
        $start
        for (int32_t i = 0; i < length; ++i) {
            const int32_t $loads_x;
            const int32_t $loads_w;
            $add
        }
        $store
        """,
        unused=_UNUSED if pixels == 1 else "",
        start="\n".join("int32_t " + ", ".join(f"s{i}{j} = 0" for j in columns) + ";" for i in rows),
        loads_x=", ".join(f"x{i} = x[{_row(i, 'x_stride', 'i')}]" for i in rows),
        loads_w=", ".join(f"w{j} = w[{_row(j, 'length', 'i')}]" for j in columns),
        add="\n".join(f"s{i}{j} += x{i} * w{j};" for i in rows for j in columns),
        store="\n".join(f"sums[{_row(i, 'sums_stride', str(j))}] = s{i}{j};" for i in rows for j in columns),
    )
    return _helper(name, x, w, "int32_t", body, symbols)


def float_tile(pixels: int, filters: int, symbols: Symbols) -> str:
    """The name of the helper for sums of products over rows of x; w holds `filters` weights per element of a row.

    One array per pixel: so written, compilers keep all of them in vector registers.
    """
    name = f"outer__{pixels}x{filters}_float"
    rows = range(pixels)
    body = c(
        """
        $unused
        float $start;
        for (int32_t i = 0; i < length; ++i) {
            const float $loads_x;
            for (int32_t j = 0; j < $filters; ++j) {
                const float wj = w[i * $filters + j];
                $add
            }
        }
        for (int32_t j = 0; j < $filters; ++j) {
            $store
        }
        """,
        filters=filters,
        unused=_UNUSED if pixels == 1 else "",
        start=", ".join(f"s{i}[{filters}] = {{0}}" for i in rows),
        loads_x=", ".join(f"x{i} = x[{_row(i, 'x_stride', 'i')}]" for i in rows),
        add="\n".join(f"s{i}[j] += x{i} * wj;" for i in rows),
        store="\n".join(f"sums[{_row(i, 'sums_stride', 'j')}] = s{i}[j];" for i in rows),
    )
    return _helper(name, "float", "float", "float", body, symbols)


def product_tile(product: Product, x: CType, w: CType, symbols: Symbols) -> str:
    """The name of the helper for one sum of products of a multiplier model over a row of x and a row of w."""
    model = _product_name(product, symbols)
    multiply = f"product__{model}"
    body = c(
        """
        (void)x_stride;
        (void)sums_stride;
        int32_t sum = 0;
        for (int32_t i = 0; i < length; ++i) {
            sum += $multiply(x[i], w[i]);
        }
        sums[0] = sum;
        """,
        multiply=multiply,
    )
    return _helper(f"sum__{model}_{x.removesuffix('_t')}_{w.removesuffix('_t')}", x, w, "int32_t", body, symbols)


def _product_name(product: Product, symbols: Symbols) -> str:
    """What the helper `product__NAME` of a model is called; models whose names look alike in C get a number."""
    stem, n = mangle(product.model), 0
    while True:
        name = f"{stem}_{n}" if n else stem
        text = c(
            """
            /* $title */
            HAPIR__INLINE int32_t product__$name(const int32_t a, const int32_t w)
            {
                $body
            }
            """,
            title=comment_text(product.model),
            name=name,
            body=product.body,
        )
        if symbols.helpers.setdefault(f"product__{name}", text) == text:
            return name
        n += 1


def _row(index: int, stride: str, place: str) -> str:
    """`index * stride + place` without factors of one and terms of zero."""
    row = "" if index == 0 else stride if index == 1 else f"{index} * {stride}"
    return " + ".join(term for term in (row, place) if term not in ("", "0")) or "0"


def _helper(name: str, x: CType, w: CType, sums: CType, body: str, symbols: Symbols) -> str:
    if name not in symbols.helpers:
        parameters = [source(x, "x"), "int32_t x_stride", source(w, "w"), sink(sums, "sums")]
        parameters += ["int32_t sums_stride", "int32_t length"]
        head = listed(f"HAPIR__INLINE void {name}(", parameters, ")")
        symbols.helpers[name] = c("$head\n{\n    $body\n}", head=head, body=body)
    return name

"""Blocks and repeats: what they stand for, what layers are called, and what is wrong with them."""

from __future__ import annotations

import pytest

from hapir.pipeline import ir_text
from hapir.spec import networks
from tests.spec_texts import BASIC, diagnostics, errors, module_of, spec_of


def test_a_block_is_its_layers_under_the_name_of_the_call():
    called = BASIC + "network n(x: f32[1, 3, 8, 8]) -> f32[1, 4, 4, 4] { b = basic(x, 4, stride = 2); return b }"
    inlined = """
    network n(x: f32[1, 3, 8, 8]) -> f32[1, 4, 4, 4] {
        b.c1 = conv2d(x, channels = 4, kernel = 3, stride = 2, padding = 1)
        b.r1 = relu(b.c1)
        b.conv2d = conv2d(b.r1, channels = 4, kernel = 1)
        b.relu = relu(b.conv2d)
        return b.relu
    }"""
    assert ir_text(module_of(called)) == ir_text(module_of(inlined))
    assert spec_of(called).layers["n"] == ("b.c1", "b.r1", "b.relu", "b.conv2d")


def test_blocks_in_blocks_and_unnamed_calls():
    text = (
        BASIC
        + """
    block two(x) {
        a = basic(x, channels = 2)
        return basic(relu(a), channels = 2)
    }
    network n(x: f32[1, 2, 4, 4]) -> f32[1, 2, 4, 4] {
        block local(x) { return relu(two(x)) }
        t = two(x)
        s = add(local(t), two(t))
        return concat(s, axis = 1)
    }"""
    )
    layers = spec_of(text).layers["n"]
    assert "t.a.c1" in layers
    assert "t.basic.c1" in layers
    assert "s.local.two.a.c1" in layers
    assert "s.two.basic.c1" in layers
    assert len(set(layers)) == len(layers)


def test_a_repeat_is_its_turns():
    repeated = """
    network n(x: f32[1, 2]) -> f32[1, 2] {
        y[0] = relu(x)
        repeat i in range(1, 3) {
            let width = i * 10
            d = dense(y[i - 1], units = width)
            y[i] = dense(d, units = 2)
        }
        return add(y[3], y1)
    }"""
    written = """
    network n(x: f32[1, 2]) -> f32[1, 2] {
        y0 = relu(x)
        d1 = dense(y0, units = 10)
        y1 = dense(d1, units = 2)
        d2 = dense(y1, units = 20)
        y2 = dense(d2, units = 2)
        d3 = dense(y2, units = 30)
        y3 = dense(d3, units = 2)
        return add(y3, y1)
    }"""
    assert ir_text(module_of(repeated)) == ir_text(module_of(written))


def test_a_row_of_names_may_begin_with_a_tensor_that_exists():
    text = """
    block rows(x, n) {
        y[0] = x
        repeat i in range(1, n) { y[i] = relu(y[i - 1]) }
        return y[n]
    }
    network n(x: f32[1, 2])
        -> f32[1, 2] { a = rows(x, 2); z[3] = a.y1; b[1] = z[3]; c = relu(b1); return rows(x, 0) }"""
    assert spec_of(text).layers["n"] == ("a.y1", "a.y2", "c")
    assert errors(text.replace("b[1] = z[3]", "z3 = relu(x); b[1] = z[3]"))[0] == ("HAP0207", "`z3` is defined twice")


def test_nested_repeats_steps_and_empty_ranges():
    text = """
    network n(x: f32[1, 2]) -> f32[1, 2] {
        c1 = relu(x)
        repeat i in range(0, 4, step = 2) { repeat j in range(1, i) { z = relu(c1) } }
        repeat i in range(2, 1) { never = relu(x) }
        return add(z2_1, z[4, 4])
    }"""
    assert [name for name in spec_of(text).layers["n"] if name[0] == "z"] == [
        "z2_1",
        "z2_2",
        *(f"z4_{i}" for i in range(1, 5)),
    ]


def test_a_name_that_ends_in_a_digit_gets_a_line_before_its_index():
    text = "network n(x: f32[1, 2]) -> f32[1, 2] { repeat i in range(1, 2) { c1 = relu(x) }\nreturn add(c1[2], c1_1) }"
    assert spec_of(text).layers["n"][:2] == ("c1_1", "c1_2")


def test_tensors_inside_instances_can_be_read():
    text = (
        BASIC
        + """
    network n(x: f32[1, 3, 8, 8]) -> f32[1, 8, 8, 8] {
        repeat i in range(1, 2) { b[i] = basic(x, channels = 4) }
        return concat(b[2].c1, b1.r1)
    }"""
    )
    (op,) = [op for op in module_of(text).walk() if op.name == "nn.concat"]
    assert [v.name_hint for v in op.operands] == ["b2_c1", "b1_r1"]


def test_a_tensor_may_be_the_default_of_a_parameter():
    block = """
    block residual(x, shortcut = x, scaled = clip(shortcut, low = 0, high = 6)) {
        c = conv2d(x, channels = 2, kernel = 1)
        return add(c, scaled)
    }
    network n(image: f32[1, 2, 4, 4]) -> f32[1, 2, 4, 4] {
        a = residual(image)
        b = residual(a, shortcut = image)
        c = residual(b, scaled = a)
        return c
    }"""
    inlined = """
    network n(image: f32[1, 2, 4, 4]) -> f32[1, 2, 4, 4] {
        a.scaled.clip = clip(image, low = 0, high = 6)
        a.c = conv2d(image, channels = 2, kernel = 1)
        a.add = add(a.c, a.scaled.clip)
        b.scaled.clip = clip(image, low = 0, high = 6)
        b.c = conv2d(a.add, channels = 2, kernel = 1)
        b.add = add(b.c, b.scaled.clip)
        c.c = conv2d(b.add, channels = 2, kernel = 1)
        c.add = add(c.c, a.add)
        return c.add
    }"""
    assert ir_text(module_of(block)) == ir_text(module_of(inlined))
    later = "block b(x, y = z, z = 1) { return add(x, y) }\nnetwork n(i: f32[1, 2]) -> f32[1, 2] { return b(i) }"
    assert errors(later) == [("HAP0224", "the default of `y` is `z`, which comes after it")]


def test_the_size_of_a_tensor_is_a_number():
    text = """
    block half(x, to = size(x, 1) / 2) { return conv2d(x, channels = to, kernel = size(x, 2)) }
    network n(x: f32[1, 6, 4, 4]) -> f32[1, 3, 1, 1] { return half(x) }"""
    assert spec_of(text).layers["n"] == ("output.half.conv2d",)
    bad = "network n(x: f32[1, 6]) -> f32[1, 6] { return dense(x, units = size(x, AXIS)) }"
    assert errors(bad.replace("AXIS", "2")) == [("HAP0305", "the axes of 1x6 are 0..1")]
    assert errors(bad.replace("AXIS", "1, 2")) == [("HAP0205", "`size` is called as `size(tensor, axis)`")]
    assert errors("network n(x: f32[1, 6]) -> f32[1, 6] { return dense(x, units = size(relu(x), 1)) }") == [
        ("HAP0304", "`size` takes the name of a tensor")
    ]


@pytest.mark.parametrize("name", ["let", "block", "repeat", "weights", "in", "extends", "step", "size"])
def test_soft_words_name_layers(name: str):
    text = f"network n(x: f32[1, 2]) -> f32[1, 2] {{ {name} = relu(x)\nreturn relu({name}) }}"
    assert spec_of(text).layers["n"][0] == name


def test_an_error_inside_a_block_is_told_once_with_its_call():
    text = """
    block b(x, k) {
        c = conv2d(x, channels = k, kernel = 9)
        return relu(c)
    }
    network n(x: f32[1, 3, 8, 8]) -> f32[1, 4, 4, 4] {
        repeat i in range(1, 5) { y = b(x, i) }
        z = b(x, 7)
        return z.c
    }"""
    (found,) = diagnostics(text)
    assert found.message.startswith("`y1.c`: the window spans 9x9")
    assert found.span is not None
    assert found.span.line == 4
    assert [(label.span.line, label.message) for label in found.labels] == [
        (3, "this is f32[1, 3, 8, 8]"),
        (3, "`k` is 1"),
        (8, "in this call of `b`"),
    ]


NET = "network n(x: f32[1, 2]) -> f32[1, 2] "


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "block b(x) { return b(x) }\n" + NET + "{ return b(x) }",
            "HAP0225",
            "the block `b` calls itself",
        ),
        (
            "block relu(x) { return x }",
            "HAP0223",
            "a block cannot be called `relu`: there is a layer of that name",
        ),
        (
            "block min(x) { return x }",
            "HAP0223",
            "a block cannot be called `min`: there is a function of that name",
        ),
        (
            "machine m(rows) { technology = cmos45; clock = 1 MHz }",
            "HAP0226",
            "the parameter `rows` needs a default",
        ),
        (
            "block b(x: f32[1]) { return x }",
            "HAP0226",
            "only a network declares the types of its inputs",
        ),
        (
            "block b(x, x) { return x }",
            "HAP0207",
            "the parameter `x` is defined twice",
        ),
        (
            NET + "{ repeat i in range(1, 2) { return x } }",
            "HAP0227",
            "a repeat does not return",
        ),
        (
            'block b(x) { weights from "w.npz"; return x }\n' + NET + "{ y = b(x); return y }",
            "HAP0227",
            "weights are given once, in the network itself",
        ),
        (
            NET + "{ repeat i in range(1, 90000) { y = relu(x) }\nreturn x }",
            "HAP0228",
            "the network grows past 12000 layers or turns of its repeats",
        ),
        (
            NET + "{ repeat i in 3 { y = relu(x) }\nreturn x }",
            "HAP0304",
            "a repeat runs over a range, not 3",
        ),
        (
            NET + "{ y[1.5] = relu(x)\nreturn x }",
            "HAP0304",
            "an index is an integer of at least 0, not 1.5",
        ),
        (
            NET + "{ y[1] = relu(x)\ny1 = relu(x)\nreturn y1 }",
            "HAP0207",
            "`y1` is defined twice",
        ),
        (
            NET + "{ let x = 3\nreturn relu(x) }",
            "HAP0207",
            "`x` is defined twice",
        ),
        (
            "network n(x: f32[1, 2], k = 2) -> f32[1, 2] { return relu(k) }",
            "HAP0202",
            "`k` is a number, not a tensor",
        ),
        (
            NET + "{ return min(x) }",
            "HAP0201",
            "there is no layer `min`",
        ),
        (
            NET + "{ a1[2, 3] = relu(x); return relu(a1[2, 4]) }",
            "HAP0202",
            "there is no tensor `a1[2, 4]`",
        ),
        (
            NET + "{ a[] = relu(x); return relu(a) }",
            "HAP0304",
            "`a[]` has no index",
        ),
        (
            NET + "{ return relu(x[]) }",
            "HAP0304",
            "`x[]` has no index",
        ),
        (
            NET + "{ return relu(x[2]) }",
            "HAP0202",
            "there is no tensor `x[2]`",
        ),
        (
            "block b(x, k) { return relu(x) }\n" + NET + "{ return b(x) }",
            "HAP0206",
            "block `b` needs `k`",
        ),
        (
            "block b(x) { return relu(x) }\n" + NET + "{ return b(x, 3) }",
            "HAP0205",
            "block `b` has 1 parameter, 2 arguments given",
        ),
        (
            "block b(x) { return relu(x) }\n" + NET + "{ return b(x, x = x) }",
            "HAP0221",
            "`x` is given twice",
        ),
        (
            "block b(x) { y = relu(x) }\n" + NET + "{ return b(x) }",
            "HAP0218",
            "the block `b` returns nothing",
        ),
        (
            "machine a extends b { }\nmachine b extends c { }\nmachine c extends b { }",
            "HAP0225",
            "these machines extend each other: b -> c -> b",
        ),
        (
            NET + "{ return x }\nmachine m { clock = 1 MHz }\nschedule s of m on n { }",
            "HAP0209",
            "`m` is a machine, not a network",
        ),
        (
            "machine a { technology = cmos45; clock = 1 MHz }\nmachine b extends a { clock = 2 MHz; clock = 3 MHz }",
            "HAP0221",
            "`clock` is given twice",
        ),
        (
            "machine a { technology = cmos45; clock = 1 MHz; memory m { size = 1 KiB } }\n"
            "machine b extends a { memory m { size = 2 KiB, size = 3 KiB } }",
            "HAP0221",
            "`size` is given twice",
        ),
        (
            "machine a { technology = cmos45; clock = 1 MHz; memory m { size = 1 KiB } }\n"
            "machine b extends a { memory m { size = 2 KiB }; memory m { latency = 3 cycle } }",
            "HAP0207",
            "`m` is defined twice",
        ),
        (
            "block b(x, k = j, j = 3) { return dense(x, units = k) }\n" + NET + "{ return b(x) }",
            "HAP0224",
            "the default of `k` is `j`, which comes after it",
        ),
        (
            "let a = true + 1",
            "HAP0307",
            "`true` cannot be computed with",
        ),
        (
            "machine a extends nobody { }",
            "HAP0209",
            "there is no machine `nobody`",
        ),
        (
            "machine a extends a { }",
            "HAP0225",
            "these machines extend each other: a -> a",
        ),
        (
            "recipe a { b() }\nrecipe b { a() }",
            "HAP0225",
            "these recipes call each other: a -> b -> a",
        ),
        (
            "recipe a { b }\nrecipe b { }",
            "HAP0216",
            "a recipe is a list of passes",
        ),
        (
            "machine m { technology = cmos45; clock = f * 2 }",
            "HAP0224",
            "there is no constant `f`",
        ),
        (
            "network n(x: f32[1, k]) -> f32[1, 2] { return relu(x) }",
            "HAP0305",
            "a dimension is an integer in 1..2147483647, not `k`",
        ),
    ],
)
def test_mistakes(text: str, code: str, message: str):
    assert (code, message) in errors(text)


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        (
            "block b(x) { first = relu(x)\nreturn relu(first) }\n" + NET + "{ a = b(x)\nreturn relu(a.frist) }",
            "did you mean `a.first`?",
        ),
        (
            "block b(x) { c = relu(x)\nreturn relu(c) }\n"
            + NET
            + "{ repeat i in range(1, 2) { a = b(x) }\nreturn relu(a[2].other) }",
            "the tensors here are `a2.x`, `a2.c`",
        ),
        (NET + "{ s = split(x, parts = 2)\nreturn relu(s[3]) }", "the tensors here are `x`, `s1`, `s2`"),
        (
            "network n(x: f32[1, 3, 8, 8]) -> f32[1, 4, 6] { return conv1d(x, channels = 4, kernel = 3) }",
            "`conv1d` works on sequences: f32[1, 16, 100] is one of 100 places with 16 channels",
        ),
        (
            "network größe(x: f32[1, 3]) -> f32[1, 3] { return relu(x) }",
            "names are made of the letters a to z and A to Z, digits, `_` and `.`; everything else is a string",
        ),
        (NET + "{ return dense(x, units = 2.0) }", "write `units = 2`"),
        (NET + "{ return dense(x, units = 7 / 2) }", "`floor`, `ceil` and `round` make integers of numbers"),
        (NET + "{ return dense(x, units = flor(3.5)) }", "did you mean `floor`?"),
        (
            "let n = pow(2, 3)\n" + NET + "{ return dense(x, units = n) }",
            "the functions are min, max, floor, ceil, round, abs, mod, sqrt, log2, size",
        ),
        ("let n = 1_000", "numbers are decimal, and their digits stand together: `1000`, `1e-5`"),
        ("let n = 0x1F", "numbers are decimal, and their digits stand together: `1000`, `1e-5`"),
        (NET + "// a body\n\n{ return x }", "put the `{` of the next line at the end of this one"),
        ("/* all of it */\n" + NET + "{ return relu(x) }", "comments begin with //, on each line"),
        (NET + "{ return relu(x) }\nschedule s of n { weights = random }", "write `weights = random(seed = 1)`"),
    ],
)
def test_ways_out(text: str, way_out: str):
    assert way_out in [d.help for d in diagnostics(text)]


def test_a_brace_on_a_line_of_its_own_is_one_error():
    text = "network n(x: f32[1, 2]) -> f32[1, 2]\n{\n    return rleu(x)\n}\nmachine m\n{\n}"
    assert [(d.code, d.span.line if d.span else 0) for d in diagnostics(text)] == [("HAP0101", 2), ("HAP0101", 6)]


def test_the_sizes_of_an_array_show_where_they_come_from():
    (found,) = diagnostics("let n = 0\nmachine m { technology = cmos45; clock = 1 MHz; array pe[n, 4] { } }")
    assert [(label.message, label.span.line) for label in found.labels] == [("`n` is 0", 2)]


def test_deep_expressions_are_refused():
    (found,) = errors(f"let a = {'-' * 20_000}1")
    assert found[0] == "HAP0104"
    (found,) = errors(f"let a = 1{' + 1' * 20_000}")
    assert found[0] == "HAP0104"


def test_many_calls_of_blocks_end(monkeypatch: pytest.MonkeyPatch):
    """Each block calls the one before it twice: the number of layers doubles 24 times, and is refused in time."""
    monkeypatch.setattr(networks, "MAXIMUM_LAYERS", 500)
    blocks = "block b0(x) { return relu(x) }\n" + "\n".join(
        f"block b{i}(x) {{ a = b{i - 1}(x)\nreturn b{i - 1}(a) }}" for i in range(1, 25)
    )
    assert ("HAP0228", "the network grows past 500 layers or turns of its repeats") in errors(
        blocks + "\nnetwork n(x: f32[1, 2]) -> f32[1, 2] { return b24(x) }"
    )

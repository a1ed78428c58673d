"""Law of blocks and repeats: a network with them is the network without them, layer names and all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.pipeline import ir_text
from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text


@dataclass(frozen=True)
class Step:
    """A statement `name = what(source)`: a layer, a call of a block, or a repeat of `turns` layers in a row."""

    kind: str
    source: int
    """Which of the tensors before it the statement reads; 0 is the input."""
    units: int
    turns: int = 0
    block: int = 0


def steps(blocks: int) -> st.SearchStrategy[list[Step]]:
    """Statements that may call the first `blocks` blocks."""
    kinds = ["relu", "dense", "repeat", *(["block"] if blocks else [])]
    step = st.builds(
        Step,
        st.sampled_from(kinds),
        st.integers(0, 9),
        st.integers(1, 9),
        st.integers(0, 3),
        st.integers(0, max(0, blocks - 1)),
    )
    return st.lists(step, min_size=1, max_size=4)


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[list[Step]], list[Step]]:
    """Blocks, each of which may call those before it, and the statements of the network."""
    blocks = [draw(steps(n)) for n in range(draw(st.integers(0, 3)))]
    return blocks, draw(steps(len(blocks)))


def written(body: list[Step]) -> str:
    """The statements of a body with blocks and repeats; `width` is a parameter or constant around it."""
    lines: list[str] = []
    names = ["x"]
    for n, step in enumerate(body):
        source = names[step.source % len(names)]
        match step.kind:
            case "relu":
                lines.append(f"s{n} = relu({source})")
                names.append(f"s{n}")
            case "dense":
                lines.append(f"s{n} = dense({source}, units = width + {step.units})")
                names.append(f"s{n}")
            case "block":
                lines.append(f"s{n} = b{step.block}({source}, width = width + {step.units})")
                names.append(f"s{n}")
            case _:
                lines.append(f"a{n}[0] = relu({source})")
                lines.append(f"repeat i in range(1, {step.turns}) {{")
                lines.append(f"    d{n} = dense(a{n}[i - 1], units = i * {step.units})")
                lines.append(f"    a{n}[i] = relu(d{n})\n}}")
                names.append(f"a{n}[{step.turns}]")
    return "\n".join([*lines, f"return {names[-1]}"])


def inlined(
    body: list[Step], blocks: list[list[Step]], prefix: str, x: tuple[str, int], width: int
) -> tuple[list[str], tuple[str, int]]:
    """The same as plain layers, and the name of the result with its number of features."""
    lines: list[str] = []
    made = [x]

    def layer(name: str, call: str, features: int) -> None:
        lines.append(f"{prefix}{name} = {call}")
        made.append((f"{prefix}{name}", features))

    for n, step in enumerate(body):
        source, features = made[step.source % len(made)]
        match step.kind:
            case "relu":
                layer(f"s{n}", f"relu({source})", features)
            case "dense":
                layer(f"s{n}", f"dense({source}, units = {width + step.units})", width + step.units)
            case "block":
                block = blocks[step.block]
                inner, result = inlined(block, blocks, f"{prefix}s{n}.", (source, features), width + step.units)
                lines += inner
                made.append(result)
            case _:
                known = len(made)
                layer(f"a{n}_0", f"relu({source})", features)
                for i in range(1, step.turns + 1):
                    layer(f"d{n}_{i}", f"dense({made[-1][0]}, units = {i * step.units})", i * step.units)
                    layer(f"a{n}_{i}", f"relu({made[-1][0]})", i * step.units)
                made[known:] = made[-1:]  # only the last can be read after the repeat here
    return lines, made[-1]


@given(programs(), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_blocks_and_repeats_are_their_layers(program: tuple[list[list[Step]], list[Step]], width: int):
    blocks, body = program
    lines, (result, features) = inlined(body, blocks, "", ("x", 3), width)
    text = [f"block b{n}(x, width) {{\n{written(block)}\n}}" for n, block in enumerate(blocks)]
    text.append(f"network n(x: f32[1, 3], width = {width}) -> f32[1, {features}] {{\n{written(body)}\n}}")
    plain = "\n".join([f"network n(x: f32[1, 3]) -> f32[1, {features}] {{", *lines, f"return {result}", "}"])
    assert ir_of("\n".join(text)) == ir_of(plain)


def ir_of(text: str) -> str:
    """The IR of a spec with one network."""
    spec = load_spec_text(f"hap 1\n{text}", "t.hap", Path("nowhere"))
    return ir_text(build_module(spec, None, make_context(), weights=False))

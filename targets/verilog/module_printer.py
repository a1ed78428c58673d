"""Prints one `hw.module`: names, nets, instances and the order of its text. `printer` describes what comes out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from xdsl.dialects import comb, hw
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import rtl
from hapir.targets.verilog import expressions as expr
from hapir.targets.verilog import products
from hapir.targets.verilog.expressions import Text
from hapir.targets.verilog.live import constants, live_ops
from hapir.targets.verilog.names import Names
from hapir.targets.verilog.ports import Ports, bits, comment_lines, width_in_bits
from hapir.targets.verilog.state import StatePrinter

_NOUNS = {
    "comb.add": "sum",
    "comb.sub": "difference",
    "comb.mul": "product",
    "comb.divu": "quotient",
    "comb.divs": "quotient",
    "comb.modu": "remainder",
    "comb.mods": "remainder",
    "comb.and": "both",
    "comb.or": "either",
    "comb.xor": "mixed",
    "comb.icmp": "test",
    "comb.mux": "choice",
    "comb.concat": "joined",
    "comb.extract": "part",
    "comb.replicate": "copies",
    "comb.parity": "parity",
    "comb.shl": "shifted",
    "comb.shru": "shifted",
    "comb.shrs": "shifted",
}
"""What a net without a name of its own is called."""

LINE = 110  # columns at which statements are broken
SHORT = 72  # longer expressions become nets of their own


class ModulePrinter:
    """One module on its way to text."""

    def __init__(self, op: hw.HWModuleOp, interfaces: Mapping[str, Ports], inner_names: Mapping[str, Names]):
        self.op = op
        self.block = op.body.block
        self.interfaces = interfaces
        self.inner_names = inner_names
        self.ports = interfaces[op.sym_name.data]
        self.known = constants(self.block)
        self.live = live_ops(self.block, self.known)
        self.scope = Names(self.ports.names.values())
        self.nets: dict[SSAValue, str] = {}
        self.signed: set[SSAValue] = set()
        self.texts: dict[SSAValue, Text] = {}
        self.read: dict[SSAValue, int] = {}
        self.lines: list[str] = []
        self.outputs: dict[SSAValue, str] = {}
        self.order = {op: index for index, op in enumerate(self.block.ops)}

    def print(self) -> str:
        """The module's text. Raises HapirError (HAP0741, HAP0743)."""
        self._check()
        self._name_everything()
        state = StatePrinter(self)
        state.declare()
        self.gap()
        for op in self.block.ops:
            if op in self.live:
                self._print_op(op)
        state.drive()
        self.gap()
        self._drive_outputs()
        self._list_unread()
        return f"{self._head()}{''.join(f'  {line}'.rstrip() + chr(10) for line in self.lines)}endmodule\n"

    # -- what the text may hold ---------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Every value is a bit vector or memory, and is computed before it is read."""
        for op in self.block.ops:
            if op not in self.live:
                continue
            for operand in op.operands:
                owner = operand.owner
                if isinstance(owner, Operation) and operand not in self.known and self.order[owner] > self.order[op]:
                    fail(
                        "HAP0743",
                        "a value is read before it is computed",
                        at=op,
                        help="read an rtl.wire, drive it later",
                    )
            for result in op.results:
                if not isinstance(result.type, rtl.MemoryType):
                    width_in_bits(result.type, op)

    def _name_everything(self) -> None:
        """Names for ports, state, hinted values and instances, in this order of privilege."""
        for argument, (name, _) in zip(self.block.args, self.ports.inputs, strict=True):
            self.nets[argument] = name
        terminator = self.block.last_op
        assert isinstance(terminator, hw.OutputOp)
        for value, (name, _) in zip(terminator.inputs, self.ports.outputs, strict=True):
            if value.owner in self.live and value not in self.nets and _hint(value) == name and not _is_product(value):
                self.nets[value] = self.outputs[value] = name
        for op in self.block.ops:
            if op in self.live:
                for result in op.results:
                    hint = _hint(result)
                    if hint is not None and result not in self.nets and result not in self.known:
                        self.nets[result] = self.scope.fresh(hint)

    # -- text of values -----------------------------------------------------------------------------------------------

    def text(self, value: SSAValue) -> Text:
        """The expression that stands for a value."""
        if value in self.known:
            return expr.constant(self.known[value], rtl.width_of(value))
        if value in self.texts:
            return self.texts[value]
        name = self.nets[value]
        reads = (expr.Read(value, 0, rtl.width_of(value)),)
        return Text(f"$unsigned({name})" if value in self.signed else name, reads=reads)

    def use(self, text: Text) -> str:
        """The code of an expression that goes into the output; notes which bits it reads."""
        for read in text.reads:
            self.read[read.value] = self.read.get(read.value, 0) | ((1 << read.width) - 1) << read.low
        return text.code

    def code(self, value: SSAValue) -> str:
        """The code of a value that goes into the output."""
        return self.use(self.text(value))

    def net(self, value: SSAValue, hint: str) -> str:
        """The name of a net that holds the whole value; a constant gets one here."""
        if value in self.nets:
            self.use(self.text(value))
            return self.nets[value]
        name = self.scope.fresh(hint)
        self.declare(name, rtl.width_of(value), self.text(value))
        return name

    # -- text of operations -------------------------------------------------------------------------------------------

    def _print_op(self, op: Operation) -> None:
        match op:
            case rtl.AssignOp():
                self.statement(f"assign {self.nets[op.target]} =", self.text(op.value))
            case rtl.RomOp():
                if op.result not in self.known:
                    self._print_rom(op)
            case hw.InstanceOp():
                self._print_instance(op)
            case rtl.MulOp():
                self._print_product(op)
            case hw.ConstantOp() | hw.OutputOp() | rtl.WireOp():
                pass
            case _ if StatePrinter.owns(op):
                pass
            case _:
                self._print_logic(op)

    def _print_logic(self, op: Operation) -> None:
        if op.results and op.results[0] in self.known:
            return
        text = self._logic(op)
        if text is None:
            fail("HAP0741", f"`{op.name}` has no Verilog text", at=op)
        result = op.results[0]
        if result in self.nets or not self._pasted(op, text):
            self._define(result, text, _NOUNS.get(op.name, "value"))
        else:
            self.texts[result] = text

    def _logic(self, op: Operation) -> Text | None:
        if isinstance(op, comb.ExtractOp):
            return self._selection(op)
        if isinstance(op, expr.SHIFTS):
            return self._shift(op)
        if isinstance(op, comb.XorOp) and len(op.inputs) == 2:
            ones = (1 << rtl.width_of(op.result)) - 1
            for mask, x in (tuple(op.inputs), tuple(reversed(op.inputs))):
                if self.known.get(mask) == ones:
                    return expr.invert(self.text(x))
        return expr.operation(op, [self.text(operand) for operand in op.operands])

    def _selection(self, op: comb.ExtractOp) -> Text:
        low, width = op.low_bit.value.data, rtl.width_of(op.result)
        if low + width > rtl.width_of(op.input):
            fail("HAP0741", f"bits {low}..{low + width - 1} of a value of {op.input.type}", at=op)
        if op.input in self.nets:
            return expr.select(self.nets[op.input], op.input, low, width)
        # not a net: a selection itself (`_pasted` sees to that), so the offsets add up
        assert isinstance(op.input.owner, comb.ExtractOp)
        read = self.texts[op.input].reads[0]
        return expr.select(self.nets[read.value], read.value, read.low + low, width)

    def _shift(self, op: Operation) -> Text:
        x, amount = op.operands
        if amount not in self.known:
            return expr.shift(op, self.text(x), self._shift_amount(amount))
        # only copies of the sign remain of a number that is shifted right by its width or more
        places = min(self.known[amount], rtl.width_of(x) - 1)
        return expr.shift(op, self.text(x), expr.constant(places, places.bit_length())) if places else self.text(x)

    def _shift_amount(self, amount: SSAValue) -> Text:
        """The amount without leading zeros, in at most 32 bits (more are unknown to tools; the largest saturates)."""
        owner = amount.owner
        if isinstance(owner, comb.ConcatOp) and amount not in self.known and amount not in self.nets:
            parts = list(owner.inputs)
            while len(parts) > 1 and self.known.get(parts[0]) == 0:
                parts.pop(0)
            kept = [self.text(part) for part in parts]
            if sum(rtl.width_of(part) for part in parts) <= 32:
                return kept[0] if len(kept) == 1 else expr.concat(kept)
        width = rtl.width_of(amount)
        if width <= 32:
            return self.text(amount)
        name = self.nets[amount]
        high = expr.select(name, amount, 31, width - 31)
        low = expr.select(name, amount, 0, 31)
        return Text(f"{{|{high.code}, {low.code}}}", "concat", (*high.reads, *low.reads))

    def _pasted(self, op: Operation, text: Text) -> bool:
        """Whether an unnamed value stands where it is used instead of in a net of its own."""
        uses = [use for use in op.results[0].uses if use.operation in self.live]
        if any(self._needs_net(use.operation, use.index) for use in uses):
            return isinstance(op, comb.ExtractOp) and all(isinstance(u.operation, comb.ExtractOp) for u in uses)
        if isinstance(op, comb.ExtractOp):
            return True
        if isinstance(op, comb.XorOp) and text.form == "unary" and len(text.code) < 24:
            return True
        if len(uses) != 1:
            return False
        use = next(iter(uses)).operation
        if text.form == "?" and not (isinstance(use, comb.MuxOp) and use.false_value == op.results[0]):
            # a chain of choices is laid out over lines, which only a statement of its own can be
            statement = isinstance(use, (rtl.NextOp, rtl.AssignOp, hw.OutputOp))
            return statement or (len(text.arms) == 1 and len(text.code) <= SHORT)
        if text.form == "?":
            return all(len(condition) + len(value) <= SHORT for condition, value in text.arms)
        return len(text.code) <= SHORT

    def _needs_net(self, user: Operation, index: int) -> bool:
        match user:
            case comb.ExtractOp():
                return True
            case rtl.MulOp():
                return products.sign_copies(user, index) > 0
            case rtl.WriteOp():
                return user.mask is not None and user.operands[index] in (user.data, user.mask)
            case _:
                clocked = isinstance(user, (rtl.RegOp, rtl.ReadOp, rtl.WriteOp, rtl.DelayOp))
                wide_amount = isinstance(user, expr.SHIFTS) and index == 1 and rtl.width_of(user.operands[1]) > 32
                return wide_amount or (clocked and user.operands[index] == user.clock)

    def _define(self, result: SSAValue, text: Text, hint: str) -> None:
        if result in self.outputs:
            self.statement(f"assign {self.nets[result]} =", text)
            return
        if result not in self.nets:
            self.nets[result] = self.scope.fresh(hint)
        self.declare(self.nets[result], rtl.width_of(result), text)

    def declare(self, name: str, width: int, text: Text) -> None:
        """A net that carries an expression."""
        self.statement(f"wire{bits(width)} {name} =", text)

    def gap(self) -> None:
        """A blank line between parts."""
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def statement(self, head: str, text: Text, indent: str = "") -> None:
        """`head expression;`, over several lines where one would be too long."""
        line = f"{indent}{head} {self.use(text)};"
        if len(line) <= LINE:
            self.lines.append(line)
        elif len(text.arms) > 1:
            pad = f"{indent}    "
            self.lines.append(f"{indent}{head}")
            self.lines.extend(f"{pad}{condition} ? {value} :" for condition, value in text.arms)
            self.lines.append(f"{pad}{text.last};")
        else:
            self.lines.extend(
                textwrap.wrap(
                    line, LINE, subsequent_indent=f"{indent}    ", break_long_words=False, break_on_hyphens=False
                )
            )

    def _print_product(self, op: rtl.MulOp) -> None:
        text = products.product(self, op)
        if op.result not in self.nets:
            self.nets[op.result] = self.scope.fresh("product")
        sign = ""
        if products.is_signed(op):
            self.signed.add(op.result)
            sign = " signed"
        self.statement(f"wire{sign}{bits(rtl.width_of(op.result))} {self.nets[op.result]} =", text)

    # -- tables, instances, ports -------------------------------------------------------------------------------------

    def _print_rom(self, op: rtl.RomOp) -> None:
        name, width = self.nets[op.result], rtl.width_of(op.result)
        table, address_width = op.table, rtl.width_of(op.address)
        digits = len(str(len(table) - 1))
        self._comment(op)
        if op.result not in self.outputs:
            self.lines.append(f"reg{bits(width)} {name};  // table of {len(table)} words")
        self.lines.extend(("always @(*) begin", f"  case ({self.code(op.address)})"))
        for address, word in enumerate(table):
            if word:
                self.lines.append(f"    {address_width}'d{address:<{digits}}: {name} = {width}'h{word:x};")
        self.lines.extend((f"    default: {name} = {width}'h0;", "  endcase", "end"))

    def _print_instance(self, op: hw.InstanceOp) -> None:
        symbol = op.module_name.root_reference.data
        if symbol not in self.interfaces:
            fail("HAP0741", f"module `{symbol}` is not there to instantiate", at=op)
        ports = self.interfaces[symbol]
        connections: list[str] = []
        for label, value in zip(op.arg_names, op.inputs, strict=True):
            connections.append(f".{ports.names[label.data]}({self.code(value)})")
        for label, result in zip(op.result_names, op.outputs, strict=True):
            if result not in self.nets:
                self.nets[result] = self.scope.fresh(f"{op.instance_name.data}_{label.data}")
            if result not in self.outputs:
                self.lines.append(f"wire{bits(rtl.width_of(result))} {self.nets[result]};")
            self.read.setdefault(result, 0)
            connections.append(f".{ports.names[label.data]}({self.nets[result]})")
        self._comment(op)
        # Verilator warns of a net that is named as the instance it lies in
        inside = self.inner_names[symbol]
        name = next(n for n in iter(lambda: self.scope.fresh(op.instance_name.data), None) if n not in inside)
        self.lines.append(f"{ports.module} {name} (")
        self.lines.extend(f"    {c}{',' if c is not connections[-1] else ''}" for c in connections)
        self.lines.append(");")

    def _drive_outputs(self) -> None:
        terminator = self.block.last_op
        assert isinstance(terminator, hw.OutputOp)
        for value, (name, width) in zip(terminator.inputs, self.ports.outputs, strict=True):
            if self.outputs.get(value) == name:
                self.read[value] = (1 << width) - 1
            else:
                self.statement(f"assign {name} =", self.text(value))

    def _list_unread(self) -> None:
        """Tell lint tools which bits are not read on purpose."""
        unread: list[str] = []
        for value, name in self.nets.items():
            if isinstance(value.type, rtl.MemoryType) or self.outputs.get(value) == name:
                continue
            width = rtl.width_of(value)
            missing = (1 << width) - 1 & ~self.read.get(value, 0)
            unread.extend(expr.select(name, value, low, count).code for low, count in _runs(missing))
        if unread:
            listed = ", ".join(("1'b0", *unread))
            self.statement(f"wire {self.scope.fresh('unused_ok')} =", Text(f"&{{{listed}}}", "unary"))

    def _head(self) -> str:
        head = "".join(f"// {line}\n" for line in comment_lines(self.op, 108))
        kinds = [("input  wire", name, width) for name, width in self.ports.inputs]
        registered = {self.outputs[v] for v in self.outputs if _is_variable(v)}
        for name, width in self.ports.outputs:
            kinds.append(("output reg " if name in registered else "output wire", name, width))
        if not kinds:
            return f"{head}module {self.ports.module};\n"
        room = max(len(bits(width)) for _, _, width in kinds)
        ports = ",\n".join(f"    {kind}{bits(width):<{room}} {name}" for kind, name, width in kinds)
        return f"{head}module {self.ports.module} (\n{ports}\n);\n"

    def _comment(self, op: Operation) -> None:
        self.lines.extend(f"// {line}" for line in comment_lines(op, LINE - 6))


def _hint(value: SSAValue) -> str | None:
    hint = value.owner.properties.get("hint") if isinstance(value.owner, Operation) else None
    return hint.data if isinstance(hint, StringAttr) else value.name_hint


def _is_product(value: SSAValue) -> bool:
    return isinstance(value.owner, rtl.MulOp)


def _is_variable(value: SSAValue) -> bool:
    """Whether Verilog assigns a value in an `always` block, which makes its net a `reg`."""
    owner = value.owner
    return isinstance(owner, (rtl.RegOp, rtl.ReadOp, rtl.RomOp)) or (
        isinstance(owner, rtl.DelayOp) and owner.cycles.data == 1
    )


def _runs(mask: int) -> list[tuple[int, int]]:
    """The runs of ones in a mask as (lowest bit, length), highest first."""
    found: list[tuple[int, int]] = []
    while mask:
        high = mask.bit_length()
        low = high
        while low and mask >> (low - 1) & 1:
            low -= 1
        found.append((low, high - low))
        mask &= (1 << low) - 1
    return found

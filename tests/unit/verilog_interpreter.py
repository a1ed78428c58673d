"""What a circuit of `hw`, `comb` and `rtl` ops computes, cycle by cycle; it shares nothing with the printer."""

from __future__ import annotations

from xdsl.dialects import comb, hw
from xdsl.ir import Operation, SSAValue

from hapir.dialects import rtl
from hapir.dialects.rtl import width_of


class Interpreter:
    """The state of a circuit and of its instances; `step` is one clock cycle."""

    def __init__(self, op: hw.HWModuleOp, modules: dict[str, hw.HWModuleOp]):
        self.op = op
        self.block = op.body.block
        self.state: dict[SSAValue, int] = {}
        self.lines: dict[SSAValue, list[int]] = {}
        self.memories: dict[SSAValue, dict[int, int]] = {}
        self.children = {
            o: Interpreter(modules[o.module_name.root_reference.data], modules)
            for o in self.block.ops
            if isinstance(o, hw.InstanceOp)
        }
        self.values: dict[SSAValue, int] = {}

    def outputs(self, inputs: list[int]) -> list[int]:
        """The outputs in this cycle; the state stays."""
        self.values = dict(zip(self.block.args, inputs, strict=True))
        terminator = self.block.last_op
        assert terminator is not None
        return [self.value(x) for x in terminator.operands]

    def edge(self) -> None:
        """The clock edge that ends the cycle whose inputs were last given."""
        new_state: dict[SSAValue, int] = {}
        writes: list[tuple[SSAValue, int, int]] = []
        for op in self.block.ops:
            match op:
                case rtl.NextOp():
                    reg = op.target.owner
                    assert isinstance(reg, rtl.RegOp)
                    if reg.reset is not None and self.value(reg.reset):
                        assert reg.init is not None
                        new_state[op.target] = reg.init.data
                    elif op.enable is None or self.value(op.enable):
                        new_state[op.target] = self.value(op.value)
                case rtl.ReadOp():
                    if op.enable is None or self.value(op.enable):
                        new_state[op.result] = self.memories.get(op.memory, {}).get(self.value(op.address), 0)
                case rtl.WriteOp() if self.value(op.enable):
                    writes.append((op.memory, self.value(op.address), self._merged(op)))
                case rtl.DelayOp():
                    line = self.lines.setdefault(op.result, [0] * op.cycles.data)
                    reset = op.reset is not None and self.value(op.reset)
                    self.lines[op.result] = [0] * len(line) if reset else [self.value(op.x), *line[:-1]]
                case hw.InstanceOp():
                    self.children[op].outputs([self.value(x) for x in op.inputs])
                    self.children[op].edge()
                case _:
                    pass
        self.state.update(new_state)
        for memory, address, word in writes:
            self.memories.setdefault(memory, {})[address] = word
        self.values = {}

    def _merged(self, op: rtl.WriteOp) -> int:
        data = self.value(op.data)
        if op.mask is None:
            return data
        old = self.memories.get(op.memory, {}).get(self.value(op.address), 0)
        size = width_of(op.data) // width_of(op.mask)
        lanes = 0
        for lane in range(width_of(op.mask)):
            if self.value(op.mask) >> lane & 1:
                lanes |= ((1 << size) - 1) << lane * size
        return data & lanes | old & ~lanes

    def value(self, x: SSAValue) -> int:
        """A value in this cycle."""
        if x not in self.values:
            assert isinstance(x.owner, Operation)
            self.values[x] = self._compute(x.owner, x) & ((1 << width_of(x)) - 1)
        return self.values[x]

    def _compute(self, op: Operation, x: SSAValue) -> int:
        match op:
            case rtl.RegOp() | rtl.ReadOp():
                return self.state.get(x, 0)
            case rtl.DelayOp():
                return self.lines.get(x, [0])[-1]
            case rtl.WireOp():
                driver = next(u.operation for u in x.uses if isinstance(u.operation, rtl.AssignOp) and u.index == 0)
                return self.value(driver.operands[1])
            case hw.InstanceOp():
                results = self.children[op].outputs([self.value(v) for v in op.inputs])
                return next(v for v, result in zip(results, op.results, strict=True) if result == x)
            case hw.ConstantOp():
                return op.value.value.data
            case rtl.RomOp():
                address = self.value(op.address)
                return op.table[address] if address < len(op.table) else 0
            case rtl.MulOp():
                lhs = self.signed(op.lhs) if op.lhs_signed is not None else self.value(op.lhs)
                rhs = self.signed(op.rhs) if op.rhs_signed is not None else self.value(op.rhs)
                return lhs * rhs
            case _:
                return self._comb(op)

    def signed(self, x: SSAValue) -> int:
        """A value read as two's complement."""
        value = self.value(x)
        return value - (1 << width_of(x)) if value >> (width_of(x) - 1) else value

    def _comb(self, op: Operation) -> int:
        v, s = self.value, self.signed
        xs = list(op.operands)
        match op:
            case comb.AddOp():
                return sum(v(x) for x in xs)
            case comb.MulOp():
                product = 1
                for x in xs:
                    product *= v(x)
                return product
            case comb.AndOp() | comb.OrOp() | comb.XorOp():
                result = v(xs[0])
                for x in xs[1:]:
                    by_kind = {comb.AndOp: result & v(x), comb.OrOp: result | v(x), comb.XorOp: result ^ v(x)}
                    result = by_kind[type(op)]
                return result
            case comb.SubOp():
                return v(xs[0]) - v(xs[1])
            case comb.DivUOp():
                return v(xs[0]) // v(xs[1])
            case comb.ModUOp():
                return v(xs[0]) % v(xs[1])
            case comb.DivSOp() | comb.ModSOp():
                quotient = abs(s(xs[0])) // abs(s(xs[1]))
                quotient = -quotient if (s(xs[0]) < 0) != (s(xs[1]) < 0) else quotient
                return quotient if isinstance(op, comb.DivSOp) else s(xs[0]) - quotient * s(xs[1])
            case comb.ShlOp():
                return v(xs[0]) << min(v(xs[1]), 1000)
            case comb.ShrUOp():
                return v(xs[0]) >> min(v(xs[1]), 1000)
            case comb.ShrSOp():
                return s(xs[0]) >> min(v(xs[1]), 1000)
            case comb.ICmpOp():
                name = comb.ICMP_COMPARISON_OPERATIONS[op.predicate.value.data]
                read = s if name.startswith("s") else v
                left, right = read(xs[0]), read(xs[1])
                order = {"eq": left == right, "ne": left != right, "lt": left < right, "le": left <= right}
                order |= {"gt": left > right, "ge": left >= right}
                return int(order[name if name in ("eq", "ne") else name[1:]])
            case comb.ParityOp():
                return v(xs[0]).bit_count() & 1
            case comb.ExtractOp():
                return v(xs[0]) >> op.low_bit.value.data
            case comb.ConcatOp():
                result = 0
                for x in xs:
                    result = result << width_of(x) | v(x)
                return result
            case comb.ReplicateOp():
                width = width_of(xs[0])
                return sum(v(xs[0]) << width * n for n in range(width_of(op.result) // width))
            case comb.MuxOp():
                return v(xs[1]) if v(xs[0]) else v(xs[2])
            case _:
                raise NotImplementedError(op.name)

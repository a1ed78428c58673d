"""Hosts by name: a machine of the spec or of the library that has one, `native` or `generic`."""

from __future__ import annotations

from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from hapir.diagnostics import did_you_mean, fail, some
from hapir.dialects.machine import MachineOp
from hapir.dialects.machine_devices import HostOp
from hapir.library import library_files
from hapir.lowering.kernel.host import GENERIC, NATIVE
from hapir.spec.build import build_machine
from hapir.spec.check import Spec, load_spec_text


def machine_of_host(spec: Spec, name: str) -> MachineOp | None:
    """The machine that a host's name means, in the spec or else in the library; None for `native` and `generic`.

    Raises HapirError (HAP0728) where there is no such machine, or where it has no host.
    """
    if name in (NATIVE, GENERIC):
        return None
    if name in spec.machines:
        machine = build_machine(spec, name)
    elif name in library_files("machines"):
        machine = _of_library(name)
    else:
        own = [machine for machine in spec.machines if _has_host(build_machine(spec, machine))]
        others = [machine for machine in library_files("machines") if _has_host(_of_library(machine))]
        known = list(dict.fromkeys([NATIVE, GENERIC, *own, *others]))
        help = did_you_mean(name, known) or f"for example {some(known)}"
        fail("HAP0728", f"there is no machine `{name}`", help=help)
    if not _has_host(machine):
        at = spec.machines[name].name.span if name in spec.machines else None
        help = "add `host cpu { ... }`, or name another: `native` is this computer"
        fail("HAP0728", f"the machine `{name}` has no host", at=at, help=help)
    return machine


def _of_library(name: str) -> MachineOp:
    text = f'hap 1\nimport "machines/{name}.hap"\n'
    return build_machine(load_spec_text(text, "host.hap", Path()), name)


def _has_host(machine: MachineOp) -> bool:
    return any(isinstance(op, HostOp) for op in machine.body.block.ops)


def add_host(module: ModuleOp, machine: MachineOp) -> None:
    """Put a host's machine beside the others, unless one of its name is there."""
    names = {op.sym_name.data for op in module.body.block.ops if isinstance(op, MachineOp)}
    if machine.sym_name.data not in names:
        module.body.block.add_op(machine.clone())

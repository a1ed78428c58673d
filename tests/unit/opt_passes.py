"""Passes that go wrong in one way each, for the tests of `hapir opt`, and small IR to run them on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType, UnknownLoc, f32
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException, ShrinkException, VerifyException

from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp, ReluOp
from hapir.registry import HAPIR, universe

IR = """\
nn.network @tiny (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %y = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return %y : tensor<1x4xf32>
}
"""


def _relus(module: ModuleOp) -> Iterator[Operation]:
    return (op for op in module.walk() if isinstance(op, ReluOp))


@dataclass(frozen=True)
class CrashPass(ModulePass):
    """Fails as a bug does."""

    name = "crash_in_test"
    word: str = "none"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise RuntimeError(f"unexpected {self.word}")


@dataclass(frozen=True)
class DataCrashPass(ModulePass):
    """Tells what it can reach, as a crash: data, weights, the original."""

    name = "data_crash_in_test"
    data: str
    needs: str = "c1.weight"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        context = hapir_context(ctx)
        assert context.original is not None
        same = context.original.is_structurally_equivalent(op)
        with np.load(context.data_file(self.data)) as data:
            shapes = sorted((name, data[name].shape) for name in data.files)
        shown = context.weights[self.needs].shape
        raise RuntimeError(f"{shapes} {shown} {sorted(context.original_weights)} {same}")


@dataclass(frozen=True)
class RefusePass(ModulePass):
    """Fails as xDSL's passes do."""

    name = "refuse_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise PassFailedException("not with me")


@dataclass(frozen=True)
class RefuseOpPass(ModulePass):
    """Fails at each relu, in xDSL's way (the note of the exception holds the whole module) or in hapir's."""

    name = "refuse_op_in_test"
    placed: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for relu in _relus(op):
            if self.placed:
                fail("HAP0502", "no relu for me", at=relu)
            relu.emit_error("not this one", VerifyException("not this one"))


@dataclass(frozen=True)
class CorruptPass(ModulePass):
    """Leaves a relu that does not verify, with its place or without."""

    name = "corrupt_in_test"
    lost: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for relu in _relus(op):
            relu.results[0]._type = TensorType(f32, [9])  # pyright: ignore[reportPrivateUsage]  # on purpose wrong
            if self.lost:
                relu.location = UnknownLoc()


@dataclass(frozen=True)
class MendPass(ModulePass):
    """Mends what `corrupt_in_test` broke."""

    name = "mend_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for relu in _relus(op):
            relu.results[0]._type = relu.operands[0].type  # pyright: ignore[reportPrivateUsage]  # as it broke


@dataclass(frozen=True)
class TouchPass(ModulePass):
    """Adds a weight to the store and leaves the IR as it is; fails where the weight is there already."""

    name = "touch_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        if "touched" in weights:
            fail("HAP0506", "touched already")
        weights.put("touched", np.ones(1))


@dataclass(frozen=True)
class RenamePass(ModulePass):
    """Changes the IR: renames the networks."""

    name = "rename_in_test"
    to: str = "renamed"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in op.body.block.ops:
            if isinstance(network, NetworkOp):
                network.properties["sym_name"] = type(network.sym_name)(self.to)


@dataclass(frozen=True)
class ShrinkPass(ModulePass):
    """Asks for a smaller input that does the same."""

    name = "shrink_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise ShrinkException


@dataclass(frozen=True)
class InterruptPass(ModulePass):
    """Is interrupted."""

    name = "interrupt_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise KeyboardInterrupt


PASSES: tuple[type[ModulePass], ...] = (
    *(CrashPass, DataCrashPass, RefusePass, RefuseOpPass, CorruptPass, MendPass, TouchPass, RenamePass, ShrinkPass),
    InterruptPass,
)


@contextmanager
def registered() -> Generator[None]:
    """The passes of this file are in the registry for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for made in PASSES:
            assert made.name not in HAPIR.all_passes
            patch.setitem(universe().all_passes, made.name, lambda made=made: made)
        yield

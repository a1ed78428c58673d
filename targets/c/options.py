"""What can be chosen about the C of a network, beside what its schedule says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class COptions:
    """`dispatch`: for x86, several paths in one program, chosen by the processor that it runs on.

    `weights_file`: the weights of layers come from a file that the program reads or maps, not from its own constants.
    """

    dispatch: bool = False
    weights_file: bool = False


DEFAULT = COptions()

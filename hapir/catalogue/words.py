"""Entries of words that are no classes: number formats, units of quantities, codes, commands."""

from __future__ import annotations

import argparse
from fractions import Fraction
from typing import cast

from hapir.catalogue.entry import Entry, Option
from hapir.cli.command import Command
from hapir.cli.main import COMMANDS, load_command
from hapir.codes import CODES
from hapir.spec.units import EXAMPLES, UNITS, Dimension


def quantity_entries() -> list[Entry]:
    """The closed list of units that a quantity may have."""
    return [
        Entry(
            "unit of quantities",
            name,
            _worth(name, unit.dimension, unit.factor),
            example=_quantity(name, unit.dimension),
        )
        for name, unit in UNITS.items()
    ]


def _worth(name: str, dimension: Dimension, factor: Fraction) -> str:
    """What a unit measures, and how much one of it is in the unit that hapir computes with."""
    own = next((other for other, unit in UNITS.items() if unit.dimension == dimension and unit.factor == 1), None)
    amount = f"{factor}" if factor.denominator == 1 else f"1/{factor.denominator}"
    if name == own:
        return f"{dimension}; hapir computes in it"
    return f"{dimension}; 1 {name} is {amount}{f' {own}' if own else ''}"


def _quantity(name: str, dimension: Dimension) -> str:
    """A quantity of this unit, with the number of the dimension's example."""
    return f"{EXAMPLES[dimension].split()[0]} {name}"


def format_entries() -> list[Entry]:
    """The number formats that every spec can name."""
    place = "hapir.spec.options"
    return [
        Entry("number format", "f32", "IEEE 754 single precision.", example="x: f32[1, 4]", defined=place),
        Entry(
            "number format",
            "i<N>",
            "Integers of N bits, 1 to 64, in two's complement.",
            example="x: i8[1, 4]",
            defined=place,
        ),
        Entry("number format", "u<N>", "Integers of N bits, 1 to 64, from 0.", example="x: u8[1, 4]", defined=place),
    ]


def code_entries() -> list[Entry]:
    """The codes of diagnostics."""
    return [Entry("code", number, code.title, code.text, example=code.example) for number, code in CODES.items()]


def command_entries() -> list[Entry]:
    """hapir's commands, with their arguments as options."""
    return [command_entry(load_command(name)) for name in COMMANDS]


def command_entry(command: Command) -> Entry:
    """A command; its arguments are read from its parser."""
    parser = argparse.ArgumentParser() if command.parser is None else command.parser()
    command.add_arguments(parser)
    actions = parser._actions  # pyright: ignore[reportPrivateUsage]  # argparse lists them nowhere else
    options = tuple(_argument(a) for a in actions if a.dest != "help" and a.help != argparse.SUPPRESS)
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    place = command.execute.__module__
    return Entry("command", command.name, summary, options=options, example=command.example, defined=place)


def _argument(action: argparse.Action) -> Option:
    """An argument of a command: a switch, a choice, or what its metavar calls it."""
    choices = cast("tuple[str, ...] | None", action.choices)
    spellings = action.option_strings or [_metavar(action)]
    name = next((s for s in spellings if s.startswith("--")), spellings[0])
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        takes = "a switch"
    elif choices is not None:
        takes = f"one of {', '.join(choices)}"
    else:
        takes = _metavar(action)
    several = action.nargs in ("+", "*")
    optional = not action.required or action.nargs in ("?", "*")
    given = (
        "on"
        if action.default is True
        else action.default
        if action.default and action.default != argparse.SUPPRESS
        else "none"
    )
    return Option(
        name, f"{takes}, one or more" if several else takes, str(given) if optional else None, action.help or ""
    )


def _metavar(action: argparse.Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()

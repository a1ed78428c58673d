"""Entries of the registry as entries of the catalogue; one whose plug-in is broken is listed with what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from hapir.catalogue.entry import Entry
from hapir.diagnostics import HapirError

T = TypeVar("T")


def loaded(kind: str, getters: Mapping[str, Callable[[], T]], make: Callable[[str, T], Entry]) -> Iterator[Entry]:
    """An entry per getter, made of what it gives."""
    for name, get in getters.items():
        try:
            entry = get()
        except HapirError as error:  # the getter of a plug-in (see `hapir.plugins`)
            yield Entry(kind, name, error.diagnostics[0].message)
        else:
            yield make(name, entry)

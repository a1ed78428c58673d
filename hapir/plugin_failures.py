"""Plug-ins that fail while they work: a diagnostic that names the entry, not a crash of hapir."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from xdsl.ir import Operation
from xdsl.utils.exceptions import DiagnosticException

from hapir.diagnostics import HapirError, Span, fail
from hapir.plugins import KINDS


@contextmanager
def at_work(field: str, name: str, at: Operation | Span | None = None) -> Generator[None]:
    """What an entry of a plug-in raises in this block becomes HapirError (HAP0234), caused by the exception.

    Diagnostics pass through, and so does everything that hapir's own entries raise: that is a bug of hapir's.
    """
    try:
        yield
    except (HapirError, DiagnosticException):
        raise
    except Exception as error:
        from hapir.registry import HAPIR, universe

        if name in getattr(HAPIR, field) or name not in getattr(universe(), field):
            raise
        try:
            fail(
                "HAP0234",
                f"the {KINDS[field]} `{name}` of a plug-in failed: {type(error).__name__}: {_first_line(error)}",
                at=at,
                help="set HAPIR_DEBUG=1 to see where, and report it to the authors of the plug-in",
            )
        except HapirError as failure:
            raise failure from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else "no message"

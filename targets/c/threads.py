"""Loops on several threads: a macro before a loop, which is nothing where the compiler knows no OpenMP."""

from __future__ import annotations

MACRO = """\
/* With OpenMP the loops of large layers run on several threads, and give the same bits. */
#ifdef _OPENMP
#ifndef HAPIR_THREAD_MACS
#define HAPIR_THREAD_MACS 4000000 /* multiply-accumulates that are worth waking threads */
#endif
#define HAPIR__PRAGMA(text) _Pragma(#text)
#define HAPIR__EXPANDED(text) HAPIR__PRAGMA(text)
#define HAPIR__THREADS(macs) HAPIR__EXPANDED(omp parallel for schedule(static) if (macs >= HAPIR_THREAD_MACS))
#else
#define HAPIR__THREADS(macs)
#endif
"""
"""For the source, before everything that uses it."""


def threads(macs: int) -> str:
    """What stands on the line before a loop whose turns several threads may share."""
    return f"HAPIR__THREADS({macs})"

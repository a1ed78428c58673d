"""Many specs at once: each compiled into a folder of its own, by several processes, a bad one failing alone.

The folder of a spec is named by its file; of equal names the later ones get a number (`net`, `net.2`).
`summary.json` is written last, in one step.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

from hapir.diagnostics import Diagnostic, HapirError, fail
from hapir.files import write_atomically, writing
from hapir.report.table import table

if TYPE_CHECKING:
    from hapir.targets.c.options import COptions

SUMMARY = "summary.json"
_OURS = "hapir_bulk"
"""The key by which hapir knows its own summaries."""


@dataclass(frozen=True)
class Choice:
    """What is the same for all specs: targets (None: all that take the network), schedule, recipe, reading outside.

    `c` are options of the C, `host` the host that it is made for, `autotune` has its kernels measured.
    """

    targets: tuple[str, ...] | None = None
    schedule: str | None = None
    recipe: str | None = None
    allow_outside: bool = False
    c: COptions | None = None
    host: str | None = None
    autotune: bool = False


@dataclass(frozen=True)
class BulkEntry:
    """What became of one spec: its folder below the output, its files and warnings about it, or why it failed."""

    spec: str
    folder: str
    files: int
    diagnostics: tuple[Diagnostic, ...] = ()
    error: str | None = None
    """One line about a failure that is hapir's own."""

    @property
    def failed(self) -> bool:
        """Whether nothing was written."""
        return any(d.severity == "error" for d in self.diagnostics) or self.error is not None

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict."""
        return {
            "spec": self.spec,
            "folder": None if self.failed else self.folder,
            "status": "failed" if self.failed else "good",
            "files": self.files,
            "diagnostics": [d.to_json() for d in self.diagnostics],
            "error": self.error,
        }


@dataclass(frozen=True)
class BulkReport:
    """What became of all specs, in the order given."""

    entries: tuple[BulkEntry, ...]

    @property
    def failed(self) -> int:
        """How many failed."""
        return sum(entry.failed for entry in self.entries)

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict; the same bytes from run to run."""
        return {
            _OURS: 1,
            "good": len(self.entries) - self.failed,
            "failed": self.failed,
            "specs": [entry.to_json() for entry in self.entries],
        }

    def to_text(self) -> str:
        """A table of what failed, and a line of sums."""
        bad = [(e.spec, e.error or e.diagnostics[0].message) for e in self.entries if e.failed]
        sums = f"{len(self.entries) - self.failed} good, {self.failed} failed"
        return f"{table(('failed spec', 'why'), bad)}\n{sums}" if bad else sums


def compile_many(
    specs: Sequence[Path],
    folder: Path,
    choice: Choice,
    *,
    jobs: int = 1,
    done: Callable[[], None] | None = None,
) -> BulkReport:
    """Compile each spec into a folder below `folder`, `jobs` at a time; `done` is called after each.

    An interrupt lets the specs in work finish, starts no more, and writes no summary; what is there is whole. Raises
    HapirError (HAP0881) where `folder` holds a summary that is not hapir's, (HAP0884) where it cannot be written.
    """
    _check_place(folder)
    names = folder_names(specs)
    tasks = [(spec, folder / name, choice) for spec, name in zip(specs, names, strict=True)]
    tick = done or (lambda: None)
    entries = _in_process(tasks, tick) if jobs == 1 else _in_pool(tasks, min(jobs, len(tasks)), tick)
    report = BulkReport(tuple(entries))
    write_atomically(folder / SUMMARY, (json.dumps(report.to_json(), indent=2) + "\n").encode())
    return report


def folder_names(specs: Sequence[Path]) -> list[str]:
    """A folder name per spec: its stem, with a number where an earlier one has it; equal in any letter case counts."""
    used: set[str] = {SUMMARY}
    names: list[str] = []
    for spec in specs:
        name, n = spec.stem or "spec", 1
        while name.lower() in used:
            n += 1
            name = f"{spec.stem}.{n}"
        used.add(name.lower())
        names.append(name)
    return names


def _check_place(folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    summary = folder / SUMMARY
    if summary.exists():
        try:
            ours = _OURS in json.loads(summary.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            ours = False
        if not ours:
            fail("HAP0881", f"`{summary}` exists and hapir did not write it", help="name another folder")


Task = tuple[Path, Path, Choice]


def compile_one(task: Task) -> BulkEntry:
    """One spec, whatever happens; a worker's whole work."""
    from hapir.driver import load

    spec, folder, choice = task
    try:
        scheduled = load(spec, allow_outside=choice.allow_outside).schedule(choice.schedule, recipe=choice.recipe)
        if choice.autotune:
            scheduled = scheduled.autotuned(choice.host)
        elif choice.host is not None:
            scheduled = scheduled.on_host(choice.host)
        report = scheduled.compile(folder, choice.targets, c=choice.c)
    except HapirError as error:
        return BulkEntry(spec.as_posix(), folder.name, 0, error.diagnostics)
    except Exception as error:  # one spec that hits a bug must not cost the others
        return BulkEntry(spec.as_posix(), folder.name, 0, (), f"internal error: {type(error).__name__}: {error}")
    return BulkEntry(spec.as_posix(), folder.name, len(report.files), scheduled.warnings)


def _in_process(tasks: Sequence[Task], done: Callable[[], None]) -> list[BulkEntry]:
    entries: list[BulkEntry] = []
    for task in tasks:
        entries.append(compile_one(task))
        done()
    return entries


def _ignore_interrupts() -> None:
    """A worker finishes what it has begun: the main process decides what happens after an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


@contextmanager
def interrupts_held() -> Generator[None]:
    """Interrupts wait while workers start: one that is met before it ignores them would print a traceback."""
    resource_tracker.ensure_running()  # the first worker would start it, which lets interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_pool(jobs: int) -> ProcessPoolExecutor:
    """Processes that ignore interrupts, which must be held while tasks are handed to them."""
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_ignore_interrupts)


def _in_pool(tasks: Sequence[Task], jobs: int, done: Callable[[], None]) -> list[BulkEntry]:
    """All tasks over several processes; those that were under way when a worker died are tried again, each alone."""
    results: dict[int, BulkEntry] = {}
    with worker_pool(jobs) as pool:
        with interrupts_held():
            futures: dict[Future[BulkEntry], int] = {pool.submit(compile_one, task): i for i, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                try:
                    results[futures[future]] = future.result()
                except BrokenProcessPool:
                    continue
                done()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    for index, task in enumerate(tasks):
        if index not in results:
            results[index] = _alone(task)
            done()
    return [results[index] for index in range(len(tasks))]


def _alone(task: Task) -> BulkEntry:
    """One task in a process of its own, which may die (out of memory, a crash in a library)."""
    with worker_pool(1) as pool:
        try:
            with interrupts_held():
                future = pool.submit(compile_one, task)
            return future.result()
        except BrokenProcessPool:
            return BulkEntry(task[0].as_posix(), task[1].name, 0, (), "the process that compiled it died")

"""What is allowed but odd: warnings about a spec that is otherwise good.

Each has a code that `hapir explain` tells about and that a comment silences (`silence.py`). Only the files of the
project are looked at, and only what can be said from the text alone; what fits a machine and what keeps it busy is told
by the warnings of `lowering/schedule`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import cast

from hapir.diagnostics import LIBRARY, Findings, Span, some
from hapir.laws import law_of
from hapir.registry import universe
from hapir.selectors import selected
from hapir.spec import syntax
from hapir.spec.expand import PlainStep
from hapir.spec.recipes import SELECTOR
from hapir.spec.values import word

LINTS = ("HAP0220", "HAP0250", "HAP0252", "HAP0253", "HAP0254")
"""The warnings that a check always looks for."""


def lint_files(files: Sequence[syntax.File], findings: Findings) -> None:
    """Look for constants, parameters and blocks that nothing uses, and for names that mislead."""
    called = {node.function.text for file in files for node in walk(file) if isinstance(node, syntax.Call)}
    for file in files:
        if file.name.startswith(LIBRARY):
            continue
        read = read_names(file.constants)
        for definition in file.definitions:
            inside = read_names(definition)
            read |= inside
            _unread("parameter", [p.name for p in _constants(definition) if p.name], inside, findings)
            _unread("constant", [n.name for n in walk(definition) if isinstance(n, syntax.Let)], inside, findings)
            _names(definition, findings)
        _unread("constant", [c.name for c in file.constants], read, findings)
        if any(isinstance(d, syntax.Network | syntax.Schedule) for d in file.definitions):
            # a file without them is a collection of blocks for others
            blocks = [d.name for d in file.definitions if isinstance(d, syntax.LayerBlock)]
            _unread("block", blocks, called, findings)


def lint_imports(files: Sequence[syntax.File], targets: Mapping[Span, str], findings: Findings) -> None:
    """Look for imports that bring nothing of use; `targets` tells the file that each import stands for."""
    by_name = {file.name: file for file in files}
    for file in files:
        if file.name.startswith(LIBRARY) or not file.definitions:
            continue  # a file of imports alone collects for others
        used = _referred(file)
        for statement in file.imports:
            target = by_name.get(targets.get(statement.span, ""))
            if target is None:
                continue
            brought = [d for f in _reached(target, by_name, targets) for d in f.definitions]
            if not any(isinstance(d, syntax.Schedule) or d.name.text in used for d in brought):
                findings.warning("HAP0252", "nothing of this import is used", at=statement.span, help="remove it")


def _reached(
    file: syntax.File, by_name: Mapping[str, syntax.File], targets: Mapping[Span, str]
) -> Iterable[syntax.File]:
    """A file and all that it imports."""
    reached = {file.name: file}
    pending = [file]
    while pending:
        for statement in pending.pop().imports:
            found = by_name.get(targets.get(statement.span, ""))
            if found is not None and found.name not in reached:
                reached[found.name] = found
                pending.append(found)
    return reached.values()


def _referred(file: syntax.File) -> set[str]:
    """The names of definitions that a file may mean: what it calls, and what it puts to use."""
    names: set[str] = set()
    for node in walk(file.definitions):
        if isinstance(node, syntax.Call):
            names.add(node.function.text)
        elif isinstance(node, syntax.Instance):
            names.add(node.text)
    return names


def lint_recipe(
    plain: Sequence[PlainStep], weighted: Collection[str], schedule: syntax.Schedule, findings: Findings
) -> None:
    """Look for layers with weights that no step of a recipe selects, where steps that change them select by glob."""
    if schedule.recipe is None or schedule.name.span.file.startswith(LIBRARY) or findings.failed:
        return
    patterns = [p for step in plain for p in _patterns(step)]
    if not patterns or not weighted:
        return
    chosen = set(selected(weighted, patterns))
    left = [layer for layer in weighted if layer not in chosen]
    if left and len(left) < len(weighted):
        findings.warning(
            "HAP0253",
            f"no step of the recipe `{schedule.recipe.text}` selects {some([f'`{layer}`' for layer in left], 4)}",
            at=schedule.recipe.span,
            help="select them as well, or say that they are meant to stay as they are: `// hapir: allow HAP0253`",
        )


def _patterns(step: PlainStep) -> list[str]:
    """The globs by which a step selects layers: all where it takes the network as a whole, none where it is exact."""
    pass_class = universe().all_passes[step.call.function.text]()
    if law_of(pass_class) == "exact":
        return []
    given = next((o.value for o in step.call.options if o.name.text == SELECTOR), None)
    if given is None:
        return ["*"]
    values = given.elements if isinstance(given, syntax.Sequence) else (given,)
    return [v.value if isinstance(v, syntax.Text) else word(v) or "" for v in values]


def _constants(definition: syntax.Definition) -> list[syntax.Parameter]:
    """The parameters of a definition that are no inputs."""
    return [] if isinstance(definition, syntax.Schedule) else [p for p in definition.parameters if p.type is None]


def _names(definition: syntax.Definition, findings: Findings) -> None:
    if isinstance(definition, syntax.Recipe) and definition.name.text in universe().all_passes:
        findings.warning(
            "HAP0254",
            f"the recipe `{definition.name.text}` has the name of a pass",
            at=definition.name.span,
            help="a step of that name means the pass; rename the recipe",
        )


def _unread(what: str, names: Iterable[syntax.Name], read: Collection[str], findings: Findings) -> None:
    for name in names:
        if name.text not in read:
            message = f"the {what} `{name.text}` is never used"
            findings.warning("HAP0250", message, at=name.span, help="remove it, or use it")


_DEFINING = frozenset({"name", "key", "function", "kind", "variable", "member", "span", "origin"})
"""Fields of the syntax that hold no value that is read."""


def read_names(node: object) -> set[str]:
    """The names that stand for values anywhere in a node."""
    return {found.text for found in walk(node, _DEFINING) if isinstance(found, syntax.Name)}


def walk(node: object, without: Collection[str] = ()) -> Iterator[object]:
    """A node of the syntax and all nodes below it, in no particular order; fields named in `without` are left out."""
    stack = [node]
    while stack:
        found = stack.pop()
        if isinstance(found, tuple):
            stack.extend(cast("tuple[object, ...]", found))
        elif type(found).__module__ == syntax.__name__:
            yield found
            stack.extend(value for name, value in vars(found).items() if name not in without)

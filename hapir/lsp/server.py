"""The protocol: requests of an editor answered by the modules beside this one. Needs the extra `lsp`.

Analyses run in a thread, so that the server answers while a large spec is checked. Diagnostics follow a pause in
typing. Whatever a feature cannot tell is an empty answer; a name that cannot be changed is an error with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from hapir.diagnostics import Diagnostic, HapirError, Span
from hapir.lsp.actions import fixes
from hapir.lsp.completion import Item, complete
from hapir.lsp.hover import hover
from hapir.lsp.navigation import Location, Refused, definition, locate, renamable
from hapir.lsp.outline import Node, outline
from hapir.lsp.project import Project
from hapir.lsp.signatures import signature
from hapir.lsp.text import from_client, to_client
from hapir.spec.analysis import Analysis
from hapir.spec.format import format_text
from hapir.versions import versions

PAUSE_SECONDS = 0.2
"""How long the typing must pause before a text is checked."""
_UNUSED = ("HAP0220", "HAP0250")
"""Warnings about what nothing uses, which editors show faintly."""
T = TypeVar("T")

_SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}
_ITEMS = {
    "keyword": types.CompletionItemKind.Keyword,
    "function": types.CompletionItemKind.Function,
    "class": types.CompletionItemKind.Class,
    "property": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.EnumMember,
    "variable": types.CompletionItemKind.Variable,
    "unit": types.CompletionItemKind.Unit,
    "file": types.CompletionItemKind.File,
    "text": types.CompletionItemKind.Text,
}
_SYMBOLS = {
    "network": types.SymbolKind.Class,
    "block": types.SymbolKind.Function,
    "machine": types.SymbolKind.Struct,
    "recipe": types.SymbolKind.Method,
    "schedule": types.SymbolKind.Event,
    "constant": types.SymbolKind.Constant,
    "input": types.SymbolKind.Interface,
    "parameter": types.SymbolKind.TypeParameter,
    "layer": types.SymbolKind.Variable,
    "repeat": types.SymbolKind.Array,
    "part": types.SymbolKind.Module,
    "setting": types.SymbolKind.Property,
    "step": types.SymbolKind.Operator,
    "file": types.SymbolKind.File,
}


class HapirServer(LanguageServer):
    """The server with its project."""

    def __init__(self) -> None:
        # texts come as a whole: pygls parts lines at more characters than .hap does, so pieces could go astray
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # pygls leaves its last arguments open
            "hapir", versions()["hapir"], text_document_sync_kind=types.TextDocumentSyncKind.Full
        )
        self.project = Project()
        self._checks: dict[str, asyncio.Task[None]] = {}

    # --- places -------------------------------------------------------------------------------------------------------

    @property
    def encoding(self) -> str:
        """The units that the editor counts columns in."""
        kind = self.workspace.position_encoding
        return "utf-16" if kind is None else str(getattr(kind, "value", kind))

    def lines(self, path: Path) -> list[str]:
        """The lines of a file."""
        return self.project.text(path).split("\n")

    def place(self, path: Path, position: types.Position) -> tuple[int, int]:
        """A position of the editor as a line and a column."""
        return from_client(self.lines(path), position.line, position.character, self.encoding)

    def range(self, at: Location | Span, path: Path) -> types.Range:
        """A stretch of a file for the editor."""
        lines = self.lines(path)
        start = to_client(lines, at.line, at.column, self.encoding)
        end = to_client(lines, at.end_line, at.end_column, self.encoding)
        return types.Range(types.Position(*start), types.Position(*max(start, end)))

    def location(self, at: Location) -> types.Location:
        """A place in any file for the editor."""
        return types.Location(uri_of(at.path), self.range(at, at.path))

    # --- diagnostics --------------------------------------------------------------------------------------------------

    def check_soon(self) -> None:
        """Check all open files after a pause: a change of one may be felt in all that import it."""
        for uri, document in list(self.workspace.text_documents.items()):
            task = self._checks.pop(uri, None)
            if task is not None:
                task.cancel()
            self._checks[uri] = asyncio.ensure_future(self._check(uri, document.version))

    async def _check(self, uri: str, version: int | None) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        path = path_of(uri)
        analysis = (await asyncio.to_thread(self.project.view, path))[0]
        found = [self.diagnostic(d, analysis, path) for d in analysis.diagnostics]
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, version))

    def diagnostic(self, diagnostic: Diagnostic, analysis: Analysis, path: Path) -> types.Diagnostic:
        related = [
            types.DiagnosticRelatedInformation(self.location(at), label.message)
            for label in diagnostic.labels
            if (at := locate(analysis, label.span)) is not None
        ]
        span, message = diagnostic.span, diagnostic.message
        if span is not None and span.file != analysis.name:
            # an error of an imported file is shown where that file is brought in
            at = locate(analysis, span)
            if at is not None:
                related.insert(0, types.DiagnosticRelatedInformation(self.location(at), message))
            message = f"{span.file}: {message}"
            span = _import_of(span.file, analysis)
        range = self.range(span or Span(analysis.name, 1, 1, 1, 2), path)
        return types.Diagnostic(
            range,
            f"{message}\nhelp: {diagnostic.help}" if diagnostic.help else message,
            severity=_SEVERITIES[diagnostic.severity],
            code=diagnostic.code,
            source="hapir",
            tags=[types.DiagnosticTag.Unnecessary] if diagnostic.code in _UNUSED else None,
            related_information=related or None,
        )


def path_of(uri: str) -> Path:
    """The file of an address; a text that is no file yet stands in the current folder."""
    path = uris.to_fs_path(uri)
    return (
        Path(path) if path and uri.startswith("file:") else Path.cwd() / f"{uri.rpartition(':')[2] or 'untitled'}.hap"
    )


def uri_of(path: Path) -> str:
    """The address of a file."""
    return uris.from_fs_path(str(path)) or path.as_uri()


def _import_of(file: str, analysis: Analysis) -> Span:
    """The import statement of the root file that leads to another file."""
    leads: dict[str, list[str]] = {}
    for span, target in analysis.imports.items():
        leads.setdefault(span.file, []).append(target)

    def reaches(start: str, seen: frozenset[str]) -> bool:
        return start == file or any(reaches(t, seen | {start}) for t in leads.get(start, ()) if t not in seen)

    for span, target in analysis.imports.items():
        if span.file == analysis.name and reaches(target, frozenset()):
            return span
    return Span(analysis.name, 1, 1, 1, 2)


server = HapirServer()


# --- documents ------------------------------------------------------------------------------------------------------


@server.feature(types.INITIALIZE)
def initialize(ls: HapirServer, params: types.InitializeParams) -> None:
    """Take over the editor's settings: `allowOutside` lets specs import files outside their folder."""
    options: object = params.initialization_options
    if isinstance(options, dict):
        ls.project.allow_outside = bool(cast("dict[str, object]", options).get("allowOutside"))


@server.feature(types.INITIALIZED)
def initialized(ls: HapirServer, params: types.InitializedParams) -> None:
    """Note the folders that the editor works in."""
    ls.project.folders = [path_of(folder.uri) for folder in ls.workspace.folders.values()]
    if not ls.project.folders and ls.workspace.root_uri:
        ls.project.folders = [path_of(ls.workspace.root_uri)]


@server.feature(types.TEXT_DOCUMENT_DID_OPEN)
async def opened(ls: HapirServer, params: types.DidOpenTextDocumentParams) -> None:
    """A file was opened."""
    ls.project.put(path_of(params.text_document.uri), params.text_document.text)
    ls.check_soon()


@server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
async def changed(ls: HapirServer, params: types.DidChangeTextDocumentParams) -> None:
    """A text was changed."""
    uri = params.text_document.uri
    ls.project.put(path_of(uri), ls.workspace.get_text_document(uri).source)
    ls.check_soon()


@server.feature(types.TEXT_DOCUMENT_DID_SAVE)
async def saved(ls: HapirServer, params: types.DidSaveTextDocumentParams) -> None:
    """A file was saved."""
    ls.project.changed_on_disk()
    ls.check_soon()


@server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
async def changed_on_disk(ls: HapirServer, params: types.DidChangeWatchedFilesParams) -> None:
    """Files were changed by somebody else."""
    ls.project.changed_on_disk()
    ls.check_soon()


@server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
async def closed(ls: HapirServer, params: types.DidCloseTextDocumentParams) -> None:
    """A file was closed: what was said about it is taken back."""
    uri = params.text_document.uri
    ls.project.close(path_of(uri))
    ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))
    ls.check_soon()


# --- features -------------------------------------------------------------------------------------------------------


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


@server.feature(types.TEXT_DOCUMENT_HOVER)
async def hovered(ls: HapirServer, params: types.HoverParams) -> types.Hover | None:
    """What there is to say about a word."""
    path = path_of(params.text_document.uri)

    def work() -> types.Hover | None:
        found = hover(*ls.project.readable_view(path), *ls.place(path, params.position))
        if found is None:
            return None
        content = types.MarkupContent(types.MarkupKind.Markdown, found.text)
        return types.Hover(content, ls.range(found.span, path))

    return await _in_thread(work)


@server.feature(
    types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", '"', "=", "(", ",", " ", "/"])
)
async def completed(ls: HapirServer, params: types.CompletionParams) -> list[types.CompletionItem]:
    """What may be written here."""
    path = path_of(params.text_document.uri)

    def work() -> list[types.CompletionItem]:
        found = complete(ls.project.place(path, *ls.place(path, params.position)))
        return [_item(item, number) for number, item in enumerate(found)]

    return await _in_thread(work)


def _item(item: Item, number: int) -> types.CompletionItem:
    documentation = types.MarkupContent(types.MarkupKind.Markdown, item.documentation) if item.documentation else None
    return types.CompletionItem(
        item.label,
        kind=_ITEMS[item.sort],
        detail=item.detail or None,
        documentation=documentation,
        insert_text=item.insert,
        sort_text=f"{number:04d}",
    )


@server.feature(types.TEXT_DOCUMENT_SIGNATURE_HELP, types.SignatureHelpOptions(trigger_characters=["(", ","]))
async def signature_helped(ls: HapirServer, params: types.SignatureHelpParams) -> types.SignatureHelp | None:
    """What the call that is being written takes."""
    path = path_of(params.text_document.uri)

    def work() -> types.SignatureHelp | None:
        found = signature(ls.project.place(path, *ls.place(path, params.position)))
        if found is None:
            return None
        parameters = [types.ParameterInformation(label, said or None) for label, said in found.parameters]
        documentation = types.MarkupContent(types.MarkupKind.Markdown, found.documentation)
        shown = types.SignatureInformation(found.label, documentation, parameters, found.active)
        return types.SignatureHelp([shown], 0, found.active)

    return await _in_thread(work)


@server.feature(types.TEXT_DOCUMENT_DEFINITION)
async def defined(ls: HapirServer, params: types.DefinitionParams) -> types.Location | None:
    """Where a name is defined."""
    path = path_of(params.text_document.uri)

    def work() -> types.Location | None:
        found = definition(ls.project.readable_view(path), *ls.place(path, params.position))
        return None if found is None else ls.location(found)

    return await _in_thread(work)


@server.feature(types.TEXT_DOCUMENT_REFERENCES)
async def referred(ls: HapirServer, params: types.ReferenceParams) -> list[types.Location]:
    """All uses of a name."""
    path = path_of(params.text_document.uri)

    def work() -> list[types.Location]:
        declaration = params.context.include_declaration
        found = ls.project.references(path, *ls.place(path, params.position), declaration=declaration)
        return [ls.location(at) for at in found]

    return await _in_thread(work)


@server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
async def rename_prepared(ls: HapirServer, params: types.PrepareRenameParams) -> types.Range:
    """The name that would be changed."""
    path = path_of(params.text_document.uri)

    def work() -> types.Range:
        return ls.range(renamable(ls.project.view(path), *ls.place(path, params.position)).span, path)

    return await _refusing(_in_thread(work))


@server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
async def renamed(ls: HapirServer, params: types.RenameParams) -> types.WorkspaceEdit:
    """The edits that change a name everywhere."""
    path = path_of(params.text_document.uri)

    def work() -> types.WorkspaceEdit:
        changes: dict[str, list[types.TextEdit]] = {}
        for edit in ls.project.rename(path, *ls.place(path, params.position), params.new_name):
            at = ls.range(edit.at, edit.at.path)
            changes.setdefault(uri_of(edit.at.path), []).append(types.TextEdit(at, edit.text))
        return types.WorkspaceEdit(changes=changes)

    return await _refusing(_in_thread(work))


async def _refusing(answer: Coroutine[Any, Any, T]) -> T:
    """A refusal is an error that the editor shows."""
    try:
        return await answer
    except Refused as refused:
        raise JsonRpcInvalidParams(str(refused)) from refused


@server.feature(types.TEXT_DOCUMENT_FORMATTING)
async def formatted(ls: HapirServer, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    """The whole text in the layout of `hapir fmt`; nothing where it has syntax errors."""
    path = path_of(params.text_document.uri)

    def work() -> list[types.TextEdit] | None:
        text = ls.project.text(path)
        try:
            new = format_text(text, path.name)
        except HapirError:
            return None  # the diagnostics say what is wrong
        if new == text:
            return []
        lines = ls.lines(path)
        end = types.Position(*to_client(lines, len(lines), len(lines[-1]) + 1, ls.encoding))
        return [types.TextEdit(types.Range(types.Position(0, 0), end), new)]

    return await _in_thread(work)


@server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
async def outlined(ls: HapirServer, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    """The definitions of a file and what they hold."""
    path = path_of(params.text_document.uri)

    def symbol(node: Node) -> types.DocumentSymbol:
        children = [symbol(child) for child in node.children]
        whole, name = ls.range(node.span, path), ls.range(node.name_span, path)
        return types.DocumentSymbol(
            node.name or "?", _SYMBOLS[node.sort], whole, name, detail=node.detail, children=children
        )

    def work() -> list[types.DocumentSymbol]:
        root = ls.project.view(path)[0].root
        return [] if root is None else [symbol(node) for node in outline(root)]

    return await _in_thread(work)


@server.feature(
    types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix])
)
async def acted(ls: HapirServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    """Quick fixes for the diagnostics of a stretch."""
    uri = params.text_document.uri
    path = path_of(uri)

    def work() -> list[types.CodeAction]:
        found: list[types.CodeAction] = []
        analysis = ls.project.view(path)[0]
        for diagnostic in analysis.diagnostics:
            if diagnostic.span is None or diagnostic.span.file != analysis.name:
                continue
            at = ls.range(diagnostic.span, path)
            if at.start > params.range.end or at.end < params.range.start:
                continue
            shown = ls.diagnostic(diagnostic, analysis, path)
            for fix in fixes(diagnostic, ls.project.text(path)):
                edit = types.WorkspaceEdit(changes={uri: [types.TextEdit(ls.range(fix.at, path), fix.text)]})
                action = types.CodeAction(fix.title, types.CodeActionKind.QuickFix, [shown], fix.sure, edit=edit)
                found.append(action)
        return found

    return await _in_thread(work)


def features() -> list[str]:
    """The requests and notifications of the protocol that the server answers itself."""
    return sorted(cast("dict[str, object]", cast(Any, server.protocol).fm.features))


def serve() -> None:
    """Answer an editor over stdin and stdout until it says goodbye."""
    server.start_io()

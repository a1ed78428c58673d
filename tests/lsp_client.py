"""A language client over stdio, and texts with a cursor in them, for tests of the language server."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 60
CURSOR = "|"


def cursor(text: str, mark: str = CURSOR) -> tuple[str, int, int]:
    """A text without its mark, and the mark's line and column from 1."""
    before, found, after = text.partition(mark)
    assert found
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


def position(text: str, word: str, after: int = 0, nth: int = 0) -> dict[str, int]:
    """The position of the nth occurrence of a word in protocol units of UTF-16, `after` characters into it."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(word, start + 1)
    before = text[: start + after]
    line = before[before.rfind("\n") + 1 :]
    return {"line": before.count("\n"), "character": len(line.encode("utf-16-le")) // 2}


class Client:
    """A server process and the conversation with it."""

    def __init__(self, folder: Path, *, encodings: tuple[str, ...] = ("utf-16",)):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hapir", "lsp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._kept: list[dict[str, Any]] = []
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()
        self.folder = folder
        self.capabilities = self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": folder.as_uri(),
                "workspaceFolders": [{"uri": folder.as_uri(), "name": "tests"}],
                "capabilities": {
                    "general": {"positionEncodings": list(encodings)},
                    "textDocument": {"rename": {"prepareSupport": True}},
                },
            },
        )["capabilities"]
        self.notify("initialized", {})

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                self._messages.put({"method": "the end"})
                return
            self._messages.put(json.loads(stream.read(length)))

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode("utf-8")
        stream = self._process.stdin
        assert stream is not None
        stream.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        stream.flush()

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def ask(self, method: str, params: Any) -> dict[str, Any]:
        """Send a request; the whole answer, a result or an error."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        number = self._number
        return self._wait(lambda message: message.get("id") == number and "method" not in message)

    def request(self, method: str, params: Any) -> Any:
        """Send a request; its result."""
        answer = self.ask(method, params)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for kept in self._kept:
            if wanted(kept):
                self._kept.remove(kept)
                return kept
        while True:
            message = self._messages.get(timeout=PATIENCE_SECONDS)
            assert message.get("method") != "the end", "the server is gone"
            if wanted(message):
                return message
            self._kept.append(message)

    # --- documents ----------------------------------------------------------------------------------------------------

    def uri(self, name: str) -> str:
        """The address of a file in the folder."""
        return (self.folder / name).as_uri()

    def open(self, name: str, text: str) -> list[dict[str, Any]]:
        """Open a document; its diagnostics."""
        document = {"uri": self.uri(name), "languageId": "hap", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return self.diagnostics(name, 1)

    def change(self, name: str, text: str, version: int) -> list[dict[str, Any]]:
        """Change a document; its diagnostics."""
        document = {"uri": self.uri(name), "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})
        return self.diagnostics(name, version)

    def diagnostics(self, name: str, version: int) -> list[dict[str, Any]]:
        """The diagnostics of a version of a document."""

        def wanted(message: dict[str, Any]) -> bool:
            params = message.get("params", {})
            return (
                message.get("method") == "textDocument/publishDiagnostics"
                and params["uri"] == self.uri(name)
                and params.get("version") == version
            )

        return self._wait(wanted)["params"]["diagnostics"]

    def at(self, method: str, name: str, where: dict[str, int], **more: Any) -> Any:
        """A request about a position."""
        document = {"uri": self.uri(name)}
        return self.request(f"textDocument/{method}", {"textDocument": document, "position": where, **more})

    def shut_down(self) -> tuple[int, str]:
        """Say goodbye; the exit code and what the server wrote to stderr."""
        self.request("shutdown", None)
        self.notify("exit", None)
        code = self._process.wait(PATIENCE_SECONDS)
        assert self._process.stderr is not None
        return code, self._process.stderr.read().decode("utf-8")

    def kill(self) -> None:
        """End the process, however far the conversation is."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

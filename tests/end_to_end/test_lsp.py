"""The language server as an editor meets it: a process, a conversation over stdio, columns in units of UTF-16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hapir.spec.format import format_text
from tests.lsp_client import Client, position

MACHINE = """\
hap 1

// A small array.
machine small(rows = 4) {
    technology = cmos45
    clock = 200 MHz
    memory dram { bandwidth = 8 B/cycle, latency = 20 cycle }
    memory activations { size = 16 KiB, holds = [input, output], double_buffered = true }
    memory weights { size = 2 KiB, holds = weight }
    array pe[rows, 4] {
        unit mac { multiply = u8 * i8, accumulate = i32, multiplier = exact }
        memory accumulator { size = 256 word, holds = psum }
        memory weight_reg { size = 1 word, holds = weight, double_buffered = true }
    }
    unit requantize { multiplier = u16, rounding = half_up }
}
"""
NET = """\
hap 1
import "parts/small.hap"

let width = 4 * 2
let unused_path = "𝄞𝄞 ü"; let doubled = width * 2

network tiny(image: f32[1, 2, 6, 6]) -> f32[1, doubled, 6, 6] {
    c1 = conv2d(image, channels = width, kernel = 3, padding = 1)
    c2 = conv2d(c1, channels = doubled, kernel = 1)
    return relu(c2)
}

schedule on_small of tiny on small(rows = 8) { dataflow = weight_stationary }
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("project").resolve()
    (folder / "parts").mkdir()
    (folder / "parts" / "small.hap").write_text(MACHINE, encoding="utf-8")
    started = Client(folder)
    started.open("net.hap", NET)
    yield started
    started.kill()


def test_the_server_says_what_it_can(client: Client):
    offered = client.capabilities
    assert offered["positionEncoding"] == "utf-16"
    for what in ("hover", "definition", "references", "documentFormatting", "documentSymbol", "codeAction"):
        assert offered[f"{what}Provider"]
    assert offered["renameProvider"] == {"prepareProvider": True}
    assert "(" in offered["signatureHelpProvider"]["triggerCharacters"]
    assert offered["completionProvider"]["triggerCharacters"]


def test_diagnostics_follow_the_text(client: Client):
    broken = NET.replace("conv2d(c1", "conv2(c1")
    (found,) = client.open("edited.hap", broken)
    assert (found["code"], found["severity"], found["source"]) == ("HAP0201", 1, "hapir")
    assert found["message"] == "there is no layer `conv2`\nhelp: did you mean `conv2d`?"
    assert found["range"]["start"] == position(broken, "conv2(")
    assert found["range"]["end"] == position(broken, "conv2(", after=5)
    (found,) = client.change("edited.hap", NET.replace("= 3, padding", "= , padding"), 2)
    assert found["code"] == "HAP0101"
    assert [d["code"] for d in client.change("edited.hap", NET, 3)] == ["HAP0250"]
    # an unsaved change of an imported file is felt in its importer
    client.open("parts/small.hap", MACHINE.replace("rows = 4", "width = 4"))
    codes = [d["code"] for d in client.diagnostics("edited.hap", 3)]
    assert "HAP0204" in codes
    client.notify("textDocument/didClose", {"textDocument": {"uri": client.uri("parts/small.hap")}})
    assert [d["code"] for d in client.diagnostics("edited.hap", 3)] == ["HAP0250"]
    client.notify("textDocument/didClose", {"textDocument": {"uri": client.uri("edited.hap")}})


def test_columns_are_counted_in_units_of_the_protocol(client: Client):
    where = position(NET, "width * 2")
    line = NET.split("\n")[where["line"]]
    assert where["character"] == line.index("width * 2") + 2  # two characters beyond the basic plane
    found = client.at("hover", "net.hap", where)
    assert found["range"] == {"start": where, "end": {**where, "character": where["character"] + len("width")}}
    assert "= `8`" in found["contents"]["value"]
    uses = client.at("references", "net.hap", where, context={"includeDeclaration": True})
    assert [u["range"]["start"] for u in uses] == [
        position(NET, "width"),
        where,
        position(NET, "channels = width", after=len("channels = ")),
    ]


def test_hover_tells_shapes_and_work(client: Client):
    text = client.at("hover", "net.hap", position(NET, "c1 = "))["contents"]["value"]
    assert "`f32[1, 2, 6, 6]` -> `f32[1, 8, 6, 6]`" in text
    assert "152 parameters, 5,184 MACs" in text
    assert "1,152 bytes of results, 608 bytes of parameters" in text


def test_definitions_lead_into_other_files(client: Client):
    found = client.at("definition", "net.hap", position(NET, "small(rows", after=2))
    assert found["uri"] == client.uri("parts/small.hap")
    assert found["range"]["start"] == position(MACHINE, "small(")
    found = client.at("definition", "net.hap", position(NET, "rows = 8"))
    assert found["range"]["start"] == position(MACHINE, "rows = 4")
    found = client.at("definition", "net.hap", position(NET, "parts/small"))
    assert (found["uri"], found["range"]["start"]["line"]) == (client.uri("parts/small.hap"), 0)
    assert client.at("definition", "net.hap", position(NET, "conv2d")) is None


def test_completion(client: Client):
    labels = [item["label"] for item in client.at("completion", "net.hap", position(NET, "channels = width"))]
    assert {"image", "kernel", "padding", "conv2d", "relu"} <= set(labels)
    values = client.at("completion", "net.hap", position(NET, "weight_stationary"))
    assert [item["label"] for item in values] == ["weight_stationary"]
    assert "Weights stay" in values[0]["documentation"]["value"]


def test_signatures(client: Client):
    found = client.at("signatureHelp", "net.hap", position(NET, "kernel = 1", after=len("kernel = ")))
    (shown,) = found["signatures"]
    assert shown["label"].startswith("conv2d(x, channels, kernel, stride = 1")
    assert shown["parameters"][found["activeParameter"]]["label"] == "kernel"


def test_rename_reaches_the_other_files(client: Client):
    where = position(MACHINE, "small(", after=1)
    client.open("parts/small.hap", MACHINE)
    edits = client.at("rename", "parts/small.hap", where, newName="little")["changes"]
    assert set(edits) == {client.uri("parts/small.hap"), client.uri("net.hap")}
    (edit,) = edits[client.uri("net.hap")]
    assert edit == {
        "range": {
            "start": position(NET, "small(rows"),
            "end": position(NET, "small(rows", after=5),
        },
        "newText": "little",
    }
    prepared = client.at("prepareRename", "parts/small.hap", where)
    assert prepared["start"] == position(MACHINE, "small(")
    client.notify("textDocument/didClose", {"textDocument": {"uri": client.uri("parts/small.hap")}})


def test_what_cannot_be_renamed_is_refused_with_a_reason(client: Client):
    document = {"uri": client.uri("net.hap")}
    for word, new, reason in (
        ("conv2d", "conv3d", "`conv2d` is a word of hapir"),
        ("c1 = ", "c2", "with the name `c2` there would be an error in net.hap: `c2` is defined twice"),
        ("c1 = ", "1c", "`1c` is not a name"),
        ("width", "network", "`network` is a word of the language"),
    ):
        params = {"textDocument": document, "position": position(NET, word), "newName": new}
        answer = client.ask("textDocument/rename", params)
        assert reason in answer["error"]["message"]


def test_formatting(client: Client):
    options = {"tabSize": 4, "insertSpaces": True}
    (edit,) = client.request(
        "textDocument/formatting", {"textDocument": {"uri": client.uri("net.hap")}, "options": options}
    )
    assert edit["newText"] == format_text(NET, "net.hap")
    assert edit["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": NET.count("\n"), "character": 0}}


def test_symbols_are_a_tree(client: Client):
    found = client.request("textDocument/documentSymbol", {"textDocument": {"uri": client.uri("net.hap")}})
    assert [s["name"] for s in found] == ["parts/small.hap", "width", "unused_path", "doubled", "tiny", "on_small"]
    network = found[4]
    assert [s["name"] for s in network["children"]] == ["image", "c1", "c2"]
    assert network["selectionRange"]["start"] == position(NET, "tiny(")


def test_quick_fixes(client: Client):
    broken = NET.replace("conv2d(c1", "conv2(c1")
    client.open("fixed.hap", broken)
    where = position(broken, "conv2(")
    found = client.request(
        "textDocument/codeAction",
        {
            "textDocument": {"uri": client.uri("fixed.hap")},
            "range": {"start": where, "end": where},
            "context": {"diagnostics": []},
        },
    )
    (action,) = found
    assert action["title"] == "write `conv2d`"
    (edit,) = action["edit"]["changes"][client.uri("fixed.hap")]
    assert edit["newText"] == "conv2d"
    assert edit["range"]["start"] == where
    client.notify("textDocument/didClose", {"textDocument": {"uri": client.uri("fixed.hap")}})


def test_a_conversation_ends_well(tmp_path: Path):
    other = Client(tmp_path.resolve(), encodings=("utf-8", "utf-16"))
    assert other.capabilities["positionEncoding"] in ("utf-8", "utf-16")
    found = other.open("x.hap", "hap 1\nlet é = 1\n")
    assert [d["code"] for d in found] == ["HAP0102"]
    code, said = other.shut_down()
    other.kill()
    assert (code, said) == (0, "")

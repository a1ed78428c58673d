"""Codes of networks written as text, and of weights taken over by name: HAP0970 to HAP0979."""

from __future__ import annotations

from hapir.codes.code import Code

IMPORT_TEXT = {
    "HAP0970": Code(
        "no statement for a layer",
        "A network is written as `.hap` text, and one of its ops is not what any statement of the language makes: it "
        "multiplies by something that is no parameter, say, or its options go beyond those of the statement.",
        "hapir import model.onnx -o model.hap",
    ),
    "HAP0971": Code(
        "a network that cannot be written",
        "A network that is written as `.hap` text is read again and compared. It would not read back as the same "
        "network, so nothing is written. A zero with a minus is such a case: the language has only one zero.",
        "hapir import model.onnx -o model.hap",
    ),
}

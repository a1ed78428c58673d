"""Codes of networks that go to other tools: HAP0920, HAP098x."""

from hapir.codes.code import Code

EXPORTS = {
    "HAP0920": Code(
        "no name of a model",
        "The file that `hapir export` writes ends in `.onnx`, as tools that read it expect; so it never replaces a "
        "spec, its weights or data.",
        "hapir export digits.hap -o digits.hap",
    ),
    "HAP0980": Code(
        "an op that cannot be exported",
        "The network holds an op that ONNX has no operator for in this style and opset. Each such op is named with its "
        "layer, the reason, and a way out.",
        "hapir export digits_approximate.hap -o digits.onnx",
    ),
    "HAP0981": Code(
        "unknown opset",
        "An opset is a version of ONNX's operators. The exporter writes those from 13 on that the installed `onnx` "
        "knows; 17 is the default because common runtimes read it.",
        "hapir export digits.hap -o digits.onnx --opset 9",
    ),
    "HAP0982": Code(
        "the batch cannot be left open",
        "`--any-batch` writes axis 0 as a symbol. That is possible where every op treats the items of the batch one by "
        "one; this network has one that does not.",
        "hapir export net.hap -o net.onnx --any-batch",
    ),
    "HAP0983": Code(
        "integers in the style `float`",
        "The style `float` writes the operators of ONNX on floats. A network that a recipe has quantized computes on "
        "integers, which the styles `qdq`, `qonnx` and `integer` say; `--recipe none` exports the network before it.",
        "hapir export digits.hap -o digits.onnx --style float",
    ),
}

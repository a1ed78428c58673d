"""Codes of imported ONNX models: HAP09xx."""

from hapir.codes.code import Code

ONNX = {
    "HAP0900": Code(
        "not an ONNX model",
        "The file is no protobuf, is cut off, or holds no graph.",
        "hapir import notes.txt -o net.hap",
    ),
    "HAP0901": Code(
        "model cannot be read",
        "The file does not exist, is a folder, may not be read, or has 2 GiB and more, which protobuf cannot read. "
        "Large models keep their tensors in files beside the model (external data).",
        "hapir import no_such_model.onnx -o net.hap",
    ),
    "HAP0902": Code(
        "version of a model",
        "Models of opset 7 up to the newest that the installed onnx knows can be imported, of IR versions up to its "
        "own.",
        'opset_import { domain: "" version: 3 }',
    ),
    "HAP0903": Code(
        "external data outside of the model's folder",
        "A tensor may lie in a file beside the model or below its folder, given by a relative path. Other places, also "
        "such that a link leads to, are never read. A model that is given as bytes has no folder.",
        'external_data { key: "location" value: "../../secret" }',
    ),
    "HAP0904": Code(
        "external data missing",
        "The file with a tensor's data is not there, is no regular file, or is too short for the offset, the length "
        "and the shape that the model gives.",
        "a model.onnx that was copied without its model.onnx.data",
    ),
    "HAP0905": Code(
        "tensor and data differ",
        "The shape and the type of a tensor say how many values it has, and the file holds more or fewer, or values "
        "outside of the type.",
        "dims: 2 dims: 3 data_type: 1 float_data: 1.0",
    ),
    "HAP0906": Code(
        "absurd size",
        "A tensor has a negative dimension, more than 16 of them, or more elements than the generated code can index; "
        "or all constants together, or the nodes, are more than hapir takes. Nothing was allocated for it.",
        "dims: 1099511627776",
    ),
    "HAP0907": Code(
        "cycle",
        "Nodes of the model wait for each other's results, so none of them can be computed.",
        'node { op_type: "Relu" input: "a" output: "a" }',
    ),
    "HAP0908": Code(
        "value made twice",
        "Every value of a model has one name and one place that makes it: an input, an initializer, or an output of a "
        "node.",
        'two nodes with output: "y"',
    ),
    "HAP0909": Code(
        "value made by nobody",
        "A node or an output of the model reads a value that is no input, no initializer and no output of a node.",
        'node { op_type: "Relu" input: "x_typo" output: "y" }',
    ),
    "HAP0910": Code(
        "type that cannot be imported",
        "Tensors of float32, of integers of 2 to 64 bits, and of bool can be imported; float16, bfloat16 and float64 "
        "become float32. Strings, complex numbers, 8-bit floats, sequences, maps and optional values cannot.",
        "an input of tensor(string)",
    ),
    "HAP0911": Code(
        "open dimension",
        "A network has fixed sizes. The batch becomes 1 or what `--batch` says; every other dimension that the model "
        "leaves open needs a size.",
        "hapir import model.onnx -o net.hap    // for `image: float32[1, 3, height, width]`",
    ),
    "HAP0912": Code(
        "size that fits nothing",
        "`--dim` names a dimension that no input leaves open, or `--batch` one that the model has fixed, or the size "
        "is not a positive number.",
        "hapir import model.onnx -o net.hap --dim hight=224",
    ),
    "HAP0913": Code(
        "malformed node",
        "A node has not the inputs, outputs and attributes that its operator has in the opset of the model.",
        'node { op_type: "Conv" input: "x" output: "y" }',
    ),
    "HAP0914": Code(
        "functions of a model",
        "The functions that a model defines are put in the place of their calls. These call themselves, become too "
        "many nodes, or do not fit their calls.",
        'a function `f` with a node of op_type "f"',
    ),
    "HAP0915": Code(
        "other floats become float32",
        "Networks compute in float32. Tensors of float16, bfloat16 and float64 become float32 when they are imported, "
        "and casts between these types do nothing, so results differ by what the model would have rounded.",
        "a model that was exported with half precision",
    ),
    "HAP0916": Code(
        "input without a shape",
        "The model does not even say how many axes an input has.",
        "an input whose type has no shape",
    ),
    "HAP0917": Code(
        "open batch",
        "The model leaves its batch open and nothing was said about it, so the network takes one item at a time. It "
        "can still be run on many.",
        "hapir import model.onnx -o net.hap    // for `image: float32[N, 3, 224, 224]`",
    ),
    "HAP0918": Code(
        "imported files exist",
        "`hapir import` writes a spec and its weights. One of the two exists, and what was written into it would be "
        "lost; `--force` replaces both.",
        "hapir import model.onnx -o model.hap && hapir import model.onnx -o model.hap",
    ),
    "HAP0919": Code(
        "name of an imported spec",
        "The spec that `hapir import` writes ends in .hap; the weights lie beside it under the same name.",
        "hapir import model.onnx -o model.txt",
    ),
    "HAP0921": Code(
        "an option of `hapir import` that would be ignored",
        "With `--into`, a file of weights is imported into a spec that is there; without it, a model. Some options say "
        "nothing of the one or the other.",
        "hapir import model.onnx -o model.hap --map 'layer1.* = l1.*'",
    ),
}

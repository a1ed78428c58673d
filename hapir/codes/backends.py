"""HAP093x: hapir as a backend of ONNX."""

from hapir.codes.code import Code

BACKENDS: dict[str, Code] = {
    "HAP0930": Code(
        "unknown device",
        "`hapir.backend` runs models on `reference` (numpy; `CPU` is the same) and on `c` (the generated C).",
        'hapir.backend.prepare(model, "gpu")',
    ),
    "HAP0931": Code(
        "model of other inputs",
        "`hapir run --compare` gives the data to the network and to the ONNX model, input by input in order, so both "
        "must have as many.",
        "hapir run net.hap --input d.npz --compare other.onnx",
    ),
    "HAP0932": Code(
        "onnxruntime fails",
        "`hapir run --compare` runs the model by onnxruntime, which refuses the model or the data; the message is its "
        "own. A model of one batch size takes no other: `--limit` takes as many images.",
        "hapir run net.hap --input d.npz --limit 1 --compare model.onnx",
    ),
    "HAP0933": Code(
        "layers of a target",
        "`hapir run --compare` looks at what each layer gives. Only the reference shows this: C and Verilog reuse the "
        "memory of a layer, and fuse layers.",
        "hapir run net.hap --on c --input d.npz --compare model.onnx",
    ),
}

"""HAP093x: hapir as a backend of ONNX."""

from hapir.codes.code import Code

BACKENDS: dict[str, Code] = {
    "HAP0930": Code(
        "unknown device",
        "`hapir.backend` runs models on `reference` (numpy; `CPU` is the same) and on `c` (the generated C).",
        'hapir.backend.prepare(model, "gpu")',
    ),
}

"""Networks as ONNX and QONNX models: `export` says what each style promises."""

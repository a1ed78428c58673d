"""ONNX models that tests build with `onnx.helper`: no file is downloaded, no weight is trained."""

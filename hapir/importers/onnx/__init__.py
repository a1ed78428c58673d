"""ONNX models as networks of the IR.

Bytes become a checked `ModelProto` (`load`), that a `Graph` of plain data (`graph`, `model`), that a `nn.network` and
its weights (`convert`), one handler per operator (`nodes`, the files `ops_*`).
"""

"""The tools that are compared, each behind the cheapest call that its documentation has. One thread each.

A peer is made of a model file and an input, and then called with nothing: no copies or lookups that its users could
avoid. This module imports a tool only when it is used, and nothing of hapir: a worker may run in another environment.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Loaded:
    """A model ready to run: many calls in a row, and the result of the last one as the tool lays it out."""

    burst: Callable[[int], None]
    result: Callable[[], Array]
    keep: tuple[object, ...] = ()
    """What must live as long as the model."""


def _calls(run: Callable[[], object]) -> Callable[[int], None]:
    def burst(count: int) -> None:
        for _ in range(count):
            run()

    return burst


def load_onnxruntime(model: Path, x: Array) -> Loaded:
    """A session with bound input and output."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(model), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    given = ort.OrtValue.ortvalue_from_numpy(x)
    end = session.get_outputs()[0]
    taken = ort.OrtValue.ortvalue_from_numpy(np.empty(end.shape, np.uint8 if "uint8" in end.type else np.float32))
    binding.bind_ortvalue_input(session.get_inputs()[0].name, given)
    binding.bind_ortvalue_output(end.name, taken)
    return Loaded(_calls(lambda: session.run_with_iobinding(binding)), taken.numpy, (given, x))


def load_openvino(model: Path, x: Array, precision: str = "f32") -> Loaded:
    """An inference request that shares the input's memory."""
    import openvino as ov

    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    core = ov.Core()
    compiled = core.compile_model(core.read_model(str(model)), "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(x, shared_memory=True))

    # one synchronous call; start_async() and wait() cost 10 us more
    run = _calls(lambda: request.infer(share_outputs=True))
    return Loaded(run, lambda: np.array(request.get_output_tensor().data), (core, compiled, x))


def load_litert(model: Path, x: Array) -> Loaded:
    """An interpreter with XNNPACK, its default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    at = interpreter.get_output_details()[0]["index"]
    return Loaded(_calls(interpreter.invoke), lambda: interpreter.get_tensor(at), (x,))


def load_ncnn(model: Path, x: Array) -> Loaded:
    """An extractor per call, as ncnn wants it; all in f32."""
    import ncnn

    net: Any = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(model)) or net.load_model(str(model.with_suffix(".bin"))):
        raise RuntimeError("ncnn does not read the model")
    given = ncnn.Mat(x).clone()

    def run() -> Any:
        extractor = net.create_extractor()
        extractor.input("in0", given)
        return extractor.extract("out0")[1]

    return Loaded(_calls(run), lambda: np.array(run()), (net, given, x))


def load_openblas(model: Path, x: Array) -> Loaded:
    """numpy's product with OpenBLAS: rows of a dense layer, then its bias."""
    parameters = np.load(model)
    w, b = parameters["w"].T, parameters["b"]
    y = np.empty((x.shape[0], w.shape[1]), np.float32)

    def run() -> None:
        np.matmul(x, w, out=y)
        np.add(y, b, out=y)

    return Loaded(_calls(run), lambda: y, (x, w, b))


def load_c(model: Path, x: Array) -> Loaded:
    """Generated C behind the loop of `c_libraries`."""
    library = ctypes.CDLL(str(model))
    library.bench_result.restype = ctypes.c_void_p
    library.bench_prepare(ctypes.c_void_p(x.ctypes.data))
    library.bench_burst.argtypes = [ctypes.c_long]
    kind = {ord("f"): np.float32, ord("u"): np.uint8, ord("i"): np.int8, ord("w"): np.int32}[library.bench_type()]
    size = int(library.bench_bytes())

    def result() -> Array:
        return np.frombuffer(ctypes.string_at(library.bench_result(), size), kind)

    return Loaded(library.bench_burst, result, (library, x))


def load_deepsparse(model: Path, x: Array) -> Loaded:
    """The compiled model; its `run` takes a list of arrays."""
    from deepsparse import compile_model

    engine: Any = compile_model(str(model), batch_size=x.shape[0], num_cores=1)
    last: list[Array] = []

    def burst(count: int) -> None:
        for _ in range(count):
            last[:] = engine.run([x])

    return Loaded(burst, lambda: last[0], (engine, x))


LOADERS: dict[str, Callable[[Path, Array], Loaded]] = {
    "c": load_c,
    "onnxruntime": load_onnxruntime,
    "openvino": load_openvino,
    "openvino bf16": partial(load_openvino, precision="bf16"),
    "litert": load_litert,
    "ncnn": load_ncnn,
    "openblas": load_openblas,
    "deepsparse": load_deepsparse,
}

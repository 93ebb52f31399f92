"""The least that puts a net behind HTTP: ONNX Runtime and starlette, as a tutorial would write it.

    python -m benchmarks.contestants.bare_server MODEL.onnx PORT

No limits, no checks, no batches, one image a request. It has the server, the event loop and the parser of HTTP that
`firstlight serve` has.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from onnx import TensorProto, checker, helper, numpy_helper, save
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import firstlight as fl


def application(model: str) -> Starlette:
    """POST /v1/predict with the bytes of a grey image."""
    session = onnxruntime.InferenceSession(model)

    async def predict(request: Request) -> JSONResponse:
        image = Image.open(io.BytesIO(await request.body())).convert("L")
        [rows] = session.run(["probabilities"], {"images": np.asarray(image)[None, :, :, None]})
        row = rows[0]
        return JSONResponse({"class": int(row.argmax()), "probabilities": row.tolist()})

    return Starlette(routes=[Route("/v1/predict", predict, methods=["POST"])])


def write_lenet5(run: fl.Run, path: Path) -> None:
    """A run of lenet5 as ONNX: uint8 (N, H, W, 1) in, probabilities out."""
    vector = run.session.vector()
    weights = {
        entry.name: vector[entry.start : entry.stop].reshape(entry.parameter.shape)
        for entry in run.task.model.layout.entries
    }
    height, width, channels = run.task.preparation.input_shape
    scale, shift = (array.astype(np.float32) for array in (run.task.preparation.scale, run.task.preparation.shift))
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["x0"]),
    ]
    last = "x0"

    def then(kind: str, *more: str, **attributes: Any) -> None:
        nonlocal last
        nodes.append(helper.make_node(kind, [last, *more], [f"x{len(nodes)}"], **attributes))
        last = f"x{len(nodes) - 1}"

    for name in ("conv1", "conv2", "conv3"):
        then("Conv", f"{name}.W", f"{name}.b", pads=[2, 2, 2, 2] if name == "conv1" else [0, 0, 0, 0])
        then("Relu")
        if name != "conv3":
            then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    then("Flatten")
    then("Gemm", "dense1.W", "dense1.b", transB=1)
    then("Relu")
    then("Gemm", "head.W", "head.b", transB=1)
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    arrays = {**weights, "scale": scale, "shift": shift}
    graph = helper.make_graph(
        nodes,
        "lenet5",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", height, width, channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(run.class_names)])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, str(path))


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1]),
        port=int(sys.argv[2]),
        loop="asyncio",
        http="h11",
        log_level="error",
        access_log=False,
    )

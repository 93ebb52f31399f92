"""The least that puts a net behind HTTP: ONNX Runtime and starlette, as a tutorial would write it.

    python -m benchmarks.contestants.bare_server MODEL.onnx PORT

No limits, no checks, no batches, one image a request. It has the server, the event loop and the parser of HTTP that
`firstlight serve` has.
"""

from __future__ import annotations

import io
import sys

import numpy as np
import onnxruntime
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def application(model: str) -> Starlette:
    """POST /v1/predict with the bytes of a grey image."""
    session = onnxruntime.InferenceSession(model)

    async def predict(request: Request) -> JSONResponse:
        image = Image.open(io.BytesIO(await request.body())).convert("L")
        [rows] = session.run(["probabilities"], {"images": np.asarray(image)[None, :, :, None]})
        row = rows[0]
        return JSONResponse({"class": int(row.argmax()), "probabilities": row.tolist()})

    return Starlette(routes=[Route("/v1/predict", predict, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1]),
        port=int(sys.argv[2]),
        loop="asyncio",
        http="h11",
        log_level="error",
        access_log=False,
    )

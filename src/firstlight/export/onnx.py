"""ONNX: one file that ONNX Runtime runs, and most programs that take models of others."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from firstlight import processes
from firstlight.errors import ExportError, NoRuntimeError
from firstlight.export.exportable import Exportable
from firstlight.export.gate import FORMATS, Files, Format
from firstlight.export.onnx_nodes import ANSWERS, CLASS, IMAGES, STRANGE, Nodes
from firstlight.text import encodable
from firstlight.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, IR_VERSION = 20, 9  # the first with Gelu, of ONNX 1.15, and the version of the files that came with it
LARGEST = 2**31 - 2**22  # bytes of weights: a protobuf ends at 2 GiB, and the rest of the graph takes a little
MEMORY = 2**26  # bytes, about, of the values of one batch while the gate runs
STRANGE_ABOUT = "above 1, the image is of none of the classes"
INSTALL = 'pip install "firstlight[export]"'


@FORMATS.register
class Onnx(Format):
    """`images` uint8 (N, H, W, C) in, `probabilities` float32 (N, K) and `class` int64 (N,) out, for any N.

    Where the model tells images of none of the classes, `strangeness` float32 (N,) too: of these it is above 1.
    """

    name: ClassVar[str] = "onnx"
    title: ClassVar[str] = "ONNX"
    about: ClassVar[str] = "one file for ONNX Runtime and other programs that read ONNX"
    suffix: ClassVar[str] = ".onnx"

    def write(self, model: Exportable, claim: str) -> Files:
        try:
            import onnx
        except ImportError as error:
            raise ExportError(f"The ONNX export needs the package onnx ({error}). Install it: {INSTALL}.") from None
        written = model_proto(model, claim)
        onnx.checker.check_model(written, full_check=True)
        return {f"{model.name}{self.suffix}": written.SerializeToString(deterministic=True)}

    def runtime(self) -> str:
        try:
            import onnxruntime
        except ImportError as error:
            reason = f"ONNX Runtime is not installed ({error}). Install it and export again: {INSTALL}."
            raise NoRuntimeError(reason) from None
        return f"ONNX Runtime {onnxruntime.__version__}"

    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = processes.cores()
        options.log_severity_level = 3  # errors
        [file] = folder.glob(f"*{self.suffix}")
        batch = max(1, min(256, MEMORY // (4 * sum(math.prod(one.shape) for one in model.operations))))
        answers = np.empty((len(pixels), model.columns), np.float32)
        outputs = [CLASS, ANSWERS, *([STRANGE] if model.tells_strangeness else [])]
        classes = np.empty(len(pixels), np.int64)
        try:
            # By its bytes: the name of a run need not be one that UTF-8 can write.
            session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
            for start in range(0, len(pixels), batch):
                part = slice(start, start + batch)
                classes[part], *found = session.run(outputs, {IMAGES: pixels[part]})
                answers[part] = np.column_stack(found)
        except Exception as error:  # those of ONNX Runtime have no base of their own
            raise ExportError(f"ONNX Runtime cannot run the export, so nothing was written: {error}") from error
        apart = classes != answers[:, : len(model.class_names)].argmax(axis=1)
        if apart.any():
            raise ExportError(
                f"The ONNX export is inconsistent, so nothing was written: for {int(apart.sum()):,} of "
                f"{len(apart):,} images `{CLASS}` is not that of the largest of the `{ANSWERS}`."
            )
        return answers


def model_proto(model: Exportable, claim: str) -> ModelProto:
    """The model as ONNX has it. Raises ExportError where it is too large."""
    from onnx import TensorProto, helper

    size = sum(array.nbytes for array in model.arrays.values())
    if size > LARGEST:
        raise ExportError(
            f"The weights of {model.name} are {size / 2**30:.2f} GiB, and an ONNX file holds less than 2 GiB. Make the "
            "model's layers smaller, or choose another format."
        )
    nodes = Nodes(model)
    info, shape, classes = helper.make_tensor_value_info, model.input_shape, len(model.class_names)
    title = f"{model.title} for images of {' × '.join(map(str, shape))} and {classes} classes"
    written = helper.make_model(
        helper.make_graph(
            nodes.nodes,
            encodable(model.task.model.name),
            [info(IMAGES, TensorProto.UINT8, ["N", *shape], "height, width and channels last")],
            [
                info(ANSWERS, TensorProto.FLOAT, ["N", classes], "of the classes, in the order of class_names"),
                info(CLASS, TensorProto.INT64, ["N"], "the number of the most probable class, from 0"),
                *([info(STRANGE, TensorProto.FLOAT, ["N"], STRANGE_ABOUT)] if model.tells_strangeness else []),
            ],
            nodes.constants,
            value_info=nodes.values,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="firstlight",
        producer_version=version("firstlight"),
        doc_string=encodable(f"{title}, from the run {model.name}. {claim}"),
    )
    helper.set_model_props(
        written, {encodable(key): encodable(value) for key, value in _metadata(model, claim).items()}
    )
    return written


def _metadata(model: Exportable, claim: str) -> Mapping[str, str]:
    """What is kept of the model; names and sizes as JSON."""
    of_images = {"class_names": json.dumps(model.class_names), "input_shape": json.dumps(model.input_shape)}
    return {**of_images, **model.facts, "gate": claim}

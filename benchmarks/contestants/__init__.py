"""Who takes part: firstlight, and its peers as their own experts would write them.

Each module has `prepare(case, **options) -> Prepared`, and some have JOBS. It is imported in its worker alone. A peer
builds its net from the plain values of `Case.layers`, keeps the images resident and normalized, and keeps count of loss
and accuracy, as firstlight's own loop does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import metadata, util
from typing import Any


@dataclass(frozen=True)
class Contestant:
    """A module, the options that it is prepared with, and what it needs."""

    label: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The libraries that are not installed here."""
        return [name for name in self.requires if util.find_spec(name) is None]


HERE = __name__ + "."
TENSORFLOW = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
JAX = {"JAX_PLATFORMS": "cpu"}

CONTESTANTS = {
    "firstlight": Contestant("firstlight", HERE + "ours"),
    "torch": Contestant("PyTorch eager", HERE + "pytorch", {"compiled": False}, ("torch",)),
    "torch-compiled": Contestant("PyTorch compiled", HERE + "pytorch", {"compiled": True}, ("torch",)),
    "keras-tensorflow": Contestant("Keras, TensorFlow", HERE + "keras_fit", {}, ("keras", "tensorflow"), TENSORFLOW),
    "keras-jax": Contestant("Keras, JAX", HERE + "keras_fit", {}, ("keras", "jax"), JAX | {"KERAS_BACKEND": "jax"}),
    "jax": Contestant("plain JAX", HERE + "plain_jax", {}, ("jax",), JAX),
    # firstlight's other ways, for sections of their own
    "firstlight-1": Contestant("firstlight, one thread", HERE + "ours", environment={"NUMBA_NUM_THREADS": "1"}),
    "firstlight-torch": Contestant("firstlight --engine torch", HERE + "ours", {"engine": "torch"}, ("torch",)),
    "firstlight-torch-auto": Contestant(
        "firstlight --engine torch --precision auto",
        HERE + "ours",
        {"engine": "torch", "precision": "auto"},
        ("torch",),
    ),
    "firstlight-augmented": Contestant("firstlight, augmented", HERE + "ours", {"augment": True}),
    # from uint8 pixels to probabilities
    "firstlight-predict": Contestant("firstlight, `run.predict`", HERE + "exported", {"by": "firstlight"}),
    "onnxruntime": Contestant("ONNX Runtime", HERE + "exported", {"by": "onnxruntime"}, ("onnx", "onnxruntime")),
    "openvino": Contestant("OpenVINO", HERE + "exported", {"by": "openvino"}, ("onnx", "openvino")),
    # behind HTTP
    "firstlight-serve": Contestant("`firstlight serve`", HERE + "ours"),
    "bare-server": Contestant(
        "ONNX Runtime behind starlette", HERE + "bare_server", requires=("onnx", "onnxruntime", "starlette")
    ),
    # augmentation alone
    "firstlight-images": Contestant("firstlight", HERE + "augmenting", {"pipeline": "ours"}),
    "opencv": Contestant("OpenCV, `warpAffine` image by image", HERE + "augmenting", {"pipeline": "opencv"}, ("cv2",)),
    "keras-layers": Contestant(
        "Keras's layers in tf.data",
        HERE + "augmenting",
        {"pipeline": "keras-layers"},
        ("keras", "tensorflow"),
        TENSORFLOW,
    ),
    "keras-generator": Contestant(
        "Keras's ImageDataGenerator, image by image",
        HERE + "augmenting",
        {"pipeline": "keras-generator"},
        ("keras", "tensorflow"),
        TENSORFLOW,
    ),
    # a map by t-SNE
    "firstlight-map": Contestant("firstlight with openTSNE", HERE + "mapping", {"by": "ours"}, ("openTSNE",)),
    "scikit-learn-map": Contestant("scikit-learn's TSNE", HERE + "mapping", {"by": "scikit-learn"}),
    # one thread, two threads
    "torch-1": Contestant("PyTorch eager, one thread", HERE + "pytorch", {"compiled": False, "threads": 1}, ("torch",)),
    "torch-2": Contestant(
        "PyTorch eager, two threads", HERE + "pytorch", {"compiled": False, "threads": 2}, ("torch",)
    ),
}

PEERS = ("torch", "torch-compiled", "keras-tensorflow", "keras-jax", "jax")
TORCH = ("torch", "torch-compiled")
OUR_TORCH = "firstlight-torch"  # the nets that no peer builds are measured beside it
RUNTIMES = ("onnxruntime", "openvino")
KERAS = ("keras-tensorflow",)
AUGMENTING = ("firstlight-images", "opencv", "keras-layers", "keras-generator")
MAPPING = ("firstlight-map", "scikit-learn-map")
PACKAGES = (
    "firstlight", "numpy", "numba", "torch", "keras", "tensorflow-cpu", "jax", "onnxruntime", "openvino",
    "opencv-python-headless",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Of what is installed here."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

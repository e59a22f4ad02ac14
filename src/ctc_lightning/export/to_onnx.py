"""For onnxruntime and others: an ONNX graph, for batches of any size."""

# B images, C channels, H rows, W columns, F features, L classes

import json
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ctc_lightning.checks import count
from ctc_lightning.export.format import Format
from ctc_lightning.export.trained import Trained

_FILE = "model.onnx"
_LEAST_OPSET = 14  # the first with the attention that transformers use
_NUM_TRACED = 2


class OnnxFormat(Format):
    """``model.onnx``: ``image`` (B, C, H, W) to ``features`` (B, F), and ``logits`` (B, L) if asked for.

    Written by torch's TorchScript exporter: the newer one needs onnxscript, which this package does not. The
    file's metadata say the input's mean and standard deviation, and the classes.

    Args:
        opset: the version of ONNX's operators, at least 14.
        tolerance: see `Format`; compared in onnxruntime, for one image and for several.

    Raises:
        ValueError: an older opset; see `Format`; in `write`, onnx or onnxruntime are not installed.
    """

    library = "onnx"

    def __init__(self, opset: int, tolerance: float) -> None:
        super().__init__(tolerance)
        count("format=onnx", least=_LEAST_OPSET, opset=opset)
        self.opset = opset

    def write(self, trained: Trained, folder: Path) -> str:
        """See `Format.write`."""
        onnx, onnxruntime = (_import(name) for name in ("onnx", "onnxruntime"))
        path = folder / _FILE
        outputs = ["features"] + (["logits"] if trained.classifier is not None else [])
        graph = _Graph(trained.backbone, trained.classifier).eval()
        image_BCHW = trained.images()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on the exporter's age and on what tracing makes constant
                torch.onnx.export(
                    graph,
                    (image_BCHW[:_NUM_TRACED],),
                    str(path),
                    dynamo=False,
                    opset_version=self.opset,
                    input_names=["image"],
                    output_names=outputs,
                    dynamic_axes={name: {0: "batch"} for name in ["image", *outputs]},
                )
        except (RuntimeError, TypeError) as error:  # the exporter's own errors are RuntimeErrors
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"{trained.title} cannot be written as ONNX ({reason}); choose format=safetensors."
            ) from error
        self.describe(onnx, trained, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        with torch.no_grad():
            expected = graph(image_BCHW)
        for batch in (slice(0, 1), slice(None)):
            found = session.run(outputs, {"image": image_BCHW[batch].numpy()})
            for values, wanted in zip(found, expected, strict=True):
                self.compare(trained, torch.from_numpy(values), wanted[batch])
        return (
            "import onnxruntime\n\n"
            f'session = onnxruntime.InferenceSession("{_FILE}")\n'
            f'{", ".join(outputs)}{"" if outputs[1:] else ","} = session.run({outputs}, {{"image": images}})'
            f"  # images: float32, (B, {', '.join(map(str, trained.input.shape))})"
        )

    def describe(self, onnx: Any, trained: Trained, path: Path) -> None:
        """Check the graph, and add what it expects to see."""
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
        values = {"backbone": trained.name, "input": trained.input._asdict(), "classes": trained.classes}
        onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in values.items()})
        onnx.save(model, str(path))


class _Graph(nn.Module):
    """Features, and logits if there is a classifier."""

    def __init__(self, backbone: nn.Module, classifier: nn.Linear | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, ...]:
        h_BF = self.backbone(x_BCHW)
        return (h_BF,) if self.classifier is None else (h_BF, self.classifier(h_BF))


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(
            f"format=onnx needs {name}; install it: pip install 'ctc-lightning[onnx]'."
        ) from error

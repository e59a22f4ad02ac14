"""onnxruntime computes what the checkpoint's network does, for batches of any size."""

import json
import sys

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx", reason="pip install 'ctc-lightning[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'ctc-lightning[onnx]'")

SAME = 1e-5  # float32 sums in another order, relative to the largest output, or to 1


def limit(expected):
    return SAME * max(1.0, float(expected.abs().max()))


KINDS = (
    "resnet8",
    "resnet18",
    "wrn_16_1",
    "resnext32_4x16d",
    "mobilenet_v2",
    "shufflenet_v1",
    "shufflenet_v2",
)
NETWORKS = [*(f"cifar/{kind}" for kind in KINDS), "timm/convnext_atto", "timm/vit_tiny_patch16_224"]


@pytest.mark.parametrize("name", NETWORKS)
def test_features_and_logits_are_those_of_the_network(name, checkpoint, exported):
    source = checkpoint(name)
    path = exported(source, "onnx", "classifier=true") / "model.onnx"
    session = onnxruntime.InferenceSession(path)
    assert [node.name for node in session.get_outputs()] == ["features", "logits"]
    for count in (1, 2, 7):
        found = session.run(["features", "logits"], {"image": source.images(count).numpy()})
        for values, classifier in zip(found, (False, True), strict=True):
            expected = source.outputs(classifier=classifier, count=count)
            assert (torch.from_numpy(values) - expected).abs().max() <= limit(expected)


@pytest.mark.parametrize("classifier", [False, True])
def test_the_cards_own_lines_load_it(classifier, checkpoint, exported, loaded):
    source = checkpoint("cifar/resnet8", shape=(1, 16, 16))
    folder = exported(source, "onnx", f"classifier={classifier}")
    made = loaded(folder, images=source.images().numpy())
    expected = source.outputs(classifier=False)
    assert np.abs(made.features - expected.numpy()).max() <= limit(expected)
    assert hasattr(made, "logits") == classifier


def test_the_file_says_what_it_expects(checkpoint, exported):
    source = checkpoint("cifar/resnet8")
    model = onnx.load(exported(source, "onnx") / "model.onnx")
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert said["input"] == {"shape": [3, 32, 32], "mean": list(source.mean), "std": list(source.std)}
    assert said["classes"] == list(source.classes)


def test_what_is_not_installed_is_named(checkpoint, exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"format=onnx needs onnxruntime; install it: pip install"):
        exported(checkpoint("cifar/resnet8"), "onnx")


def test_an_old_opset_is_refused(checkpoint, exported):
    with pytest.raises(Exception, match=r"opset is 9; it must be a whole number of at least 14"):
        exported(checkpoint("cifar/resnet8"), "onnx", "format.opset=9")

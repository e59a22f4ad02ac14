"""Any backbone goes out and comes back by its names here."""

import json

import pytest
import torch
from safetensors import safe_open

from ctc_lightning.networks import create_backbone
from ctc_lightning.networks.pretrained_network import PretrainedNetwork

SAME = 1e-6
NETWORKS = [
    ("cifar/resnet8", {"backbone_options": {"stem_stride": 2}, "channels_last": True}),
    ("timm/resnet18", {"stem": "cifar"}),
    ("torchvision/mobilenet_v3_small", {}),  # part of its classifier is the backbone's
]


def limit(expected):
    return SAME * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("classifier", [False, True])
@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_the_cards_own_lines_load_it(name, options, classifier, checkpoint, exported, loaded):
    source = checkpoint(name, **options)
    made = loaded(exported(source, "safetensors", f"classifier={classifier}"), images=source.images())
    expected = source.outputs(classifier=classifier)
    with torch.no_grad():
        found = made.logits if classifier else made.backbone(source.images())
    assert (found - expected).abs().max() <= limit(expected)


def test_a_pretrained_network_begins_with_it_classifier_included(checkpoint, exported):
    source = checkpoint("cifar/resnet8")
    file = exported(source, "safetensors", "classifier=true") / "model.safetensors"
    network = PretrainedNetwork(backbone="cifar/resnet8", num_classes=5, projector=None, pretrained=file)
    expected = source.outputs(classifier=True)
    with torch.no_grad():
        assert (network.eval()(source.images()) - expected).abs().max() <= limit(expected)


def test_the_file_holds_the_network_and_nothing_else(checkpoint, exported):
    source = checkpoint("cifar/resnet8")
    with safe_open(exported(source, "safetensors") / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(create_backbone("cifar/resnet8").state_dict())


def test_the_metadata_say_what_makes_it(checkpoint, exported):
    source = checkpoint("cifar/resnet8", backbone_options={"stem_stride": 2})
    with safe_open(exported(source, "safetensors") / "model.safetensors", framework="pt") as file:
        said = file.metadata()
    assert said.pop("format") == "pt"
    assert {name: json.loads(value) for name, value in said.items()} == {
        "backbone": "cifar/resnet8",
        "stem": None,
        "backbone_options": {"stem_stride": 2},
        "input": {"shape": [3, 32, 32], "mean": list(source.mean), "std": list(source.std)},
        "fit": {"size": 32, "share": 0.875, "interpolation": "bilinear"},
        "classes": list(source.classes),
    }

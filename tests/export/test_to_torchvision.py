"""torchvision's own networks load what was exported, strictly."""

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

SAME = 1e-6  # relative to the largest output, or to 1
NETWORKS = ["torchvision/resnet18", "timm/resnet50", "torchvision/mobilenet_v3_small"]
PLACE = {"resnet18": "fc", "resnet50": "fc", "mobilenet_v3_small": "classifier.3"}


def limit(expected):
    return SAME * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_library_loads_backbone_and_classifier(name, checkpoint, exported):
    source = checkpoint(name)
    folder = exported(source, "torchvision", "classifier=true")
    model = name.partition("/")[2]
    network = torchvision.models.get_model(model, num_classes=5).eval()
    network.load_state_dict(torch.load(folder / "model.pth", weights_only=True), strict=True)
    expected = source.outputs(classifier=True)
    with torch.no_grad():
        assert (network(source.images()) - expected).abs().max() <= limit(expected)


@pytest.mark.parametrize("name", ["torchvision/resnet50", "torchvision/mobilenet_v3_small"])
def test_without_the_classifier_an_identity_takes_its_place(name, checkpoint, exported):
    source = checkpoint(name)
    folder = exported(source, "torchvision", "format.file=weights.safetensors")
    model = name.partition("/")[2]
    network = torchvision.models.get_model(model).eval()
    network.set_submodule(PLACE[model], nn.Identity())
    network.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    expected = source.outputs(classifier=False)
    with torch.no_grad():
        found = network(source.images())
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= limit(expected)


@pytest.mark.parametrize("file", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("classifier", [False, True])
def test_the_cards_own_lines_load_it(classifier, file, checkpoint, exported, loaded):
    source = checkpoint("torchvision/mobilenet_v3_small")
    made = loaded(exported(source, "torchvision", f"classifier={classifier}", f"format.file={file}"))
    expected = source.outputs(classifier=classifier)
    with torch.no_grad():
        assert (made.model(source.images()) - expected).abs().max() <= limit(expected)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("cifar/resnet8", (3, 32, 32), "torchvision has no resnet8, .*; choose format=safetensors"),
        ("torchvision/resnet18", (1, 32, 32), "torchvision has no resnet18 for images of 1 channels"),
        (
            "cifar/resnet18",
            (3, 32, 32),
            "cifar/resnet18 is not torchvision's resnet18: the checkpoint has conv1.weight of",
        ),
        ("timm/efficientnet_b0", (3, 32, 32), "timm/efficientnet_b0 is not torchvision.s efficientnet_b0"),
    ],
)
def test_what_torchvision_does_not_have_is_one_sentence(name, shape, message, checkpoint, exported):
    with pytest.raises(ValueError, match=message):
        exported(checkpoint(name, shape=shape), "torchvision")


@pytest.mark.parametrize("file", ["model.bin", "folder/model.pth"])
def test_other_files_are_refused(file, checkpoint, exported):
    with pytest.raises(Exception, match=r"format.file is .*; give a name that ends in .pth or .safetensors"):
        exported(checkpoint("torchvision/mobilenet_v3_small"), "torchvision", f"format.file={file}")

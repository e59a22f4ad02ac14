"""A network that somebody has trained is taken over with its classifier, where that fits."""

import json
import logging

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from ctc_lightning.networks import LinearProjector, create_backbone
from ctc_lightning.networks.pretrained_network import PretrainedNetwork, classifier_of

PUBLISHED = {
    "timm/resnet18": lambda: timm.create_model("resnet18", num_classes=6),
    "timm/convnext_atto": lambda: timm.create_model("convnext_atto", num_classes=6),
    "torchvision/mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(num_classes=6),
}


def build(backbone, num_classes=6, **options):
    return PretrainedNetwork(
        **{"backbone": backbone, "num_classes": num_classes, "projector": None} | options
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_librarys_own_classifier_comes_along(name, tmp_path):
    whole = PUBLISHED[name]().eval()
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    network = build(name, pretrained=str(tmp_path / "weights.safetensors")).eval()
    image_BCHW = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(image_BCHW), whole(image_BCHW))


def test_a_checkpoint_of_ours_gives_backbone_and_classifier(tmp_path):
    trained = build("cifar/resnet8").eval()
    state = {f"network.{name}": tensor for name, tensor in trained.state_dict().items()}
    torch.save({"state_dict": state | {"stages.a.memory.row_ND": torch.ones(3, 2)}}, tmp_path / "last.ckpt")
    network = build("cifar/resnet8", pretrained=tmp_path / "last.ckpt").eval()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    backbone = create_backbone("cifar/resnet8", pretrained=tmp_path / "last.ckpt")
    for name, tensor in trained.backbone.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("num_classes", "options", "said"),
    [(5, {}, "classifies 6 classes and the data have 5"), (6, {"keep_classifier": False}, "")],
)
def test_a_classifier_that_is_not_wanted_begins_anew(num_classes, options, said, tmp_path, caplog):
    whole = PUBLISHED["timm/resnet18"]()
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    with caplog.at_level(logging.INFO), torch.random.fork_rng():
        torch.manual_seed(0)
        network = build("timm/resnet18", num_classes, pretrained=tmp_path / "w.safetensors", **options)
    assert network.classifier.out_features == num_classes
    assert not torch.equal(network.classifier.weight[:5], whole.fc.weight[:5])
    assert torch.equal(network.backbone.conv1.weight, whole.conv1.weight)
    assert said in caplog.text


def test_a_backbone_alone_is_enough(tmp_path, caplog):
    save_file(create_backbone("cifar/resnet8").state_dict(), tmp_path / "w.safetensors")
    with caplog.at_level(logging.INFO):
        build("cifar/resnet8", pretrained=tmp_path / "w.safetensors")
    assert "holds no classifier: it is initialised from scratch" in caplog.text


@pytest.fixture(params=["last.ckpt", "model.safetensors"])
def named(request, tmp_path):
    """A network, and a function that writes it to a file that names its classes; the file."""
    trained = build("cifar/resnet8", 3).eval()

    def write(*classes):
        file = tmp_path / request.param
        if file.suffix == ".ckpt":
            state = {f"network.{name}": tensor for name, tensor in trained.state_dict().items()}
            torch.save({"state_dict": state, "classes": list(classes)}, file)
        else:
            state = {name.removeprefix("backbone."): tensor for name, tensor in trained.state_dict().items()}
            save_file(state, file, {"classes": json.dumps(classes)})
        return file

    return trained, write


def test_the_files_classes_are_put_into_the_order_of_the_datas(named):
    trained, write = named
    network = build("cifar/resnet8", 3, pretrained=write("cat", "dog", "owl")).eval()
    image_BCHW = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for names, row_L in {("cat", "dog", "owl"): [0, 1, 2], ("owl", "cat", "dog"): [2, 0, 1]}.items():
            network.match_classes(names)
            assert torch.equal(network(image_BCHW), trained(image_BCHW)[:, row_L])


def test_a_classifier_of_other_classes_of_the_same_number_is_refused(named):
    network = build("cifar/resnet8", 3, pretrained=named[1]("cat", "dog", "owl"))
    with pytest.raises(ValueError, match=r"class 0 was 'cat' and is 'dog' .*network\.keep_classifier=false"):
        network.match_classes(("dog", "owl", "zebra"))


def test_classes_without_names_are_taken_as_they_are(named):
    network = build("cifar/resnet8", 3, pretrained=named[1]())
    network.match_classes(("cat", "dog", "owl"))
    assert torch.equal(network.classifier.weight, named[0].classifier.weight)


def test_without_a_file_it_is_an_ordinary_network():
    network = build("cifar/resnet8", projector=lambda num_features: LinearProjector(num_features, dim=4))
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 6)
    assert network.projector(network.backbone(torch.zeros(2, 3, 32, 32))).shape == (2, 4)


def test_a_file_of_another_network_is_one_sentence(tmp_path):
    save_file(create_backbone("cifar/resnet14").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w.safetensors is of another network: it .*also holds"):
        build("cifar/resnet8", pretrained=tmp_path / "w.safetensors")


def test_no_weights_at_all_are_one_sentence():
    with pytest.raises(ValueError, match=r"there are no weights to begin with: give checkpoint=FILE"):
        build("cifar/resnet8", pretrained=None)


@pytest.mark.parametrize(
    ("tensors", "found"),
    [
        ({"fc.weight": (4, 3), "fc.bias": (4,)}, True),
        ({"fc.weight": (4, 3, 1, 1), "fc.bias": (4,)}, True),
        ({"fc.weight": (4, 2), "fc.bias": (4,)}, False),
        ({"fc.weight": (4, 3)}, False),
        ({"head.norm.weight": (3,), "head.norm.bias": (3,)}, False),
        ({"fc.weight": (4, 3), "fc.bias": (4,), "head.weight": (4, 3), "head.bias": (4,)}, False),
        ({"fc.0.weight": (3, 3), "fc.0.bias": (3,), "fc.2.weight": (4, 3), "fc.2.bias": (4,)}, False),
        ({"head.bn.weight": (3,), "head.linear.weight": (4, 3), "head.linear.bias": (4,)}, False),
        ({"projector.weight": (4, 3), "projector.bias": (4,)}, False),
        ({"classifier.weight": (4, 3), "classifier.bias": (4,), "queue": (3, 9)}, True),
        ({}, False),
    ],
)
def test_what_counts_as_a_classifier(tensors, found):
    made = {name: torch.zeros(shape) for name, shape in tensors.items()}
    classifier = classifier_of(made, num_features=3)
    assert (classifier is not None) == found
    if classifier is not None:
        assert nn.functional.linear(torch.zeros(2, 3), *classifier).shape == (2, 4)

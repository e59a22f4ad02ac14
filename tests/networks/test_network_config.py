"""Every file of conf/network and conf/projector composes, and builds a network that runs."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf.errors import MissingMandatoryValue

from ctc_lightning.networks import LinearProjector, MLPProjector

CONF = Path(__file__).parents[2] / "conf"
PROJECTORS = {"linear": LinearProjector, "mlp": MLPProjector}


def build(*overrides, **arguments):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(overrides=[f"+{overrides[0]}", *overrides[1:]]).network
    return instantiate(config, **{"num_classes": 4, "image_channels": 3} | arguments)


def files(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("name", files("network"))
def test_every_network_builds(name):
    overrides = ["network.backbone=torchvision/resnet18", "network.stem=cifar"] if name == "any" else []
    with torch.device("meta"):
        network = build(f"network={name}", *overrides, num_classes=5, image_channels=1)
        assert network(torch.empty(2, 1, 32, 32)).shape == (2, 5)
        assert network.projector(network.backbone(torch.empty(2, 1, 32, 32))).shape == (2, 128)


@pytest.mark.parametrize("name", files("projector"))
def test_every_projector_builds(name):
    network = build("network=resnet8", f"projector@network.projector={name}", "network.projector.dim=32")
    assert type(network.projector) is PROJECTORS[name]
    assert network.projector(network.backbone(torch.zeros(2, 3, 32, 32))).shape == (2, 32)


def test_the_default_is_the_small_fast_resnet():
    network = build("network=resnet8")
    assert network.backbone.num_features == 64
    sizes = []
    network.backbone.stages.register_forward_pre_hook(lambda module, args: sizes.append(args[0].shape[-1]))
    network(torch.zeros(1, 3, 32, 32))
    assert sizes == [16]


def test_any_takes_a_backbone_from_the_command_line():
    with torch.device("meta"):
        network = build(
            "network=any",
            "network.backbone=timm/resnet18",
            "network.stem=cifar",
            "+network.backbone_options.drop_path_rate=0.1",
        )
    assert network.backbone.num_features == 512
    assert network.backbone.conv1.stride == (1, 1)


def test_any_without_a_backbone_says_what_is_missing():
    with pytest.raises(MissingMandatoryValue, match="backbone"):
        build("network=any")


def test_options_of_another_backbone_are_refused():
    with pytest.raises(
        InstantiationException, match=r"timm/resnet18 does not take .*stem_stride.*network=any"
    ):
        build("network=resnet8", "network.backbone=timm/resnet18")


def test_no_projector():
    assert build("network=resnet8", "network.projector=null").projector is None

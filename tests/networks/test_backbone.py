"""Backbones of timm and torchvision by name: contract, stems, options, names."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from ctc_lightning.networks import create_backbone

# One of each kind of classifier; RegNet is below, because torchvision cannot build it on the meta device.
TIMM = ["resnet18", "mobilenetv3_small_050", "vgg11", "vit_tiny_patch16_224", "convnext_atto"]
TORCHVISION = ["alexnet", "convnext_tiny", "densenet121", "maxvit_t", "mobilenet_v2", "mobilenet_v3_small"]
TORCHVISION += ["resnet18", "shufflenet_v2_x0_5", "swin_t", "vgg11", "vit_b_32"]
RESNETS = ["timm/resnet18", "timm/resnet18d", "timm/seresnext50_32x4d", "torchvision/resnet18"]


@pytest.mark.parametrize("name", [f"timm/{n}" for n in TIMM] + [f"torchvision/{n}" for n in TORCHVISION])
def test_features_are_pooled_and_counted(name):
    with torch.device("meta"):
        backbone = create_backbone(name).eval()
        h_BF = backbone(torch.empty(2, 3, 224, 224))
    assert isinstance(backbone.num_features, int)
    assert h_BF.shape == (2, backbone.num_features)


@pytest.mark.parametrize("name", ["timm/resnet18", "torchvision/resnet18", "torchvision/regnet_y_400mf"])
def test_features_ignore_batch_companions_in_eval_mode(name):
    torch.manual_seed(0)
    backbone = create_backbone(name).eval()
    x_BCHW = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        together, alone = backbone(x_BCHW), backbone(x_BCHW[:1])
    assert together.shape == (3, backbone.num_features)
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-5)


def test_torchvision_features_are_what_the_classifier_sees():
    torch.manual_seed(0)
    whole = torchvision.models.resnet18().eval()
    torch.manual_seed(0)
    backbone = create_backbone("torchvision/resnet18").eval()
    x_BCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(whole.fc(backbone(x_BCHW)), whole(x_BCHW))


@pytest.mark.parametrize("name", ["torchvision/mobilenet_v2", "torchvision/efficientnet_b0"])
def test_the_classifiers_dropout_goes_with_it(name):
    with torch.device("meta"):
        backbone = create_backbone(name)
    assert [m for m in backbone.modules() if isinstance(m, nn.Dropout)] == []


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["timm/resnet18", "torchvision/resnet18", "torchvision/vit_b_32"])
def test_other_channel_counts(name, channels):
    with torch.device("meta"):
        backbone = create_backbone(name, image_channels=channels)
        h_BF = backbone(torch.empty(2, channels, 224, 224))
    assert h_BF.shape == (2, backbone.num_features)


def test_one_channel_gives_what_its_rgb_copy_gave():
    x_BCHW = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    rgb = create_backbone("torchvision/resnet18").eval()
    torch.manual_seed(0)
    grey = create_backbone("torchvision/resnet18", image_channels=1).eval()
    with torch.no_grad():
        torch.testing.assert_close(grey(x_BCHW), rgb(x_BCHW.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", RESNETS)
def test_cifar_stem_keeps_full_resolution(name, channels):
    def size_at_first_stage(stem):
        with torch.device("meta"):
            backbone = create_backbone(name, stem=stem, image_channels=channels)
            sizes = []
            backbone.layer1.register_forward_pre_hook(lambda module, args: sizes.append(args[0].shape[-1]))
            assert backbone(torch.empty(2, channels, 32, 32)).shape == (2, backbone.num_features)
        return sizes

    assert size_at_first_stage(None) == [8]
    assert size_at_first_stage("cifar") == [32]


@pytest.mark.parametrize(
    "name", ["timm/vit_tiny_patch16_224", "torchvision/mobilenet_v2", "timm/convnext_atto"]
)
def test_cifar_stem_is_refused_elsewhere(name):
    with torch.device("meta"), pytest.raises(ValueError, match="stem='cifar' is for ResNets"):
        create_backbone(name, stem="cifar")


def test_unknown_stem():
    with pytest.raises(ValueError, match=r"stem is 'imagenet'; it must be one of 'cifar', or null"):
        create_backbone("timm/resnet18", stem="imagenet")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("timm/resnet5O", "timm/resnet50"),
        ("torchvison/resnet18", "torchvision/resnet18"),
        ("cifar/wrn_28_11", "cifar/wrn_28_10"),
        ("resnet50", "/resnet50"),
        ("timm/resnet50.a1_in1", "timm/resnet50.a1_in1k"),
        ("", "cifar, timm, torchvision"),
    ],
)
def test_an_unknown_name_brings_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"no backbone '{name}'.*{nearest}"):
        create_backbone(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm/resnet18", {"stem_stride": 2}, "timm/resnet18 does not take .*stem_stride"),
        ("torchvision/resnet18", {"stem_stride": 2}, "torchvision/resnet18 does not take .*stem_stride"),
        ("timm/resnet18", {"num_classes": 5}, "num_classes"),
        ("torchvision/resnet18", {"num_classes": 5}, "num_classes"),
        ("timm/resnet18", {"global_pool": ""}, "must put out pooled features"),
        ("timm/resnet18", {"features_only": True}, "must put out pooled features"),
        ("timm/resnet18", {"drop_pat_rate": None}, "leave out drop_pat_rate"),
        ("timm/botnet50ts_256", {"pretrained": True}, "no published weights"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        create_backbone(name, **options)


def test_options_reach_the_library():
    with torch.device("meta"):
        drops = [
            m
            for m in create_backbone("timm/resnet18", drop_path_rate=0.2).modules()
            if isinstance(m, timm.layers.DropPath)
        ]
    assert max(m.drop_prob for m in drops) == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "torchvision/vit_b_32", "timm/resnet18"])
def test_a_network_made_for_one_size_is_made_for_the_data_s(name):
    backbone = create_backbone(name, image_size=64).eval()
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, backbone.num_features)


def test_a_size_that_the_user_gives_comes_before_the_data_s():
    backbone = create_backbone("timm/vit_tiny_patch16_224", image_size=64, img_size=96).eval()
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 96, 96)).shape == (1, backbone.num_features)

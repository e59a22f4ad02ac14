"""The reference's small networks: their size, their shapes and their options."""

from functools import cache

import pytest
import torch

from ctc_lightning.networks import Network, create_backbone
from ctc_lightning.networks.cifar import CATALOGUE

# (parameters with a classifier of 100 classes, features), counted on the networks of dt-tradeoff@a36516b
# models/__init__.py by summing p.numel() over parameters().
REFERENCE = {
    "resnet8": (83_892, 64),
    "resnet14": (181_108, 64),
    "resnet20": (278_324, 64),
    "resnet32": (472_756, 64),
    "resnet44": (667_188, 64),
    "resnet56": (861_620, 64),
    "resnet110": (1_736_564, 64),
    "resnet8x4": (1_233_540, 256),
    "resnet32x4": (7_433_860, 256),
    "resnet18": (11_220_132, 512),
    "resnet34": (21_328_292, 512),
    "resnet50": (23_705_252, 2048),
    "resnet101": (42_697_380, 2048),
    "resnet152": (58_341_028, 2048),
    "wrn_16_1": (180_916, 64),
    "wrn_16_2": (703_284, 128),
    "wrn_16_4": (2_772_020, 256),
    "wrn_16_10": (17_174_324, 640),
    "wrn_22_4": (4_322_100, 256),
    "wrn_28_2": (1_479_220, 128),
    "wrn_28_4": (5_872_180, 256),
    "wrn_28_10": (36_536_884, 640),
    "wrn_34_4": (7_422_260, 256),
    "wrn_40_1": (569_780, 64),
    "wrn_40_2": (2_255_156, 128),
    "wrn_40_4": (8_972_340, 256),
    "wrn_46_4": (10_522_420, 256),
    "wrn_52_4": (12_072_500, 256),
    "wrn_64_4": (15_172_660, 256),
    "resnext32_4x16d": (1_293_444, 512),
    "resnext32_8x8d": (1_172_484, 512),
    "resnext32_16x4d": (1_112_004, 512),
    "mobilenet_v2": (812_836, 1280),
    "shufflenet_v1": (949_258, 960),
    "shufflenet_v2": (1_355_528, 1024),
}

# Millions of parameters with 10 classes: arXiv 1512.03385 table 6, arXiv 1605.07146 tables 4 and 5.
LITERATURE = {
    "resnet20": 0.27,
    "resnet32": 0.46,
    "resnet44": 0.66,
    "resnet56": 0.85,
    "resnet110": 1.7,
    "wrn_40_1": 0.6,
    "wrn_40_2": 2.2,
    "wrn_40_4": 8.9,
    "wrn_28_10": 36.5,
}

SMALL = ["resnet8", "wrn_16_1", "resnext32_16x4d", "mobilenet_v2", "shufflenet_v1", "shufflenet_v2"]


@cache
def meta_backbone(name):
    with torch.device("meta"):
        return create_backbone(f"cifar/{name}")


def num_parameters(name, num_classes):
    with torch.device("meta"):
        network = Network(meta_backbone(name), None, num_classes)
    return sum(p.numel() for p in network.parameters())


def test_the_catalogue_holds_the_references_networks():
    assert set(CATALOGUE) == set(REFERENCE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_size_equals_the_references(name):
    assert num_parameters(name, num_classes=100) == REFERENCE[name][0]


@pytest.mark.parametrize(("name", "millions"), LITERATURE.items())
def test_size_agrees_with_the_literature(name, millions):
    digit = 0.1 if millions >= 1 or name == "wrn_40_1" else 0.01
    assert num_parameters(name, num_classes=10) / 1e6 == pytest.approx(millions, abs=digit)


@pytest.mark.parametrize(
    ("name", "size"), [(name, 32) for name in CATALOGUE] + [(name, 64) for name in SMALL]
)
def test_features_are_pooled(name, size):
    backbone = meta_backbone(name)
    assert backbone.num_features == REFERENCE[name][1]
    assert backbone(torch.empty(3, 3, size, size, device="meta")).shape == (3, REFERENCE[name][1])


@pytest.mark.parametrize("name", [*SMALL, "resnet18"])
def test_grey_images(name):
    with torch.device("meta"):
        backbone = create_backbone(f"cifar/{name}", image_channels=1)
        assert backbone(torch.empty(3, 1, 32, 32)).shape == (3, backbone.num_features)


@pytest.mark.parametrize("name", SMALL)
def test_features_ignore_batch_companions_in_eval_mode(name):
    torch.manual_seed(0)
    backbone = create_backbone(f"cifar/{name}").eval()
    x_BCHW = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        together, alone = backbone(x_BCHW), backbone(x_BCHW[:1])
    assert together.std(0).max() > 0
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    backbone = create_backbone(f"cifar/{name}")
    h_BF = backbone(torch.randn(4, 3, 32, 32))
    (h_BF * torch.randn_like(h_BF)).sum().backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_4", "resnext32_16x4d", "mobilenet_v2", "resnet18"])
def test_convolutions_start_kaiming_normal_by_fan_out(name):
    torch.manual_seed(0)
    for module in create_backbone(f"cifar/{name}").modules():
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 4000:
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.06)
        if isinstance(module, torch.nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize(("stem_stride", "size"), [(1, 32), (2, 16)])
def test_stem_stride_divides_the_resolution_at_once(stem_stride, size):
    backbone = create_backbone("cifar/resnet8", stem_stride=stem_stride)
    sizes = []
    first_conv = next(m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d))
    first_conv.register_forward_hook(lambda module, args, out: sizes.append(out.shape[-2:]))
    assert backbone(torch.zeros(1, 3, 32, 32)).shape == (1, 64)
    assert sizes == [(size, size)]


def test_dropout_is_active_in_training_only():
    torch.manual_seed(0)
    backbone = create_backbone("cifar/wrn_16_1", dropout=0.5)
    x_BCHW = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(backbone(x_BCHW), backbone(x_BCHW))
        assert torch.equal(backbone.eval()(x_BCHW), backbone(x_BCHW))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet8", {"stem_strid": 2}, "option stem_strid: it takes stem_stride"),
        ("resnet8", {"depth": 14}, "option depth"),
        ("resnet8", {"widths": (8, 8, 8, 8)}, "option widths"),
        ("resnet8", {"stem_stride": 0}, "stem_stride is 0; it must be a whole number of at least 1"),
        ("resnext32_16x4d", {"groups": 2}, "option groups"),
        ("wrn_16_1", {"dropout": 1.0}, r"dropout is 1\.0; it must be at least 0 and below 1"),
        ("mobilenet_v2", {"width": 0.01}, "width is 0.01; it must be at least 0.0625"),
        ("shufflenet_v1", {"groups": 2}, "option groups: it takes none"),
        ("resnet8", {"stem": "cifar"}, "already has a stem for small images"),
        ("resnet8", {"pretrained": True}, "no published weights"),
        ("resnet8", {"image_channels": 0}, "image_channels is 0; it must be a whole number of at least 1"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        create_backbone(f"cifar/{name}", **options)

"""timm loads what was exported, strictly and by its own folder layout, and sees what we saw."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.data import resolve_model_data_config

NETWORKS = [
    ("timm/resnet18", {}),
    ("timm/convnext_atto", {}),
    ("timm/mobilenetv3_small_050", {}),  # its head has a layer of its own before the classifier
    ("timm/deit_tiny_distilled_patch16_224", {}),  # two classifiers; made for one image size
    ("timm/levit_128s", {"shape": (3, 224, 224)}),  # a BatchNorm before each of two classifiers
    ("torchvision/resnet18", {}),  # the same network in both libraries
    ("timm/mobilenetv3_small_050.lamb_in1k", {"backbone_options": {"drop_path_rate": 0.1}}),
]
SAME = 1e-6  # relative to the largest output, or to 1


def limit(expected):
    return SAME * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("classifier", [False, True])
@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_create_model_loads_it_strictly_and_gives_the_same(name, options, classifier, checkpoint, exported):
    source = checkpoint(name, **options)
    folder = exported(source, "timm", f"classifier={str(classifier).lower()}")
    sized = {"img_size": 32} if "deit" in name else {}
    plain = name.partition("/")[2].partition(".")[0]
    by_name = timm.create_model(plain, num_classes=5 if classifier else 0, **sized)
    by_name.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    by_folder = timm.create_model(f"local-dir:{folder}", pretrained=True)
    expected = source.outputs(classifier=classifier)
    for model in (by_name, by_folder):
        with torch.no_grad():
            found = model.eval()(source.images())
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= limit(expected)


@pytest.mark.parametrize("classifier", [False, True])
def test_the_cards_own_lines_load_it(classifier, checkpoint, exported, loaded):
    source = checkpoint("timm/mobilenetv3_small_050", shape=(1, 48, 48))
    made = loaded(exported(source, "timm", f"classifier={classifier}"))
    expected = source.outputs(classifier=classifier)
    with torch.no_grad():
        assert (made.model(source.images()) - expected).abs().max() <= limit(expected)


def test_timm_knows_what_the_network_expects_to_see(checkpoint, exported):
    source = checkpoint("timm/mobilenetv3_small_050", shape=(3, 48, 48))
    model = timm.create_model(f"local-dir:{exported(source, 'timm', 'classifier=true')}", pretrained=True)
    data = resolve_model_data_config(model)
    assert tuple(data["input_size"]) == (3, 48, 48)
    assert (tuple(data["mean"]), tuple(data["std"])) == (source.mean, source.std)
    assert (data["crop_pct"], data["crop_mode"], data["interpolation"]) == (0.875, "center", "bilinear")
    assert tuple(model.pretrained_cfg["label_names"]) == source.classes
    assert model.num_classes == 5


def test_a_backbone_has_no_class_names(checkpoint, exported):
    config = json.loads(
        (exported(checkpoint("timm/mobilenetv3_small_050"), "timm") / "config.json").read_text()
    )
    assert config["num_classes"] == config["pretrained_cfg"]["num_classes"] == 0
    assert "label_names" not in config


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "cifar/resnet8",
            {},
            "timm has no resnet8, .* cifar/resnet8; choose format=safetensors or format=onnx",
        ),
        (
            "timm/resnet18",
            {"stem": "cifar"},
            r"timm/resnet18 with stem=cifar is not timm's resnet18: the checkpoint has conv1.weight of",
        ),
        ("cifar/resnet18", {}, "cifar/resnet18 is not timm's resnet18: the checkpoint has conv1.weight of"),
    ],
)
def test_what_timm_does_not_have_is_one_sentence_and_leaves_nothing(
    name, options, message, checkpoint, exported
):
    source = checkpoint(name, **options)
    with pytest.raises(ValueError, match=message):
        exported(source, "timm")
    assert not list(source.file.parents[1].glob("export/*"))
    assert not list(source.file.parents[1].glob("export/.*"))

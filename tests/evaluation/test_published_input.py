"""What published weights expect to see, against timm's and torchvision's own records."""

import pytest
import timm
from torchvision.models import ResNet50_Weights

from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation.published_input import published_fit, published_input


def test_torchvisions_weights_expect_what_their_transform_does():
    transform = ResNet50_Weights.IMAGENET1K_V2.transforms()
    assert transform.crop_size == [224]
    expected = NetworkInput((3, 224, 224), tuple(transform.mean), tuple(transform.std))
    assert published_input("torchvision/resnet50") == expected


@pytest.mark.parametrize(
    ("model", "size", "mean"),
    [
        ("resnet50", 224, 0.485),
        ("vit_base_patch16_224", 224, 0.5),
        ("inception_v3", 299, 0.485),
        ("vit_small_patch14_dinov2", 518, 0.485),
    ],
)
def test_timms_models_expect_what_their_own_record_says(model, size, mean):
    seen = published_input(f"timm/{model}")
    record = timm.get_pretrained_cfg(model)
    assert seen.shape == tuple(record.input_size)
    assert (seen.mean, seen.std) == (tuple(record.mean), tuple(record.std))
    if model != "inception_v3":  # whose records differ between its weights
        assert (seen.shape[1], seen.mean[0]) == (size, mean)


def test_what_is_given_goes_first():
    seen = published_input("timm/resnet50", image_size=32, mean=[0.1, 0.2, 0.3])
    assert seen == NetworkInput((3, 32, 32), (0.1, 0.2, 0.3), (0.229, 0.224, 0.225))
    grey = published_input("torchvision/resnet18", mean=[0.4], std=[0.3])
    assert grey == NetworkInput((1, 224, 224), (0.4,), (0.3,))


def test_of_networks_without_published_weights_everything_must_be_given():
    given = {"image_size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
    assert published_input("cifar/resnet8", **given) == NetworkInput((3, 32, 32), (0.5,) * 3, (0.25,) * 3)
    for name in given:
        with pytest.raises(
            ValueError, match=rf"cifar/resnet8 has no published weights.*; give input\.{name}\.$"
        ):
            published_input("cifar/resnet8", **{**given, name: None})


@pytest.mark.parametrize("given", [{"mean": [0.5]}, {"std": [0.5, 0.5]}, {"image_size": 0}], ids=str)
def test_values_that_do_not_fit_each_other_are_refused(given):
    with pytest.raises(ValueError, match=r"^input(\.|: image_size)"):
        published_input("torchvision/resnet18", **given)


def test_images_are_cut_as_for_the_published_accuracy():
    published = timm.get_pretrained_cfg("vit_tiny_patch16_224")
    assert published_fit("timm/vit_tiny_patch16_224") == {
        "crop_share": published.crop_pct,
        "interpolation": published.interpolation,
    }
    assert published_fit("torchvision/resnet18") == {}

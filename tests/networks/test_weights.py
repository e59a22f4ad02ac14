"""Weights files: round trip, published formats, and one clear error for a file that does not fit."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from ctc_lightning.networks import create_backbone

SAVE = {"weights.safetensors": save_file, "weights.pt": torch.save}


def published(whole, path):
    """Write a whole classifier's weights, as the libraries publish them."""
    save_file(whole.state_dict(), path)
    return whole


@pytest.mark.parametrize("file", SAVE)
@pytest.mark.parametrize(
    ("name", "stem"),
    [("cifar/resnet8", None), ("timm/resnet18", "cifar"), ("torchvision/resnet18", None)],
)
def test_round_trip(tmp_path, name, stem, file):
    saved = create_backbone(name, stem=stem)
    SAVE[file](saved.state_dict(), tmp_path / file)
    loaded = create_backbone(name, stem=stem, pretrained=str(tmp_path / file))
    for name, tensor in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("name", "create"),
    [
        ("torchvision/resnet18", torchvision.models.resnet18),
        ("torchvision/mobilenet_v2", torchvision.models.mobilenet_v2),
        ("timm/convnext_atto", lambda: timm.create_model("convnext_atto")),
    ],
)
def test_a_file_may_hold_the_classifier_too(tmp_path, name, create):
    whole = published(create(), tmp_path / "whole.safetensors")
    backbone = create_backbone(name, pretrained=tmp_path / "whole.safetensors")
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(whole.state_dict()[name], tensor), name


def test_published_weights_stay_behind_a_new_stem(tmp_path):
    whole = published(timm.create_model("resnet18"), tmp_path / "resnet18.safetensors")
    backbone = create_backbone(
        "timm/resnet18",
        stem="cifar",
        pretrained=True,
        pretrained_cfg_overlay={"file": str(tmp_path / "resnet18.safetensors")},
    )
    for name, tensor in backbone.state_dict().items():
        if name == "conv1.weight":
            assert tensor.shape == (64, 3, 3, 3)
        else:
            assert torch.equal(whole.state_dict()[name], tensor), name


@pytest.mark.parametrize("file", SAVE)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("stem.0.weight"), "lacks stem.0.weight$"),
        (lambda state: state.update({"stem.9.weight": torch.ones(1)}), "also holds stem.9.weight$"),
        (lambda state: state.update({"stem.0.weight": torch.ones(1)}), "another shape for stem.0.weight$"),
        (lambda state: state.clear(), r"lacks stem.0.weight, .* and \d+ more$"),
    ],
)
def test_a_file_of_another_network_is_one_sentence(tmp_path, change, message, file):
    state = create_backbone("cifar/resnet8").state_dict()
    change(state)
    SAVE[file](state, tmp_path / file)
    with pytest.raises(ValueError, match=f"{file} is of another network: it .*{message}"):
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / file))


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"there is no weights file .*absent.pt"):
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / "absent.pt"))


@pytest.mark.parametrize("file", SAVE)
def test_not_a_weights_file(tmp_path, file):
    (tmp_path / file).write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=f"cannot read the weights file .*{file}"):
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / file))


def test_code_in_a_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    torch.save({"stem.0.weight": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="cannot read the weights file"):
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / "trap.pt"))
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_is_not_a_state_dict(tmp_path):
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="must hold one dict from parameter name to tensor"):
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / "last.ckpt"))

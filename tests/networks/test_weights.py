"""Weights files: round trip, the formats that people publish, and one clear error for what does not fit."""

import argparse
import logging
import re
import urllib.error

import pytest
import timm
import torch
import torchvision
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import nn

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
        ("torchvision/vit_b_32", torchvision.models.vit_b_32),  # its own names begin with encoder.
        ("timm/convnext_atto", lambda: timm.create_model("convnext_atto")),
        ("timm/hardcorenas_a", lambda: timm.create_model("hardcorenas_a")),
        ("timm/legacy_seresnet18", lambda: timm.create_model("legacy_seresnet18")),
    ],
)
def test_a_file_may_hold_the_classifier_too(tmp_path, name, create):
    whole = published(create(), tmp_path / "whole.safetensors")
    backbone = create_backbone(name, pretrained=tmp_path / "whole.safetensors")
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(whole.state_dict()[name], tensor), name


# ------------------------------------------------------------------------------- as other programs write them


class Foreign:
    """Of a program that is not installed here."""


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def mlp(prefix):
    return {f"{prefix}.{n}.{part}": torch.ones(9, 9)[:, : 9 if part == "weight" else 1] for n in (0, 2)
            for part in ("weight", "bias")}  # fmt: skip


def moco(f, other):
    state = under("module.encoder_q.", f | mlp("fc")) | under("module.encoder_k.", other | mlp("fc"))
    state |= {"module.queue": torch.ones(128, 9), "module.queue_ptr": torch.zeros(1)}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    return {"epoch": 200, "arch": "resnet18", "state_dict": state, "optimizer": optimizer}


def sup_contrast(f, other):
    renamed = {name.replace(".downsample.", ".shortcut."): tensor for name, tensor in f.items()}
    options = argparse.Namespace(batch_size=256, lr_decay_epochs=[700, 800])
    return {"opt": options, "model": under("encoder.module.", renamed) | mlp("head"), "epoch": 1000}


def solo_learn(f, other):
    state = under("backbone.", f) | under("momentum_backbone.", other) | mlp("projector") | mlp("predictor")
    state |= {"classifier.weight": torch.ones(7, 512), "classifier.bias": torch.ones(7)}
    options = OmegaConf.create({"optimizer": {"lr": 0.1, "steps": [1, 2]}})
    return {
        "state_dict": state,
        "hyper_parameters": options,
        "pytorch-lightning_version": "2.1.2",
        "loops": {},
    }


def lightly(f, other):
    children = dict(create_backbone("torchvision/resnet18").named_children())
    number = {name: str(place) for place, name in enumerate(children)}
    names = {name: name.replace(first, number[first], 1) for name in f for first in [name.partition(".")[0]]}
    state = under("backbone.", {names[name]: tensor for name, tensor in f.items()})
    return {"state_dict": state | under("backbone_momentum.", other) | mlp("projection_head.layers")}


def timm_script(f, other):
    head = {"fc.weight": torch.ones(7, 512), "fc.bias": torch.ones(7)}
    args = argparse.Namespace(model="resnet18")
    return {
        "epoch": 3,
        "arch": "resnet18",
        "state_dict": f | head,
        "state_dict_ema": other | head,
        "args": args,
    }


def lightning(f, other):
    callbacks = {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}, "Own": Foreign()}
    state = under("model.", f) | {"model.fc.weight": torch.ones(7, 512), "val_acc.total": torch.ones(())}
    return {"state_dict": state, "callbacks": callbacks, "hyper_parameters": {"net": Foreign()}}


WRITERS = {
    "moco": (moco, "left out fc (4), encoder_k (124), queue (1) and 2 more"),
    "sup_contrast": (sup_contrast, "head (4)"),
    "solo_learn": (solo_learn, "momentum_backbone"),
    "lightly": (lightly, "backbone_momentum"),
    "timm": (timm_script, "state_dict_ema"),
    "lightning": (lightning, "fc (1)"),
    "compiled": (lambda f, _: {"model_state": under("_orig_mod.module.", f)}, ""),
    "nested": (lambda f, other: {"model": {"backbone": f, "momentum": other}}, "momentum"),
    "old file": (lambda f, _: f, ""),
}


@pytest.mark.parametrize("counters", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
def test_weights_of_other_programs(tmp_path, writer, counters, caplog):
    write, left_out = WRITERS[writer]
    right, other = (create_backbone("torchvision/resnet18").state_dict() for _ in range(2))
    given = right if counters else {n: w for n, w in right.items() if not n.endswith("num_batches_tracked")}
    path = tmp_path / "weights.pth"
    torch.save(write(given, other), path, _use_new_zipfile_serialization=writer != "old file")
    with caplog.at_level(logging.INFO):
        backbone = create_backbone("torchvision/resnet18", pretrained=path)
    for name, tensor in right.items():
        assert torch.equal(backbone.state_dict()[name], tensor), name
    assert f"{path}: loaded {len(given)} tensors" in caplog.text
    assert ("left out" in caplog.text) == bool(left_out)
    assert left_out in caplog.text


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


# -------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("file", SAVE)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("stem.0.weight"), "it lacks stem.0.weight;"),
        (lambda state: state.update({"stem.9.weight": torch.ones(1)}), "it also holds stem.9.weight;"),
        (
            lambda state: state.update({"stem.0.weight": torch.ones(1)}),
            "has stem.0.weight of shape (1,) instead of (16, 3, 3, 3);",
        ),
        (lambda state: [state.pop(name) for name in list(state)[:-1]], "it lacks stem.0.weight, "),
    ],
)
def test_a_file_of_another_network_is_one_sentence(tmp_path, change, message, file):
    state = create_backbone("cifar/resnet8").state_dict()
    change(state)
    SAVE[file](state, tmp_path / file)
    with pytest.raises(ValueError, match=f"{file} is of another network: ") as error:
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / file))
    assert message in str(error.value)
    assert "choose network.backbone, network.stem and network.backbone_options" in str(error.value)


def test_a_refused_file_changes_nothing(tmp_path):
    backbone = create_backbone("cifar/resnet8")
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    torch.save(under("model.", create_backbone("cifar/resnet14").state_dict()), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="of another network"):
        create_backbone("cifar/resnet8", pretrained=tmp_path / "w.pt")
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_an_unknown_prefix_is_named(tmp_path):
    torch.save(under("trunk.", create_backbone("cifar/resnet8").state_dict()), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"or remove 'trunk\.', under which everything is there"):
        create_backbone("cifar/resnet8", pretrained=tmp_path / "w.pt")


def test_a_prefix_that_is_known_is_not_to_be_removed(tmp_path):
    state = create_backbone("cifar/resnet8").state_dict() | {"stem.0.weight": torch.ones(16, 1, 3, 3)}
    torch.save({"state_dict": under("net.", state)}, tmp_path / "w.ckpt")
    with pytest.raises(ValueError, match=r"shape \(16, 1, 3, 3\) instead of (?!.*remove)"):
        create_backbone("cifar/resnet8", pretrained=tmp_path / "w.ckpt")


def whole_model(path):
    torch.save(torchvision.models.resnet18(), path)


def whole_model_in_a_dict(path):
    torch.save({"epoch": 1, "model": nn.Sequential(nn.Linear(2, 2))}, path)


def half(path):
    torch.save(create_backbone("cifar/resnet8").state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("file", SAVE)
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "does not exist; give the path"),
        (lambda path: path.mkdir(), "is a folder; give the path"),
        (lambda path: path.write_text(""), "is empty; give the path"),
        (
            lambda path: path.write_text("epoch 1\nloss 2"),
            r"is a text file \(it begins with 'epoch 1 loss 2'\);",
        ),
        (lambda path: path.write_text("<html>"), r"is a text file \(it begins with '<html>'\);"),
        (half, "is damaged, half-written or of another kind;"),
        (whole_model, r"pickled objects \(torchvision.models.resnet.ResNet\), .*save model.state_dict\(\)"),
        (whole_model_in_a_dict, r"pickled objects \(torch.nn.modules.container.Sequential\), .*save model"),
        (lambda path: torch.save({"epoch": 3, "state_dict": {}}, path), "holds no tensors: .*save model"),
    ],
)
def test_what_holds_no_weights_is_one_sentence(tmp_path, write, message, file):
    write(tmp_path / file)
    if file.endswith(".safetensors") and "objects" in message + str(write):
        message = "is damaged, half-written or of another kind"
    elif file.endswith(".safetensors") and "no tensors" in message:
        message = "is damaged"
    with pytest.raises(ValueError, match=message) as error:
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / file))
    assert re.search(re.escape(str(tmp_path / file)), str(error.value))
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_code_in_a_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    torch.save({"stem.0.weight": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="holds pickled objects"):
        create_backbone("cifar/resnet8", pretrained=str(tmp_path / "trap.pt"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/resnet18"])
def test_published_weights_without_a_network_are_one_sentence(name, monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(ValueError, match=f"published weights of {name} cannot be downloaded") as error:
        create_backbone(name, pretrained=True)
    assert "(Name or service not known); check the network" in str(error.value)
    assert "network.pretrained=FILE" in str(error.value)

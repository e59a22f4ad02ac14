"""The second stage alone: an existing classifier, one's own folder, a frozen copy of what it was."""

import sys

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from safetensors.torch import load_file, save_file

from ctc_lightning import train as training
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.contrast import NCE
from ctc_lightning.export.command import export
from ctc_lightning.key_encoder import FrozenEncoder
from ctc_lightning.memory import TwinBank

CLASSES = ["daisy", "rose", "tulip"]
NUM_TRAIN = 24
SHORT = [
    "experiment=ctc_finetune",
    "network.backbone=timm/resnet10t",
    "data.image_size=32",
    "data.batch_size=8",
    "data.num_workers=1",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "callbacks.transfer_probe.every_n_epochs=2",
    "callbacks.transfer_probe.also_at=[]",
    "num_threads=1",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with PNGs of three classes and a trained classifier's file."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    for split, count in {"train": NUM_TRAIN, "val": 6, "test": 9}.items():
        for number in range(count):
            images = folder / "photos" / split / CLASSES[number % 3]
            images.mkdir(parents=True, exist_ok=True)
            level = rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)
            level[..., number % 3] //= 4
            Image.fromarray(level).save(images / f"{number:02d}.png")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = timm.create_model("resnet10t", num_classes=3)
        for tensor in network.buffers():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))  # statistics as after training
    save_file(network.state_dict(), folder / "trained.safetensors")
    return folder


@pytest.fixture(scope="module")
def given(place):
    """The tensors that the file holds."""
    return load_file(place / "trained.safetensors")


@pytest.fixture(scope="module")
def run_dir(place):
    """The run directory of a short training that began there."""
    training.train(configuration(place, f"checkpoint={place / 'trained.safetensors'}"))
    return place / "run"


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def configuration(place, *overrides):
    places = [
        f"data.root={place / 'photos'}",
        f"data.cache_dir={place / 'cache'}",
        f"paths.run_dir={place / 'run'}",
    ]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("train", overrides=[*SHORT, *places, *overrides])


def test_it_begins_at_the_file_with_a_frozen_copy_two_banks_and_nce(place, given):
    _, module, _ = training.build(configuration(place, f"checkpoint={place / 'trained.safetensors'}"))
    assert list(module.stages) == ["temporal"]
    stage = module.stages["temporal"]
    assert (type(stage.key_encoder), type(stage.memory), type(stage.contrast)) == (
        FrozenEncoder,
        TwinBank,
        NCE,
    )
    for name, tensor in module.network.backbone.state_dict().items():
        assert torch.equal(tensor, given[name]), name
    assert torch.equal(module.network.classifier.weight, given["fc.weight"])
    assert torch.equal(module.network.classifier.bias, given["fc.bias"])


def test_the_past_stays_what_the_file_said_while_the_network_moves_on(run_dir, given):
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    past = "stages.temporal.key_encoder.encoder.0."
    frozen = {name.removeprefix(past): tensor for name, tensor in state.items() if name.startswith(past)}
    assert frozen.keys() == given.keys() - {"fc.weight", "fc.bias"}
    for name, tensor in frozen.items():
        assert torch.equal(tensor, given[name]), name
    moved = [name for name in frozen if not torch.equal(state[f"network.backbone.{name}"], given[name])]
    assert {"conv1.0.weight", "bn1.running_mean"} <= set(moved)

    log = pd.read_csv(run_dir / "metrics.csv")
    for name in ("train/loss", "train/ce", "train/contrast"):
        losses = log[name].dropna()
        assert len(losses) == 2
        assert np.isfinite(losses).all()
    for bank in ("of_queries", "of_keys"):
        row_ND = state[f"stages.temporal.memory.{bank}.row_ND"]
        assert row_ND.shape == (NUM_TRAIN, 128)
        torch.testing.assert_close(row_ND.norm(dim=1), torch.ones(NUM_TRAIN))  # every image's was written
    table = pd.read_csv(run_dir / "results.csv")
    assert set(table.epoch) == {0, 2}
    assert set(table.method) == {"ctc_finetune"}


def test_the_file_is_not_needed_to_export_what_came_of_it(place, run_dir, tmp_path):
    moved = (place / "trained.safetensors").rename(tmp_path / "away")
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("export", overrides=[f"checkpoint={run_dir}", "format=timm", "classifier=true"])
        folder = export(cfg, "timm")
    finally:
        moved.rename(place / "trained.safetensors")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert list(model.pretrained_cfg["label_names"]) == CLASSES
    for name, tensor in model.state_dict().items():
        ours = f"network.classifier.{name[3:]}" if name.startswith("fc.") else f"network.backbone.{name}"
        assert torch.equal(tensor, state[ours]), name


def test_a_run_of_ours_can_be_where_it_begins(place, run_dir):
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    _, module, _ = training.build(configuration(place, f"checkpoint={checkpoint}"))
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    for name, tensor in module.network.state_dict().items():
        assert torch.equal(tensor, state[f"network.{name}"]), name


def test_a_classifier_of_renamed_classes_is_refused(place, run_dir, tmp_path):
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save(content | {"classes": ["daisy", "peony", "rose"]}, tmp_path / "named.ckpt")
    with pytest.raises(ValueError, match=r"class 1 was 'peony' and is 'rose' .*keep_classifier=false"):
        training.build(configuration(place, f"checkpoint={tmp_path / 'named.ckpt'}"))
    training.build(
        configuration(place, f"checkpoint={tmp_path / 'named.ckpt'}", "network.keep_classifier=false")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint=other.pth"], "the weights file other.pth is of another network: it "),
        (["checkpoint=absent.pth"], "absent.pth does not exist"),
        ([], "there are no weights to begin with: give checkpoint=FILE"),
        (
            ["checkpoint=trained.safetensors", "model.num_negatives=24"],
            "num_negatives is 24, but only 23 of the 24 training images",
        ),
    ],
    ids=["another architecture", "no file", "nothing", "too many negatives"],
)
def test_mistakes_are_one_sentence_each(arguments, message, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    torch.save(timm.create_model("resnet18", num_classes=3).state_dict(), place / "other.pth")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards
    monkeypatch.setattr(
        sys, "argv", ["train.py", *SHORT, "data.root=photos", "hydra.run.dir=failed", *arguments]
    )
    with pytest.raises(SystemExit) as stopped:
        training.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1
    assert message in said

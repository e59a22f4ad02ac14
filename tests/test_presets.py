"""Modules by the name of their method, and from checkpoints of any trainer."""

from contextlib import suppress

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data import IndexedDataset
from ctc_lightning.memory import KeyQueue
from ctc_lightning.module import CTCModule
from ctc_lightning.train import build

MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
SMALL = {"backbone": "cifar/resnet8", "num_classes": 10, "image_channels": 1}
TINY = """data=digits data.source_label=digit data.num_train=24 data.num_val=20 data.num_test=20
    data.batch_size=8 callbacks=provenance logger.csv=null
    trainer.enable_progress_bar=false trainer.max_epochs=2"""


def loader(num=24):
    images = torch.randn(num, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return DataLoader(IndexedDataset(TensorDataset(images, torch.arange(num) % 10)), 8)


def fit(module, folder, max_epochs=2):
    trainer = pl.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )
    trainer.fit(module, loader())
    trainer.save_checkpoint(folder / "x.ckpt")
    return folder / "x.ckpt"


class Own(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(1))

    def forward(self, images):
        return self.layers(images).flatten(1)


# --------------------------------------------------------------------------------------------- from_preset


@pytest.mark.parametrize("preset", MODELS)
def test_a_preset_has_the_parts_of_the_command_line(preset):
    small = {"num_negatives": 4} if preset == "ctc_two_stage_reference" else {}
    module = CTCModule.from_preset(preset, **SMALL, **small)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        words = [f"model={preset}", *(f"model.{key}={value}" for key, value in small.items()), *TINY.split()]
        built = build(compose("train", [*words, "paths.run_dir=none"]))[1]
    assert list(module.stages) == list(built.stages)
    for name, stage in module.stages.items():
        other = built.stages[name]
        for part in ("key_encoder", "memory", "contrast"):
            assert type(getattr(stage, part)) is type(getattr(other, part))
        for option in ("epochs", "weight", "lr_scale", "weight_decay_scale", "refresh"):
            assert getattr(stage, option) == getattr(other, option)
        if stage.contrast is not None:
            assert stage.contrast.temperature == other.contrast.temperature
    assert module.make_optimizer.keywords == built.make_optimizer.keywords
    assert type(module.lr_schedule) is type(built.lr_schedule)


def test_options_reach_their_parts_and_are_shown():
    module = CTCModule.from_preset(
        "ctc_queue", **SMALL, queue_size=96, temperature=0.3, lr=0.02, label_smoothing=0.1
    )
    stage = module.stages["contrast"]
    assert isinstance(stage.memory, KeyQueue)
    assert stage.memory.size == module.hparams["queue_size"] == 96
    assert stage.contrast.temperature == module.hparams["temperature"] == 0.3
    assert module.make_optimizer.keywords["lr"] == module.hparams["optim"]["optimizer"]["lr"] == 0.02
    assert module.label_smoothing == 0.1
    assert module.hparams["preset"] == "ctc_queue"
    assert module.hparams["backbone"] == "cifar/resnet8"
    assert module.hparams["num_classes"] == module.classifier.out_features == 10


def test_overrides_are_those_of_the_command_line():
    module = CTCModule.from_preset(
        "ctc_queue", **SMALL, overrides=["memory@model.stages.contrast.memory=batch", "optim=imagenet"]
    )
    assert type(module.stages["contrast"].memory).__name__ == "BatchMemory"
    assert module.lr_base_batch == 256


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"queue_sise": 5},
            "there is no option queue_sise with preset 'ctc_queue'; did you mean queue_size?",
        ),
        ({"queue_size": 0}, "queue: size is 0"),
        ({"queue_size": 2.5}, "queue_size is 2.5|queue: size is 2.5|size is 2.5"),
        ({"temperature": float("nan")}, "temperature is nan; it must be a finite number"),
        ({"num_classes": 1}, "num_classes is 1; it must be a whole number of at least 2"),
        ({"backbone": "cifar/resnet9"}, "there is no backbone 'cifar/resnet9'"),
        (
            {"backbone": Own(), "stem": "cifar"},
            "stem and backbone_options are for backbones that are given by",
        ),
        ({"backbone": Own(), "image_channels": 3}, r"Own does not take images of shape \(3, 224, 224\)"),
        ({"backbone": nn.Conv2d(1, 4, 3)}, r"Conv2d gives \(2, 4, 222, 222\) for 2 images; it must give"),
        (
            {"overrides": ["model.queue_sise=5"]},
            "there is no model.queue_sise .*did you mean model.queue_size",
        ),
        ({"overrides": ["optim=none_such"]}, "optim=none_such does not exist; choose one of"),
        ({"overrides": ["memory@model.stages.contrast.memory=batch"], "queue_size": 9}, "no part of model="),
    ],
)
def test_what_the_command_line_refuses_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        CTCModule.from_preset("ctc_queue", **SMALL | options)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_one_sentence():
    with pytest.raises(ValueError, match="model=ctc_qeue does not exist; did you mean ctc_queue"):
        CTCModule.from_preset("ctc_qeue", **SMALL)


def test_ones_own_hydra_program_is_left_alone(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        CTCModule.from_preset("ctc_queue", **SMALL)
        assert compose("mine").a == 1
    assert not GlobalHydra.instance().is_initialized()


def test_a_module_of_ones_own_is_a_backbone_of_the_width_that_it_gives():
    own = Own(width=7).train()
    statistics = own.layers[1].running_mean.clone()
    module = CTCModule.from_preset("ctc_queue", backbone=own, num_classes=3, image_channels=1)
    assert module.backbone is own
    assert module.classifier.in_features == 7
    assert own.training
    assert torch.equal(own.layers[1].running_mean, statistics), "looking at the width changes nothing"
    assert module(torch.randn(2, 1, 9, 9)).shape == (2, 3)


# -------------------------------------------------------------------------------------- load_from_checkpoint


def same(one, other):
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    images = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(one.eval()(images), other.eval()(images))


@pytest.mark.parametrize("preset", ["ce", "ctc_queue", "ctc_bank", "ctc_two_stage"])
def test_a_checkpoint_of_a_bare_trainer_makes_its_module(preset, tmp_path):
    module = CTCModule.from_preset(preset, **SMALL, lr=0.02)
    path = fit(module, tmp_path)
    loaded = CTCModule.load_from_checkpoint(path)
    same(loaded, module)
    assert dict(loaded.hparams) == dict(module.hparams)
    assert torch.load(path, weights_only=True)["config"]["model"]["name"] == preset
    fit(loaded, tmp_path)


def test_a_checkpoint_with_a_backbone_of_ones_own_asks_for_it(tmp_path):
    module = CTCModule.from_preset("ctc_queue", backbone=Own(), num_classes=10, image_channels=1)
    path = fit(module, tmp_path)
    with pytest.raises(ValueError, match=r"a backbone of your own, Own; give it: .*backbone=Own\(\.\.\.\)"):
        CTCModule.load_from_checkpoint(path)
    same(CTCModule.load_from_checkpoint(path, backbone=Own()), module)
    with pytest.raises(ValueError, match="weights of another architecture"):
        CTCModule.load_from_checkpoint(path, backbone=Own(width=5))


@pytest.fixture(scope="module")
def of_train(tmp_path_factory):
    """The checkpoint of a training as the command line composes it, and its module."""
    folder = tmp_path_factory.mktemp("run")
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", ["model=ctc_two_stage", *TINY.split(), f"paths.run_dir={folder}"])
    trainer, module, data = build(cfg)
    trainer.fit(module, data)
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt", module


def test_a_checkpoint_of_train_makes_its_module(of_train):
    path, module = of_train
    loaded = CTCModule.load_from_checkpoint(path)
    same(loaded, module)
    assert loaded.hparams["preset"] == "ctc_two_stage"


def test_an_older_checkpoint_states_less(of_train, tmp_path):
    path, module = of_train
    content = torch.load(path, weights_only=True)
    for key in ("input", "classes", "images", "global_batch", "epoch_means"):
        del content[key]
    for key in ("lr_base_batch", "decay_norm_and_bias"):
        del content["config"]["optim"][key]
    del content["config"]["label_smoothing"]
    torch.save(content, tmp_path / "older.ckpt")
    same(CTCModule.load_from_checkpoint(tmp_path / "older.ckpt"), module)


@pytest.mark.parametrize(
    "target", ["os.system", "ctc_lightning.train.train", "torch.load", "torch.optim.Adamant"]
)
@pytest.mark.parametrize("place", ["network.projector", "optim.optimizer", "model.stages.instance.memory"])
def test_foreign_code_is_refused(target, place, of_train, tmp_path):
    content = torch.load(of_train[0], weights_only=True)
    config = OmegaConf.create(content["config"])
    OmegaConf.update(config, f"{place}._target_", target)
    content["config"] = OmegaConf.to_container(config)
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match=f"{target}|Adamant"):
        CTCModule.load_from_checkpoint(tmp_path / "foreign.ckpt")


def test_pickled_objects_are_not_made(of_train, tmp_path):
    class Boom:
        def __reduce__(self):
            return (tmp_path.joinpath("boom").mkdir, ())

    torch.save(torch.load(of_train[0], weights_only=True) | {"x": Boom()}, tmp_path / "boom.ckpt")
    with suppress(ValueError):
        CTCModule.load_from_checkpoint(tmp_path / "boom.ckpt")
    assert not (tmp_path / "boom").exists()


def test_what_is_no_checkpoint_of_a_module_is_one_sentence(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "other.ckpt")
    torch.save({"state_dict": {"network.classifier.weight": torch.zeros(1, 1)}}, tmp_path / "parts.ckpt")
    for name, sentence in {
        "none.ckpt": "does not exist",
        "other.ckpt": "is no checkpoint of a CTCModule",
        "parts.ckpt": r"does not hold its configuration, .*load_from_checkpoint\(path, network=",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            CTCModule.load_from_checkpoint(tmp_path / name)

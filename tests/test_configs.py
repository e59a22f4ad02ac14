"""Every configuration builds what it says, and every part swaps on the command line."""

import inspect
import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning.strategies import DDPStrategy

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.contrast import NCE
from ctc_lightning.data import Identity
from ctc_lightning.evaluation import Protocol
from ctc_lightning.files.digests import digest_of
from ctc_lightning.key_encoder import FrozenEncoder, QueryEncoder
from ctc_lightning.memory import BatchMemory, MemoryBank, TwinBank
from ctc_lightning.networks import MLPProjector
from ctc_lightning.optim import WarmupCosine
from ctc_lightning.train import build
from ctc_lightning.training.callbacks import MilestoneCheckpoint, TransferProbe
from ctc_lightning.training.loggers import MetricsCSV

EXPERIMENTS = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))
EMBEDDED = [name for name in EXPERIMENTS if name.split("_")[0] in ("digits", "glyphs")]
PROTOCOLS = sorted(path.stem for path in (config_dir() / "protocol").glob("*.yaml"))
PROGRAMS = ("train", "transfer", "information", "export")
MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
KEY_ENCODER = "key_encoder@model.stages.contrast.key_encoder"
MEMORY = "memory@model.stages.contrast.memory"
CONTRAST = "contrast@model.stages.contrast.contrast"

GROUPS = sorted({str(path.parent.relative_to(config_dir())) for path in config_dir().glob("*/**/*.yaml")})


@pytest.mark.parametrize("group", [group for group in GROUPS if group.split("/")[0] != "hydra"])
def test_every_group_composes(group):
    """As a choice of a program, or, in a group that a program has no choice of, added to it."""
    choice = min(path.stem for path in (config_dir() / group).glob("*.yaml"))
    assert any(composes(program, f"{added}{group}={choice}") for program in PROGRAMS for added in ("", "+"))


def composes(program, override):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            compose(program, [override])
        except HydraException:
            return False
    return True


@pytest.fixture
def parts(tmp_path):
    """A function of the command line: the configuration, and the trainer, module and data it builds."""

    def make(*overrides):
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("train", overrides=[*overrides, f"paths.run_dir={tmp_path}"])
        return cfg, *build(cfg)

    return make


@pytest.mark.parametrize("experiment", EMBEDDED)
def test_every_experiment_on_embedded_data_builds(experiment, parts):
    cfg, trainer, module, data = parts(f"experiment={experiment}", "data.num_val=50", "data.num_test=50")
    assert experiment == f"{data.name}_{cfg.method}"
    assert trainer.max_epochs == sum(position.num_epochs for position in module.stage_schedule.positions)
    assert {"Provenance", "RandomState", "TransferProbe", "MilestoneCheckpoint", "Summary"} <= {
        type(callback).__name__ for callback in trainer.callbacks
    }
    assert [logger.save_dir for logger in trainer.loggers] == [cfg.paths.run_dir]


def test_every_argument_of_the_trainer_has_its_plain_name():
    cpu = OmegaConf.load(config_dir() / "trainer" / "cpu.yaml")
    arguments = {
        name for name in inspect.signature(pl.Trainer).parameters if name not in ("callbacks", "logger")
    }
    assert {str(key) for key in cpu} == arguments | {"_target_"}


def test_what_is_given_to_the_trainer_reaches_it(parts):
    given = {"max_steps": 4, "gradient_clip_val": 1, "limit_train_batches": 2, "val_check_interval": 1}
    overrides = [f"trainer.{name}={value}" for name, value in given.items()]
    _, trainer, *_ = parts("debug=fast", *overrides, "trainer.detect_anomaly=true")
    assert {name: getattr(trainer, name) for name in given} == given
    assert trainer._detect_anomaly


@pytest.mark.parametrize("model", MODELS)
def test_every_model_builds(model, parts):
    fewer = ["model.num_negatives=20"] if model == "ctc_two_stage_reference" else []
    cfg, _, module, images = parts("debug=fast", f"model={model}", *fewer)
    assert cfg.method == model
    assert module(torch.zeros(2, *images.image_shape)).shape == (2, images.num_classes)


@pytest.mark.parametrize(
    ("overrides", "part", "expected"),
    [
        ([f"{KEY_ENCODER}=frozen"], "key_encoder", FrozenEncoder),
        ([f"{KEY_ENCODER}=query", f"{MEMORY}=bank"], "key_encoder", QueryEncoder),
        ([f"{MEMORY}=bank"], "memory", MemoryBank),
        ([f"{MEMORY}=batch"], "memory", BatchMemory),
        ([f"{MEMORY}=twin_bank"], "memory", TwinBank),
        ([f"{CONTRAST}=nce"], "contrast", NCE),
        (["model=ctc_bank", f"{KEY_ENCODER}=frozen", f"{CONTRAST}=nce"], "contrast", NCE),
        (["+projector@model.stages.contrast.projector=mlp"], "projector", MLPProjector),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_parts_swap(overrides, part, expected, parts):
    *_, module, _ = parts("debug=fast", *overrides)
    assert type(getattr(module.stages["contrast"], part)) is expected


def test_networks_swap(parts):
    backbone = ["network=any", "network.backbone=timm/resnet18", "network.stem=cifar"]
    *_, module, _ = parts("debug=fast", *backbone, "projector@network.projector=mlp")
    assert module.network.backbone.num_features == 512
    assert isinstance(module.network.projector, MLPProjector)


def test_schedules_augmentations_and_trainers_swap(parts):
    _, trainer, module, data = parts(
        "debug=fast", "model=ce", "optim=reference_ce", "data/augmentation=none", "trainer=ddp_sim"
    )
    assert isinstance(module.lr_schedule, WarmupCosine)
    assert isinstance(data.augmentation, Identity)
    assert isinstance(trainer.strategy, DDPStrategy)
    assert trainer.world_size == 2


def test_what_is_beside_the_training_can_be_left_out(parts):
    def left(*overrides):
        return {TransferProbe, MilestoneCheckpoint} & set(
            map(type, parts("debug=fast", *overrides)[1].callbacks)
        )

    assert left() == {TransferProbe, MilestoneCheckpoint}
    assert left("callbacks.transfer_probe=null") == {MilestoneCheckpoint}
    assert left("callbacks=none") == set()


@pytest.mark.parametrize("choice", ["none", "wandb", "[csv,tensorboard,wandb]"])
def test_whatever_logger_is_chosen_metrics_csv_is_written(choice, parts):
    cfg, trainer, *_ = parts("debug=fast", f"logger={choice}")
    written = [logger.log_dir for logger in trainer.loggers if isinstance(logger, MetricsCSV)]
    assert [Path(folder) for folder in written] == [Path(cfg.paths.run_dir)]


def test_the_short_names_reach_the_parts(parts):
    *_, module, _ = parts(
        "debug=fast",
        "model.temperature=0.3",
        "model.queue_size=77",
        "model.momentum=0.8",
        "model.weight=0.25",
    )
    stage = module.stages["contrast"]
    assert (stage.contrast.temperature, stage.memory.size) == (0.3, 77)
    assert (stage.key_encoder.momentum, stage.weight) == (0.8, 0.25)


def test_building_leaves_the_configuration_as_it_is(tmp_path):
    overrides = ["debug=fast", f"paths.run_dir={tmp_path}"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg, again = (compose("train", overrides=overrides) for _ in range(2))
    build(cfg)
    assert cfg == again


def transfer_config(*overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("transfer", overrides=[*overrides, "paths.root=none"])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_builds_and_its_settings_are_plain_values(name):
    protocols = {key: instantiate(cfg) for key, cfg in transfer_config(f"protocol={name}").protocol.items()}
    (protocol,) = protocols.values()
    assert list(protocols) == [name]
    assert isinstance(protocol, Protocol)
    plain = json.loads(json.dumps(protocol.settings))  # a digest of anything else may change from run to run
    assert plain.keys() == protocol.settings.keys()


def test_all_protocols_can_be_chosen_together():
    chosen = transfer_config(f"protocol=[{','.join(PROTOCOLS)}]").protocol
    assert sorted(chosen) == PROTOCOLS


def test_what_a_training_measures_is_not_measured_again_afterwards(parts):
    """The same settings of a protocol, from either configuration."""
    _, trainer, *_ = parts("debug=fast")
    (probe,) = [callback for callback in trainer.callbacks if isinstance(callback, TransferProbe)]
    assert len(probe.protocols) > 0
    for name, protocol in probe.protocols.items():
        afterwards = instantiate(transfer_config(f"protocol={name}").protocol[name])
        assert type(afterwards) is type(protocol)
        assert digest_of(afterwards.settings) == digest_of(protocol.settings)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ([], [1, 2, 3, 5], None)),
        (
            ["targets=[hue,digits/digit]", "also_at=[]", "data.num_train=50"],
            (["hue", "digits/digit"], [], 50),
        ),
    ],
)
def test_the_probes_options_reach_it(options, expected, parts):
    _, trainer, *_ = parts("debug=fast", *(f"callbacks.transfer_probe.{option}" for option in options))
    (probe,) = [callback for callback in trainer.callbacks if isinstance(callback, TransferProbe)]
    seen = (list(probe.names or ()), sorted(probe.also_at), probe.options.given.get("num_train"))
    assert seen == expected

"""Checkpoints of any network as files, an export of one, and what the model card's own lines load."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.export.command import export
from ctc_lightning.networks import Network, create_network

CLASSES = ["ant", "bee", "cat", "dog", "elk"]
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


class Source(NamedTuple):
    """A checkpoint, the network it was made from, and random images for it."""

    file: Path
    network: Network
    shape: tuple[int, int, int]
    classes: tuple[str, ...] = tuple(CLASSES)

    @property
    def mean(self):
        return MEAN[: self.shape[0]]

    @property
    def std(self):
        return STD[: self.shape[0]]

    def images(self, count=3):
        return torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(1))

    @torch.no_grad()
    def outputs(self, *, classifier, count=3):
        h_BF = self.network.backbone(self.images(count))
        return self.network.classifier(h_BF) if classifier else h_BF


def configuration(*overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("export", overrides=list(overrides))


def stir(network, seed=0):
    """Weights and statistics as after training: none of them 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim <= 1:
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(0.8 + 0.4 * noise if "var" in name or name.endswith("weight") else 0.2 * noise - 0.1)
    return network.eval()


@pytest.fixture
def checkpoint(tmp_path):
    """A function: write a checkpoint with the entries that a training's have, of epoch 4 or some steps later;
    its file and its network."""

    def write(backbone, *, shape=(3, 32, 32), folder="run", steps_since=0, **options):
        network_config = {
            "_target_": "ctc_lightning.networks.create_network",
            "_convert_": "all",
            "backbone": backbone,
            "projector": {"_target_": "ctc_lightning.networks.LinearProjector", "_partial_": True, "dim": 8},
            "pretrained": False,
            **options,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = stir(
                create_network(
                    backbone=backbone,
                    num_classes=len(CLASSES),
                    projector=None,
                    image_channels=shape[0],
                    image_size=shape[1],
                    **options,
                )
            )
        beside = {  # of the method, not of the network
            "network.projector.linear.weight": torch.zeros(8, 4),
            "stages.contrast.memory.key_KD": torch.zeros(16, 8),
            "stages.contrast.key_encoder.encoder.0.conv1.weight": torch.zeros(4),
        }
        file = tmp_path / folder / "checkpoints" / "last.ckpt"
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "state_dict": {f"network.{name}": w for name, w in network.state_dict().items()} | beside,
                "config": {
                    "method": "ctc_queue",
                    "seed": 3,
                    "data": {"name": "pets", "root": str(tmp_path / "secret"), "crop_share": 0.875},
                    "network": network_config,
                    "trainer": {"max_epochs": 7, "default_root_dir": str(tmp_path / "secret")},
                    "paths": {"root": str(tmp_path / "secret")},
                },
                "classes": CLASSES,
                "input": {"shape": shape, "mean": MEAN[: shape[0]], "std": STD[: shape[0]]},
                "loops": {
                    "fit_loop": {
                        "epoch_progress": {"current": {"ready": 4 + bool(steps_since), "processed": 4}},
                        "epoch_loop.batch_progress": {
                            "current": {"completed": steps_since or 11},
                            "total": {"completed": 44 + steps_since},
                        },
                    }
                },
                "global_step": 44 + steps_since,
            },
            file,
        )
        return Source(file, network, shape)

    return write


@pytest.fixture
def exported(tmp_path):
    """A function: export a checkpoint and return the folder."""

    def run(source, format_name, *overrides):
        cfg = configuration(f"checkpoint={source.file}", f"format={format_name}", *overrides)
        before = OmegaConf.to_container(cfg)
        folder = export(cfg, format_name)
        assert OmegaConf.to_container(cfg) == before
        return folder

    return run


@pytest.fixture
def loaded(monkeypatch):
    """A function: run the lines of a model card in its folder; the names that they define."""

    def run(folder, **names):
        monkeypatch.chdir(folder)
        (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
        exec(code, names)
        return SimpleNamespace(**names)

    return run

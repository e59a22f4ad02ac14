"""What a run was, in its directory and in its checkpoints."""

import json
import platform
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

import ctc_lightning
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.training.callbacks import Provenance, provenance

CONFIG = {"model": {"name": "ce", "temperature": None}, "seed": 3, "targets": ["hue", "new"]}


@pytest.fixture
def trainer():
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data = SimpleNamespace(
        classes=("cat", "dog"),
        digest="0123456789abcdef",
        image_sets={"source": {"train": "123", "test": "12"}},
        network_input=NetworkInput((1, 8, 8), (0.3,), (0.4,)),
    )
    return SimpleNamespace(is_global_zero=True, strategy=strategy, world_size=2, datamodule=data)


@pytest.fixture
def callback(tmp_path):
    made = Provenance(tmp_path / "run")
    made.config = CONFIG
    return made


def record(callback):
    return json.loads((callback.run_dir / "provenance.json").read_text())


def test_the_configuration_stands_in_the_directory_before_the_first_step(callback, trainer):
    callback.on_fit_start(trainer, None)
    assert yaml.safe_load((callback.run_dir / "config.yaml").read_text()) == CONFIG
    assert record(callback)["status"] == "running"


def test_the_record_says_with_what_and_how_it_was_run(callback, trainer, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py", "model=ce", "seed=3"])
    callback.on_fit_start(trainer, None)
    callback.on_fit_end(trainer, None)
    written = record(callback)
    assert written["status"] == "finished"
    assert written["command"] == ["train.py", "model=ce", "seed=3"]
    assert written["python"] == platform.python_version()
    assert torch.__version__.startswith(written["versions"]["torch"])
    assert written["versions"]["ctc-lightning"] == ctc_lightning.__version__
    assert written["hardware"].startswith("2 × cpu (")
    assert written["data"] == {
        "images": {"train": 3, "test": 2},
        "classes": ["cat", "dog"],
        "digest": "0123456789abcdef",
    }


def test_seconds_include_those_before_a_resume(callback, trainer, monkeypatch, tmp_path):
    now = iter([100.0, 100.0, 107.0, 500.0, 500.0, 502.5])
    monkeypatch.setattr(provenance, "time", SimpleNamespace(monotonic=lambda: next(now)))
    callback.on_fit_start(trainer, None)
    assert record(callback)["seconds"] == 0
    saved = callback.state_dict()
    assert saved == {"seconds": 7.0}

    resumed = Provenance(tmp_path / "run")
    resumed.load_state_dict(saved)
    resumed.on_fit_start(trainer, None)
    resumed.on_fit_end(trainer, None)
    assert record(resumed)["seconds"] == 9.5


def test_a_checkpoint_says_by_itself_how_it_was_made_and_what_it_expects_to_see(callback, trainer, tmp_path):
    checkpoint = {}
    callback.on_save_checkpoint(trainer, None, checkpoint)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    read = torch.load(tmp_path / "last.ckpt", weights_only=True)  # plain values, no code
    assert read == {
        "config": CONFIG,
        "classes": ["cat", "dog"],
        "images": {"num": {"train": 3, "test": 2}, "digest": "0123456789abcdef"},
        "input": {"shape": (1, 8, 8), "mean": (0.3,), "std": (0.4,)},
    }
    assert NetworkInput(**read["input"]) == trainer.datamodule.network_input


def test_other_ranks_write_nothing(callback, trainer):
    trainer.is_global_zero = False
    callback.on_fit_start(trainer, None)
    callback.on_fit_end(trainer, None)
    assert not callback.run_dir.exists()

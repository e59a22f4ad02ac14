"""Small finished runs for the notebooks, trained once for all processes of the tests."""

import os
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hydra import compose, initialize_config_dir

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.information.__main__ import information
from ctc_lightning.train import build
from ctc_lightning.transfer import transfer

SMALL = ["data.num_train=192", "data.num_val=64", "data.num_test=96", "trainer.max_epochs=3"]
QUIET = ["trainer.enable_progress_bar=false", "logger=none", "~callbacks.summary", "~callbacks.best"]


def composed(name, overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(name, overrides)


def train(run_dir, *overrides):
    """As ``python -m ctc_lightning.train`` does, without the seconds that a process takes to start."""
    cfg = composed("train", [*SMALL, *QUIET, f"paths.run_dir={run_dir}", *overrides])
    trainer, module, data = build(cfg)
    trainer.fit(module, data)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """(name, make) -> the folder that one process has made for all."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name, make) -> Path:
        folder = base / "notebooks" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / "done").exists():
                threads = torch.get_num_threads()
                torch.set_num_threads(1)
                make(folder)
                torch.set_num_threads(threads)
                (folder / "done").touch()
        return folder

    return once


@pytest.fixture(scope="session")
def trade_off_runs(made_once):
    """Two methods, two seeds, checkpoints of epochs 0 to 3: accuracies, geometry and information of each."""

    def make(folder):
        for method in ("ce", "ctc_queue"):
            for seed in (0, 1):
                train(
                    folder / f"{method}_{seed}",
                    f"model={method}",
                    f"seed={seed}",
                    "callbacks.transfer_probe=null",
                )
        failed = transfer(
            composed("transfer", [f"run={folder}", "target=[hue,fine]", "protocol=[whitened,geometry]"])
        )
        few = ["target=[hue]", "ty.classifier.strengths=[100,1]"]
        failed += information(composed("information", [f"run={folder}", *few]))
        assert not failed

    return made_once("trade_off", make)


@pytest.fixture(scope="session")
def sweep_runs(made_once):
    """The temporal queue at two temperatures and two queue sizes, probed at the end."""

    def make(folder):
        probe = "callbacks.transfer_probe"
        at_the_end = [f"{probe}.every_n_epochs=3", f"{probe}.also_at=[]", f"{probe}.targets=[hue,fine]"]
        at_the_end += [f"~{probe}.protocols.{protocol}" for protocol in ("standardised", "knn")]
        for temperature in (0.1, 0.5):
            for size in (64, 128):
                train(
                    folder / f"{temperature}_{size}",
                    f"model.temperature={temperature}",
                    f"model.queue_size={size}",
                    "~callbacks.milestones",
                    "~callbacks.last",
                    *at_the_end,
                )

    return made_once("sweep", make)

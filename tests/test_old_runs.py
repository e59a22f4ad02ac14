"""Runs of the layout before callbacks, loggers and estimators moved (commit 77e0db7) are still of use."""

import shutil
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf

from ctc_lightning.analysis.frames.runs import load_runs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.results import ResultsTable
from ctc_lightning.evaluation.run_checkpoints import read_snapshot
from ctc_lightning.export.command import export
from ctc_lightning.files.old_names import MOVED, with_new_names
from ctc_lightning.train import train
from ctc_lightning.training.resume import changes
from ctc_lightning.transfer import transfer

OLD_RUNS = Path(__file__).parent / "old_runs"
SETTINGS = {
    "ctc_queue": ["experiment=glyphs_ctc_queue", "model.queue_size=32"],
    "ctc_two_stage": ["experiment=glyphs_ctc_two_stage"],
}
SMALL = ["data.num_train=48", "data.num_val=32", "data.num_test=32", "data.batch_size=16"]
SMALL += ["network.projector.dim=8", "trainer.enable_progress_bar=false"]


def composed(name, *overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(name, overrides=list(overrides))


@pytest.fixture(params=SETTINGS)
def run_dir(request, tmp_path):
    return shutil.copytree(OLD_RUNS / request.param, tmp_path / request.param)


def targets(config):
    if isinstance(config, dict):
        for key, value in config.items():
            yield from [value] if key == "_target_" else targets(value)


@pytest.mark.parametrize("run", SETTINGS)
def test_every_class_that_an_old_configuration_names_is_found(run):
    old = OmegaConf.to_container(OmegaConf.load(OLD_RUNS / run / "config.yaml"))
    named = {name for name in targets(old) if name.startswith("ctc_lightning.")}
    assert any(name.startswith(tuple(MOVED)) for name in named)
    for name in set(targets(with_new_names(old))) - {"ctc_lightning.networks.create_network"}:
        get_class(name)


def test_modules_moved_to_where_they_are_now():
    for module in MOVED.values():
        __import__(module)


def test_an_option_that_weights_depend_on_is_compared_under_its_new_name():
    average = {"decay": 0.9}
    before = {
        "callbacks": {"weight_average": {"_target_": "ctc_lightning.callbacks.WeightAverage"} | average}
    }
    now = {
        "callbacks": {
            "weight_average": {"_target_": "ctc_lightning.training.callbacks.WeightAverage"} | average
        }
    }
    assert not changes(with_new_names(before), now)
    now["callbacks"]["weight_average"]["decay"] = 0.8
    assert changes(with_new_names(before), now) == ["callbacks.weight_average.decay was 0.9 and is 0.8"]


def test_it_is_resumed(run_dir):
    before = read_snapshot(run_dir / "checkpoints" / "last.ckpt")
    weights = {name: tensor.clone() for name, tensor in before.state.items()}
    cfg = composed(
        "train",
        *SETTINGS[run_dir.name],
        *SMALL,
        "trainer.max_epochs=3",
        "allow_changes=true",  # of trainer.max_epochs
        "resume=auto",
        "callbacks.transfer_probe=null",
        f"paths.run_dir={run_dir}",
    )
    train(cfg)
    after = read_snapshot(run_dir / "checkpoints" / "last.ckpt")
    assert (before.epoch, after.epoch) == (2, 3)
    assert after.state.keys() == weights.keys()
    name = "network.backbone.stem.0.weight"
    assert not torch.equal(after.state[name], weights[name])


def test_it_is_evaluated(run_dir):
    assert not transfer(
        composed("transfer", f"run={run_dir}", "target=source", "protocol=[knn]", "num_threads=1")
    )
    rows = ResultsTable(run_dir / "results.csv").rows()
    assert {row.metric for row in rows if row.protocol == "knn"}


def test_it_is_exported(run_dir):
    folder = export(composed("export", f"checkpoint={run_dir}", "format=safetensors"), "safetensors")
    assert (folder / "model.safetensors").is_file()


def test_it_is_reported():
    rows = load_runs([OLD_RUNS])
    assert set(rows["method"]) == set(SETTINGS)

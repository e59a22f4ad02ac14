"""Event files, read by TensorBoard itself."""

import sys

import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ctc_lightning.training.loggers.tensorboard_run import TensorBoardRun

EVERYTHING = {"scalars": 0, "images": 0, "tensors": 0}


def read(run_dir):
    return EventAccumulator(str(run_dir / "tensorboard"), EVERYTHING).Reload()


def numbers(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_a_killed_and_resumed_run_shows_every_number_of_metrics_csv_once(resumed):
    table = pd.read_csv(resumed / "metrics.csv").set_index("step")
    events = read(resumed)
    assert set(events.Tags()["scalars"]) == set(table.columns)
    for tag in table.columns:
        expected = table[tag].dropna().astype("float32")
        assert numbers(events, tag) == list(expected.items()), tag


def test_the_configuration_is_there_as_a_file_and_in_the_table_of_runs(resumed):
    expected = yaml.safe_load((resumed / "config.yaml").read_text())
    expected["images"] = torch.load(resumed / "checkpoints" / "last.ckpt", weights_only=True)["images"]
    assert yaml.safe_load((resumed / "tensorboard" / "hparams.yaml").read_text()) == expected
    content = read(resumed).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    shown = HParamsPluginData.FromString(content).session_start_info.hparams
    assert shown["data.name"].string_value == "glyphs"
    assert shown["seed"].number_value == 3


def test_the_figure_is_there(resumed):
    (image,) = read(resumed).Images("figures/trade_off")
    assert (image.width, image.height) == (1400, 800)
    assert image.encoded_image_string.startswith(b"\x89PNG")


def test_a_run_that_begins_again_replaces_what_was_there(tmp_path):
    for values in ([1.0, 2.0, 3.0], [5.0, 6.0]):
        logger = TensorBoardRun(run_dir=str(tmp_path))
        logger.log_hyperparams({"seed": len(values)})
        for step, value in enumerate(values):
            logger.log_metrics({"loss": value}, step=step)
    assert numbers(read(tmp_path), "loss") == [(0, 5.0), (1, 6.0)]
    assert yaml.safe_load((tmp_path / "tensorboard" / "hparams.yaml").read_text()) == {"seed": 2}


def test_every_number_is_in_the_file_at_once(tmp_path):
    logger = TensorBoardRun(run_dir=str(tmp_path))
    logger.log_metrics({"loss": 0.5}, step=0)
    assert numbers(read(tmp_path), "loss") == [(0, 0.5)]
    logger.log_metrics({"loss": 0.25}, step=1)
    assert numbers(read(tmp_path), "loss") == [(0, 0.5), (1, 0.25)]


def test_without_tensorboard_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'ctc-lightning\[tensorboard\]'"):
        TensorBoardRun(run_dir=str(tmp_path))

"""One real training: its metrics.csv alone, and W&B's cloud, give the numbers of ``results.csv``."""

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

import programs
from ctc_lightning.analysis import comparable, load_metrics, load_runs, trade_off
from ctc_lightning.report import report

KEY = ["run", "method", "seed", "epoch", "step", "protocol", "target", "metric"]
FAST = [
    "debug=fast",
    "num_threads=1",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "seed=4",
    "data.style.image_size=16",
    "data.style.max_shift=2",
    "callbacks.transfer_probe.targets=[hue,digits/digit]",
    "callbacks.transfer_probe.data.num_train=60",
    "callbacks.transfer_probe.data.num_val=40",
    "callbacks.transfer_probe.data.num_test=50",
    "~callbacks.transfer_probe.protocols.standardised",
]
LOGS = ["metrics.csv", "api"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    done = programs.run("train", *FAST, f"hydra.run.dir={run_dir}", HOME=str(tmp_path_factory.mktemp("home")))
    assert done.returncode == 0, done.stderr
    return run_dir


class Api:
    """What is used of ``wandb.Api``, serving rows as W&B's server does, with nulls and keys of its own."""

    def __init__(self, run_dir, name="abc123"):
        table = pd.read_csv(run_dir / "metrics.csv", float_precision="round_trip")
        rows = [row.dropna().to_dict() for _, row in table.iterrows()]
        history = [
            {
                "_step": place,
                "_runtime": 1.5 * place,
                "_timestamp": 1.7e9,
                "trainer/global_step": row.pop("step"),
            }
            | dict.fromkeys(table.columns.drop("step"))
            | row
            | {"note": "text", "figures/trade_off": {"_type": "images/separated"}}
            for place, row in enumerate(rows)
        ]
        config = yaml.safe_load((run_dir / "config.yaml").read_text()) | {"_wandb": {"cli_version": "0"}}
        self.served = SimpleNamespace(
            id=name, name="glyphs_ctc_queue_seed_4", config=config, scan_history=lambda: iter(history)
        )
        self.asked = []

    def runs(self, path):
        self.asked.append(path)
        return [self.served]

    def run(self, path):
        self.asked.append(path)
        return self.served


@pytest.fixture
def log_alone(trained, tmp_path):
    """A function of a log's name: the arguments of `load_runs` that show it without the others."""

    def alone(name):
        if name == "api":
            return ("wandb:team/project",), {"wandb_api": Api(trained)}
        folder = tmp_path / "copied"
        folder.mkdir()
        for file in ("metrics.csv", "config.yaml"):
            shutil.copy(trained / file, folder)
        return (folder,), {}

    return alone


@pytest.mark.parametrize("name", LOGS)
def test_each_log_alone_gives_the_numbers_of_results_csv(name, log_alone, trained):
    paths, options = log_alone(name)
    found = load_runs(*paths, **options).set_index(KEY).sort_index()
    expected = load_runs(trained)
    own = expected["metric"].isin(["top1", "val_top1"])  # the own metric of all these targets
    expected = expected[own].set_index(KEY).sort_index()
    assert len(expected) == 3 * (1 + 2 * 2) * 2  # epochs, (source, two targets by two protocols), two splits
    assert found.index.equals(expected.index)
    np.testing.assert_allclose(found["value"], expected["value"], rtol=0, atol=0)
    assert (found["data"] == "glyphs").all()
    assert not found["plain"].any()


@pytest.mark.parametrize("name", LOGS)
def test_each_log_alone_gives_the_same_trade_off_and_a_report(name, log_alone, trained, tmp_path, quick):
    paths, options = log_alone(name)
    found = trade_off(comparable(load_runs(*paths, **options)))
    expected = trade_off(comparable(load_runs(trained)))
    columns = ["peak_epoch", "epoch", "peak", "final", "drop"]
    order = ["protocol", "target"]
    np.testing.assert_allclose(
        found.sort_values(order)[columns], expected.sort_values(order)[columns], rtol=0, atol=0
    )
    if name == "metrics.csv":
        report(paths, tmp_path / "report")
        assert (tmp_path / "report" / "report.html").stat().st_size > 0


@pytest.mark.parametrize("name", LOGS)
def test_all_that_was_logged_is_read(name, log_alone, trained):
    paths, options = log_alone(name)
    frame = load_metrics(*paths, **options)
    table = pd.read_csv(trained / "metrics.csv", float_precision="round_trip")
    assert set(frame["name"]) == set(table.columns) - {"step", "epoch", "transfer/epoch"}
    for metric, of_metric in frame.groupby("name"):
        logged = table[["step", metric]].dropna()
        assert of_metric["step"].tolist() == logged["step"].tolist(), metric
        np.testing.assert_allclose(of_metric["value"], logged[metric], rtol=0, atol=0)
    runs = {*frame[["run", "method", "seed"]].itertuples(index=False, name=None)}
    assert runs == {("run", "ctc_queue", 4)}


@pytest.mark.parametrize("name", LOGS)
def test_epochs_are_counted_from_one_and_zero_is_before_training(name, log_alone):
    paths, options = log_alone(name)
    frame = load_metrics(*paths, **options)
    epochs = {metric: rows["epoch"].tolist() for metric, rows in frame.groupby("name")}
    assert epochs["train/loss"] == epochs["val/top1"] == epochs["lr-SGD"] == [1, 2]
    assert epochs["transfer/hue/whitened"] == epochs["transfer/seconds"] == [0, 1, 2]


def test_a_run_counts_once(trained):
    below = [trained, trained.parent]
    assert load_runs(below).equals(load_runs(trained))
    assert load_metrics(below).equals(load_metrics(trained))


def test_a_run_at_hand_is_not_asked_of_the_server(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    (run / "wandb").mkdir()
    (run / "wandb" / "ctc_run_id").write_text("own\n")
    both = load_runs([run, "wandb:team/project"], wandb_api=Api(run, "own"))
    assert both.equals(load_runs(run))


def test_one_run_of_a_project_can_be_asked_for(trained):
    api = Api(trained)
    frame = load_metrics("wandb:team/project/abc123", wandb_api=api)
    assert api.asked == ["team/project/abc123"]
    assert set(frame["path"]) == {"wandb:team/project/abc123"}

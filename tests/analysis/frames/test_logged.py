"""One real training under all loggers: each log alone gives the numbers of ``results.csv``."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from ctc_lightning.analysis import comparable, load_metrics, load_runs, trade_off
from ctc_lightning.report import report

KEY = ["run", "method", "seed", "epoch", "step", "protocol", "target", "metric"]
FAST = [
    "debug=fast",
    "num_threads=1",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "seed=4",
    "callbacks.transfer_probe.targets=[hue,digits/digit]",
    "callbacks.transfer_probe.data.num_train=60",
    "callbacks.transfer_probe.data.num_val=40",
    "callbacks.transfer_probe.data.num_test=50",
    "~callbacks.transfer_probe.protocols.standardised",
]
EXACT = {"metrics.csv": 0.0, "wandb": 0.0, "tensorboard": 2.0**-24}  # relative: half a unit of float32
LOGS = [*EXACT, "api"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    alone = {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "WANDB_MODE": "offline",
        "WANDB_BASE_URL": "http://127.0.0.1:9",  # nobody answers
    }
    loggers = ["logger=[csv,tensorboard,wandb]", f"hydra.run.dir={run_dir}"]
    done = subprocess.run(
        [sys.executable, "-m", "ctc_lightning.train", *FAST, *loggers],
        env={k: v for k, v in os.environ.items() if not k.startswith("WANDB")} | alone,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
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
        folder = tmp_path / name.partition(".")[0] / "copied"
        folder.mkdir(parents=True)
        if name == "metrics.csv":
            for file in ("metrics.csv", "config.yaml"):
                shutil.copy(trained / file, folder)
        else:
            shutil.copytree(trained / name, folder / name, symlinks=True)
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
    np.testing.assert_allclose(found["value"], expected["value"], rtol=EXACT.get(name, 0.0), atol=0)
    assert (found["data"] == "glyphs").all()
    assert not found["plain"].any()


@pytest.mark.parametrize("name", LOGS)
def test_each_log_alone_gives_the_same_trade_off_and_a_report(name, log_alone, trained, tmp_path):
    paths, options = log_alone(name)
    found = trade_off(comparable(load_runs(*paths, **options)))
    expected = trade_off(comparable(load_runs(trained)))
    columns = ["peak_epoch", "epoch", "peak", "final", "drop"]
    order = ["protocol", "target"]
    np.testing.assert_allclose(
        found.sort_values(order)[columns], expected.sort_values(order)[columns], rtol=0, atol=2.0**-23
    )
    if name == "wandb":
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
        np.testing.assert_allclose(of_metric["value"], logged[metric], rtol=EXACT.get(name, 0.0), atol=0)
    runs = {*frame[["run", "method", "seed"]].itertuples(index=False, name=None)}
    assert runs == {("run", "ctc_queue", 4)}


@pytest.mark.parametrize("name", LOGS)
def test_epochs_are_counted_from_one_and_zero_is_before_training(name, log_alone):
    paths, options = log_alone(name)
    frame = load_metrics(*paths, **options)
    epochs = {metric: rows["epoch"].tolist() for metric, rows in frame.groupby("name")}
    assert epochs["train/loss"] == epochs["val/top1"] == epochs["lr-SGD"] == [1, 2]
    assert epochs["transfer/hue/whitened"] == epochs["transfer/seconds"] == [0, 1, 2]


def test_a_run_with_many_logs_counts_once(trained):
    below = [trained, trained / "tensorboard", trained.parent, trained / "wandb"]
    assert load_runs(below).equals(load_runs(trained))
    assert load_metrics(below).equals(load_metrics(trained))


def test_a_run_at_hand_is_not_asked_of_the_server(trained):
    name = (trained / "wandb" / "ctc_run_id").read_text().strip()
    both = load_runs([trained, "wandb:team/project"], wandb_api=Api(trained, name))
    assert both.equals(load_runs(trained))


def test_one_run_of_a_project_can_be_asked_for(trained):
    api = Api(trained)
    frame = load_metrics("wandb:team/project/abc123", wandb_api=api)
    assert api.asked == ["team/project/abc123"]
    assert set(frame["path"]) == {"wandb:team/project/abc123"}


def test_a_folder_of_many_runs_of_wandb_gives_each_of_them(trained, tmp_path):
    (directory,) = trained.glob("wandb/offline-run-*")
    (file,) = directory.glob("run-*.wandb")
    for name in ("one", "two"):
        (tmp_path / "wandb" / f"offline-run-20260101_000000-{name}").mkdir(parents=True)
        shutil.copy(file, tmp_path / "wandb" / f"offline-run-20260101_000000-{name}" / f"run-{name}.wandb")
    (tmp_path / "wandb" / "ctc_run_id").write_text("another\n")
    frame = load_metrics(tmp_path)
    folders = [str(tmp_path / "wandb" / f"offline-run-20260101_000000-{name}") for name in ("one", "two")]
    assert frame["path"].unique().tolist() == folders
    (tmp_path / "wandb" / "ctc_run_id").write_text("two\n")  # the directory is this run's
    assert load_metrics(tmp_path)["path"].unique().tolist() == [str(tmp_path)]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_a_wandb_file_that_was_cut_off_gives_what_is_there(share, log_alone):
    ((folder,), _) = log_alone("wandb")
    whole = load_metrics(folder)
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    content = file.read_bytes()
    seen = []
    for size in (int(share * len(content)), len(content) - 1):
        file.write_bytes(content[:size])
        try:
            left = load_metrics(folder)
        except ValueError as nothing:  # not even the configuration, or no number
            assert "logged nothing yet" in str(nothing) or "does not say its data.name" in str(nothing)  # noqa: PT017
            continue
        seen.append(len(left))
        columns = ["name", "step", "value"]
        assert left[columns].equals(whole.loc[: len(left) - 1, columns])
    assert seen, "even without its last byte the file gave nothing"


def test_events_without_the_file_of_the_configuration_still_name_it(log_alone):
    ((folder,), _) = log_alone("tensorboard")
    with_file = load_runs(folder)
    (folder / "tensorboard" / "hparams.yaml").unlink()
    columns = [*KEY, "value", "data", "plain"]
    assert load_runs(folder)[columns].equals(with_file[columns])


def test_without_tensorboard_one_sentence_says_what_to_install(log_alone, monkeypatch):
    ((folder,), _) = log_alone("tensorboard")
    for module in [name for name in sys.modules if name.startswith("tensorboard")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'ctc-lightning\[tensorboard\]'"):
        load_runs(folder)

"""Logs written by hand: what each rule of reading says of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from ctc_lightning.analysis import load_metrics, load_runs
from ctc_lightning.analysis.frames.logged.run import Call, continued

CONFIG = "data:\n  name: glyphs\nmethod: ce\nseed: 7\n"


@pytest.fixture
def write_log(tmp_path):
    """Write metrics.csv and config.yaml; returns their folder."""

    def write(table, config=CONFIG, folder="run"):
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        (path / "metrics.csv").write_text(table)
        if config is not None:
            (path / "config.yaml").write_text(config)
        return path

    return write


# ---------------------------------------------------------------------------------------------------- epochs


def test_numbers_without_an_epoch_belong_where_their_step_lies(write_log):
    run = write_log(
        "step,lr,train/loss,epoch,transfer/hue/knn\n"
        "0,,,,0.1\n"  # before training, by a version that did not log transfer/epoch
        "0,0.5,,,\n"
        "3,,2.0,0,\n"
        "3,,,,0.2\n"
        "4,0.4,,,\n"
        "7,,1.0,1,\n"
        "7,,,,0.3\n"
        "8,0.3,,,\n"  # the process was killed in the third epoch
    )
    frame = load_metrics(run)
    epochs = {name: rows["epoch"].tolist() for name, rows in frame.groupby("name")}
    assert epochs == {"lr": [1, 2, 3], "train/loss": [1, 2], "transfer/hue/knn": [0, 1, 2]}


def test_with_one_step_an_epoch_the_probe_says_which_it_was(write_log):
    run = write_log(
        "step,train/loss,epoch,transfer/hue/knn,transfer/hue/knn/val_top1,transfer/epoch\n"
        "0,,,0.1,0.11,0\n"
        "0,2.0,0,,,\n"
        "0,,,0.2,0.21,1\n"
        "1,1.0,1,,,\n"
        "1,,,0.3,0.31,2\n"
    )
    frame = load_runs(run).query("metric == 'top1'")
    assert frame[["epoch", "step", "value"]].to_numpy().tolist() == [[0, 0, 0.1], [1, 1, 0.2], [2, 2, 0.3]]


def test_a_log_that_never_says_an_epoch_leaves_it_open(write_log):
    frame = load_metrics(write_log("step,loss\n0,2.0\n1,nan\n"))
    assert frame["epoch"].isna().all()
    assert frame["value"].tolist() == pytest.approx([2.0, np.nan], nan_ok=True)


def test_of_steps_that_were_logged_again_the_later_numbers_stand():
    calls = [
        Call(step, {"loss": value}) for step, value in [(0, 1.0), (1, 2.0), (2, 3.0), (1, 4.0), (2, 5.0)]
    ]
    assert continued(calls) == [calls[0], calls[3], calls[4]]
    assert continued(calls[:3]) == calls[:3]
    assert continued([*calls[:3], Call(0, {"loss": 9.0})]) == [Call(0, {"loss": 9.0})]


# ------------------------------------------------------------------------------------------------- transfer


def test_a_targets_own_metric_and_a_name_with_a_slash_are_told_from_the_log(write_log):
    run = write_log(
        "step,transfer/a/b/knn,transfer/a/b/knn/val_mean_per_class,transfer/seconds,transfer/epoch\n"
        "9,0.25,0.5,3.0,5\n"
    )
    frame = load_runs(run)
    found = frame[["protocol", "target", "metric", "value", "epoch", "step"]].to_numpy().tolist()
    assert found == [
        ["knn", "a/b", "mean_per_class", 0.25, 5, 10],
        ["knn", "a/b", "val_mean_per_class", 0.5, 5, 10],
    ]
    assert frame[["low", "high", "seconds"]].isna().all(axis=None)
    assert frame["n"].tolist() == [0, 0]


def test_a_run_that_was_not_probed_says_what_to_do(write_log):
    run = write_log("step,train/loss,epoch\n3,1.0,0\n")
    with pytest.raises(ValueError, match=r"run has logged no transfer accuracy .* callbacks.transfer_probe"):
        load_runs(run)
    assert len(load_metrics(run)) == 1


def test_an_accuracy_that_is_none_is_refused(write_log):
    run = write_log("step,transfer/hue/knn,transfer/hue/knn/val_top1,transfer/epoch\n3,83.5,0.5,1\n")
    with pytest.raises(ValueError, match=r"has an accuracy of 83\.5; top1 is a fraction"):
        load_runs(run)


# --------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("table", "config", "fault"),
    [
        ("step,loss\n0,high\n", CONFIG, r"metrics\.csv is not a table of logged metrics"),
        ("loss\n1.0\n", CONFIG, r"metrics\.csv is not a table of logged metrics"),
        ("step,loss\n", CONFIG, "has logged nothing yet"),
        ("step,loss\n0,1.0\n", None, r"config\.yaml is missing"),
        ("step,loss\n0,1.0\n", "data: {}\n", r"config\.yaml has no data\.name"),
        (
            "step,loss\n0,1.0\n",
            "data:\n  name: a\nmethod: ce\n",
            "does not say its data.name, method and seed",
        ),
    ],
)
def test_a_log_that_cannot_be_used_says_why(write_log, table, config, fault):
    run = write_log(table, config)
    with pytest.raises(ValueError, match=fault):
        load_metrics(run)


def test_one_broken_log_among_good_ones_is_a_warning(write_log, tmp_path, caplog):
    write_log("step,loss\n0,1.0\n")
    write_log("step,loss\n0,1.0\n", None, "broken")
    assert len(load_metrics(tmp_path)) == 1
    assert "left out" in caplog.text


def test_the_last_line_of_a_killed_process_is_left_out(write_log):
    assert load_metrics(write_log("step,loss\n0,1.5\n1,2.2"))["value"].tolist() == [1.5]


def test_a_run_with_results_but_no_log_is_named(tmp_path):
    (tmp_path / "results.csv").write_text("run,seed\n")
    with pytest.raises(ValueError, match=r"no metrics were logged: there is no metrics\.csv"):
        load_metrics(tmp_path)


# ----------------------------------------------------------------------------------------------- W&B's server


@pytest.mark.parametrize("address", ["wandb:", "wandb:project", "wandb:a/b/c/d", "wandb:a//c"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(ValueError, match="is no W&B address: write wandb:ENTITY/PROJECT or"):
        load_runs(address)


def test_what_the_server_says_stands_in_the_sentence():
    def refuse(path):
        raise ValueError(f"Could not find project\n{path}.")

    api = SimpleNamespace(runs=refuse)
    with pytest.raises(ValueError, match=r"wandb:a/b cannot be read \(Could not find project a/b\): check"):
        load_runs("wandb:a/b", wandb_api=api)


def test_a_project_without_runs_is_named():
    with pytest.raises(ValueError, match="wandb:a/b holds no run"):
        load_metrics("wandb:a/b", wandb_api=SimpleNamespace(runs=lambda path: []))


def test_without_a_key_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(
        ValueError, match=r"wandb:a/b cannot be read .*: check the address and the network, and log in"
    ):
        load_runs("wandb:a/b")


def test_runs_of_others_in_a_project_are_left_out_with_a_warning(caplog):
    rows = [{"_step": 0, "trainer/global_step": 3, "loss": "NaN", "best": True, "epoch": 0}]
    config = {"data": {"name": "glyphs"}, "method": "ce", "seed": 1, "paths": {"run_dir": "runs/here"}}
    runs = [
        SimpleNamespace(id=name, name=name, config=of, scan_history=lambda: iter(rows))
        for name, of in (("ours", config), ("other", {"lr": 0.1}))
    ]
    frame = load_metrics("wandb:a/b", wandb_api=SimpleNamespace(runs=lambda path: runs))
    assert frame[["run", "path", "name", "epoch"]].to_numpy().tolist() == [
        ["here", "wandb:a/b/ours", "loss", 1]
    ]
    assert frame["value"].isna().all()
    assert "left out: wandb:a/b/other does not say its data.name" in caplog.text

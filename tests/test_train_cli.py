"""The program as its user meets it: what it writes, what it says, sweeps, and two processes."""

import json
import os
import subprocess
import sys
from itertools import product

import pandas as pd
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from torch import distributed

import programs
from ctc_lightning import train as program
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.training.resume import check_fits

COLUMNS = [
    "run",
    "method",
    "seed",
    "epoch",
    "step",
    "protocol",
    "target",
    "metric",
    "value",
    "low",
    "high",
    "n",
]
COLUMNS += ["chosen", "seconds", "settings", "note", "images"]
METRICS = ["top1", "mean_per_class", "ece", "val_top1"]
TARGETS = ["fine", "new", "hue", "position", "texture", "scale"]
PROTOCOLS = ["whitened", "standardised", "knn"]
SHORT = [
    "debug=fast", "trainer.max_epochs=1", "callbacks.transfer_probe.targets=[hue]", "num_threads=1",
    "data.style.image_size=16", "data.style.max_shift=2", "~callbacks.transfer_probe.protocols.whitened",
    "~callbacks.transfer_probe.protocols.standardised",
]  # fmt: skip


def run(*arguments, cwd):
    done = programs.run("train", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


def configuration(*overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("train", overrides=overrides)


def results(run_dir):
    return pd.read_csv(run_dir / "results.csv")


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The default training on few images: its directory, and how the process ended."""
    folder = tmp_path_factory.mktemp("newcomer")
    done = subprocess.run(
        [sys.executable, "-m", "ctc_lightning.train", "debug=fast", "num_threads=1"],
        cwd=folder,
        env=os.environ | programs.ALONE,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run_dir,) = folder.glob("runs/glyphs_ctc_queue/seed_0/*")
    return run_dir, done


def test_nothing_is_said_on_stderr(finished):
    assert finished[1].stderr == ""


def test_the_terminal_shows_this_run_and_nothing_else(finished):
    run_dir, done = finished
    lines = [line for line in done.stdout.splitlines() if line.strip() and "it/s" not in line]
    (source,) = results(run_dir).query("epoch == 3 and protocol == 'classifier' and metric == 'top1'").value
    probes = [f"ctc_queue, seed 0, epoch {epoch}/3: source" for epoch in range(4)]
    summary = [f"Source accuracy is {source:.1%} at epoch 3.", *(f"  {target}: " for target in TARGETS)]
    cost = "The transfer probe took "
    slots = "queue: size is 1024, above the 128 training images: up to 8 keys of each image"
    expected = [slots, *probes, cost, *summary, f"Everything is in {run_dir}"]
    assert len(lines) == len(expected)
    assert all(line.startswith(begin) for line, begin in zip(lines, expected, strict=True))


def test_results_are_tidy_and_complete(finished):
    table = results(finished[0])
    assert list(table) == COLUMNS
    assert table.groupby("epoch").step.unique().map(list).to_dict() == {e: [2 * e] for e in range(4)}
    measured = {("classifier", "source"), *product(PROTOCOLS, TARGETS)}
    expected = {(e, *m, metric) for e in range(4) for m in measured for metric in METRICS}
    found = list(table[["epoch", "protocol", "target", "metric"]].itertuples(index=False, name=None))
    assert set(found) == expected
    assert len(found) == len(expected)
    assert table.value.between(0, 1).all()
    assert table[["run", "method", "seed"]].drop_duplicates().values.tolist() == [
        [finished[0].name, "ctc_queue", 0]
    ]


def test_the_log_has_losses_rates_and_accuracies_of_every_epoch(finished):
    log = pd.read_csv(finished[0] / "metrics.csv")
    for name in (
        "train/loss",
        "train/ce",
        "train/contrast",
        "val/top1",
        "val/ce",
        "lr-SGD",
    ):
        assert log[name].count() == 3, name
    assert log["transfer/hue/whitened"].count() == 4
    assert (log["transfer/seconds"].dropna() > 0).sum() == 4


def test_the_checkpoints_are_named_by_what_they_are(finished):
    names = {path.name for path in (finished[0] / "checkpoints").iterdir()}
    epochs = {f"epoch_{epoch:03d}.ckpt" for epoch in range(4)}
    assert names == {*epochs, "stage_contrast.ckpt", "best.ckpt", "last.ckpt"}


def test_the_configuration_is_composed_and_resolved(finished):
    written = yaml.safe_load((finished[0] / "config.yaml").read_text())
    cfg = configuration("debug=fast")
    assert written["model"]["stages"]["contrast"]["contrast"]["temperature"] == cfg.model.temperature
    assert written["data"]["num_train"] == cfg.data.num_train
    assert written["paths"]["run_dir"] == str(finished[0])
    assert "${" not in (finished[0] / "config.yaml").read_text()


def test_the_provenance_says_that_it_finished(finished):
    record = json.loads((finished[0] / "provenance.json").read_text())
    assert record["status"] == "finished"
    assert record["command"] == ["train.py", "debug=fast", "num_threads=1"]
    assert record["seconds"] > 0


def test_the_same_seed_gives_the_same_values(finished, tmp_path):
    overrides = ["debug=fast", "num_threads=1", f"paths.run_dir={tmp_path / finished[0].name}"]
    program.train(configuration(*overrides))
    again, first = (
        results(folder).drop(columns="seconds") for folder in (tmp_path / finished[0].name, finished[0])
    )
    pd.testing.assert_frame_equal(again, first, check_exact=True)


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A function: sweep in this process, and return the run directories."""

    def runs(*arguments):
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards, as is the next
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments, f"hydra.sweep.dir={tmp_path}"])
        program.main()
        return sorted(path.parent for path in tmp_path.rglob("results.csv"))

    return runs


def test_a_sweep_makes_a_readable_folder_for_every_combination(sweep):
    temperatures, sizes = (0.1, 0.2), (64, 128)
    made = sweep("-m", *SHORT, "model.temperature=0.1,0.2", "model.queue_size=64,128")
    assert len(made) == 4
    found = set()
    for run_dir in made:
        model = yaml.safe_load((run_dir / "config.yaml").read_text())["model"]
        found.add((model["temperature"], model["queue_size"]))
        assert (
            f"model.queue_size={model['queue_size']},model.temperature={model['temperature']}" in run_dir.name
        )
        assert set(results(run_dir).run) == {run_dir.name}
    assert found == set(product(temperatures, sizes))


def test_a_sweep_is_asked_for_anywhere_in_the_command(sweep):
    assert len(sweep(*SHORT, "-m", "seed=3,4")) == 2


@pytest.mark.slow
def test_a_sweep_over_processes_and_seeds(tmp_path):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={tmp_path}/sweep"]
    done = run("-m", *launcher, *SHORT, "seed=3,4", cwd=tmp_path)
    made = sorted(path.parent for path in tmp_path.rglob("results.csv"))
    assert all(f"Everything is in {run_dir}" in done.stdout for run_dir in made)
    assert done.stderr == ""
    one, other = map(results, made)
    assert (set(one.seed), set(other.seed)) == ({3}, {4})
    assert (one.value != other.value).mean() > 0.5


@pytest.mark.slow
def test_two_processes_make_one_run(tmp_path):
    run("trainer=ddp_sim", "hydra.run.dir=run", *SHORT, cwd=tmp_path)
    table = results(tmp_path / "run")
    assert list(table) == COLUMNS
    assert not table.duplicated(["epoch", "protocol", "target", "metric"]).any()
    assert sorted(table.epoch.unique()) == [0, 1]
    record = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert record["hardware"].startswith("2 × cpu")

    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    _, module, _ = program.build(configuration(*SHORT, f"paths.run_dir={tmp_path}/alone"))
    check_fits(module, checkpoint)
    module.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    queue = module.stages["contrast"].memory
    assert (queue.index_K >= 0).sum() == 128  # one step of two ranks' 64 keys
    assert queue.index_K[:128].unique().numel() == 128


def test_a_sweeps_next_job_starts_its_own_processes(tmp_path, monkeypatch):
    for name, value in {"LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    program.disband()
    assert not distributed.is_initialized()
    assert not {"LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"} & set(os.environ)

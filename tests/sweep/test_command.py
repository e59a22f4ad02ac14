"""Sweeps as their user meets them: killed, failing, by Optuna, in other processes."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

GRID = ["hydra.sweep.dir=grid", "model.temperature=0.1,0.2,-1"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
SEARCH = ["sweep=optuna", "hydra.sweeper.n_trials=4", "+hydra.sweeper.sampler.n_startup_trials=2"]


def runs(folder):
    """The folders of jobs, by the value of the temperature or by the number of the trial."""
    found = {}
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith("."):
            name = path.name.partition("model.temperature=")[2].partition(",")[0] or path.name
            found[name] = path
    return found


def ends(run_dir):
    """Values at the last epoch, in their order."""
    table = pd.read_csv(run_dir / "results.csv")
    return table[table.epoch == table.epoch.max()].value.to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], JOBLIB], ids=["here", "joblib"])
def test_a_killed_sweep_continues_where_it_was(launcher, sweep, sweep_here, tmp_path):
    assert sweep(*GRID, killed=("temperature=0.2", 1)).returncode == -9
    made = runs(tmp_path / "grid")
    assert set(made) == {"0.1", "0.2"}
    own = [file for file in made["0.1"].rglob("[!.]*") if ".hydra" not in file.parts]  # Hydra writes it again
    before = {file: file.stat().st_mtime_ns for file in own}

    again = sweep(*GRID, *launcher)
    assert again.returncode == 1
    assert "  model.temperature=-1: contrast: temperature is -1; it must be above 0" in again.stderr
    assert "Traceback" not in again.stderr
    assert f"{made['0.1'].name} is finished." in again.stdout
    assert before == {file: file.stat().st_mtime_ns for file in before}, "a finished run was touched"
    assert f"Resuming from {made['0.2']}/checkpoints/last.ckpt" in again.stdout
    assert again.stdout.count("Resuming from") == 1

    assert sweep_here("model.temperature=0.1,0.2", "hydra.sweep.dir=whole").returncode == 0
    made = runs(tmp_path / "grid")
    for name, whole in runs(tmp_path / "whole").items():
        run_dir = made[name]
        np.testing.assert_array_equal(ends(run_dir), ends(whole))
        assert json.loads((run_dir / "provenance.json").read_text())["status"] == "finished"


def test_a_failed_job_does_not_end_the_others(sweep_here, tmp_path):
    sentence = "contrast: temperature is -1; it must be above 0"
    for attempt in range(2):
        done = sweep_here("hydra.sweep.dir=grid", "model.temperature=0.1,-1,0.2")
        assert done.returncode == 1
        first, *rest = done.stderr.splitlines()
        assert sentence in first
        assert rest[0] == "error: 1 of 3 jobs failed in grid:"
        assert rest[1].startswith(f"  model.temperature=-1: {sentence}")
        assert "hydra.sweep.dir=grid" in rest[2]
        made = runs(tmp_path / "grid")
        assert {name for name, path in made.items() if (path / "objectives.json").is_file()} == {"0.1", "0.2"}
        assert done.stdout.count("is finished.") == 2 * attempt


@pytest.mark.slow
def test_submitit_runs_every_job(sweep, tmp_path):
    done = sweep("hydra/launcher=submitit_local", "hydra.sweep.dir=grid", "model.temperature=0.1,0.2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "All 2 jobs are finished" in done.stdout
    assert all((path / "objectives.json").is_file() for path in runs(tmp_path / "grid").values())


def test_a_finished_run_of_another_configuration_is_not_taken_for_this_one(sweep_here, tmp_path):
    grid = ["model.temperature=0.1,0.2", "hydra.sweep.dir=grid", "hydra.sweep.subdir=${hydra.job.num}"]
    assert sweep_here(*grid).returncode == 0
    other = sweep_here(*grid, "label_smoothing=0.1")
    assert other.returncode == 1
    assert "label_smoothing was 0.0 and is 0.1" in other.stderr
    assert sweep_here(*grid).returncode == 0


@pytest.mark.slow
def test_a_killed_search_goes_on_as_if_it_had_not_been(sweep, sweep_here, tmp_path):
    assert sweep(*SEARCH, "hydra.sweep.dir=search", killed=("trial_2", 1)).returncode == -9
    study = (tmp_path / "search" / "study.journal").read_bytes()
    again = sweep(*SEARCH, "hydra.sweep.dir=search")
    assert (again.returncode, again.stderr) == (0, "")
    assert "Going on with trial 2." in again.stdout
    assert "Resuming from" in again.stdout
    assert "Trial 1:" not in again.stdout
    assert (tmp_path / "search" / "study.journal").read_bytes().startswith(study), "it is another study"

    assert sweep_here(*SEARCH, "hydra.sweep.dir=whole").returncode == 0
    found, whole = (pd.read_csv(tmp_path / name / "trials.csv") for name in ("search", "whole"))
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    assert found["trial"].tolist() == [0, 1, 2, 3]
    assert set(found["state"]) == {"complete"}
    assert found["model.temperature"].nunique() == 4
    for row in found.to_dict("records"):
        run_dir = tmp_path / "search" / f"trial_{row['trial']}"
        table = pd.read_csv(run_dir / "results.csv").query("epoch == 2 and metric == 'val_top1'")
        targets = table.set_index("target")["value"]
        assert row["source"] == np.float32(targets["source"])
        assert row["transfer"] == np.mean([targets["hue"], targets["fine"]])
    assert (tmp_path / "search" / "pareto_front.png").is_file()
    front = pd.read_csv(tmp_path / "search" / "pareto_front.csv")
    assert set(front["trial"]) == set(found.loc[found["front"], "trial"])


def test_a_failed_trial_does_not_end_the_search(sweep_here, tmp_path):
    search = [*SEARCH[:1], "hydra.sweeper.n_trials=3", "hydra.sweep.dir=search"]
    search += ["hydra.sweeper.sampler._target_=optuna.samplers.RandomSampler", "hydra.sweeper.seed=1"]
    done = sweep_here(*search, "model.temperature=choice(0.1,-1)")
    table = pd.read_csv(tmp_path / "search" / "trials.csv")
    failed = table["model.temperature"] == -1
    assert 0 < failed.sum() < 3
    assert table["state"].tolist() == ["fail" if bad else "complete" for bad in failed]
    assert table["source"].isna().tolist() == failed.tolist()
    assert done.returncode == 1
    assert f"error: {failed.sum()} of 3 jobs failed in search:" in done.stderr
    other = sweep_here(*search, "model.temperature=choice(0.1,0.3)")
    assert other.returncode == 2
    assert "holds another sweep: model.temperature was choice(0.1,-1)" in other.stderr


@pytest.mark.slow
def test_a_sweep_of_a_batch_script_goes_on_when_its_job_is_queued_again(sweep_here, tmp_path, monkeypatch):
    """Nobody names its folder."""
    for name, value in {"SLURM_JOB_ID": "4711", "ENVIRONMENT": "BATCH"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    monkeypatch.setattr("os.isatty", lambda file: False)
    assert "is finished." not in sweep_here("model.temperature=0.1,0.2").stdout
    again = sweep_here("model.temperature=0.1,0.2")
    assert (again.returncode, again.stdout.count("is finished.")) == (0, 2)
    assert sweep_here("model.temperature=0.1").returncode == 0
    one, other = sorted((tmp_path / "runs" / "sweeps").iterdir())
    assert {len(runs(one)), len(runs(other))} == {2, 1}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [JOBLIB, ["hydra/launcher=submitit_local"]], ids=["joblib", "submitit"])
def test_the_jobs_of_a_sweep_in_other_processes_are_in_one_folder(launcher, sweep, tmp_path):
    """It is named once, before them, by the time: they begin in other seconds."""
    done = sweep(*launcher, "model.temperature=0.1,0.2")
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = (tmp_path / "runs" / "sweeps").iterdir()
    assert set(runs(folder)) == {"0.1", "0.2"}


def test_a_sweep_is_refused_on_several_ranks(sweep_here, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for search in ([], SEARCH):
        done = sweep_here(*search, "hydra.sweep.dir=grid", "model.temperature=0.1,0.2")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: srun or torchrun started 2 processes, and a sweep is one")
    assert not (tmp_path / "grid").exists()


@pytest.mark.slow
def test_a_sweep_over_folders_with_awkward_names_trains_on_two_ranks(sweep, tmp_path):
    names = ["Photos (1)", "it's [2019] #ü", "2019"]
    for name, label in product(names, ("cat", "dog")):
        folder = tmp_path / "data" / name / label
        folder.mkdir(parents=True)
        for image in range(10):
            Image.new("RGB", (8, 8), (image * 20, 200 * (label == "cat"), image)).save(
                folder / f"{image}.png"
            )
    all_images = ["data.num_train=null", "data.num_val=null", "data.num_test=null"]
    few = ["data.image_size=8", "data.batch_size=2", "data.num_workers=0", "callbacks.transfer_probe=null"]
    done = sweep(
        "data=image_folder_small", *all_images, *few, "trainer=ddp_sim", "trainer.max_steps=1", "model=ce",
        f"data.root={','.join(f'data/{name}' for name in names)}", "paths.cache=it's (1)",
        "hydra.sweep.dir=it's \"odd\" (1)",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = [
        yaml.safe_load(path.read_text()) for path in (tmp_path / 'it\'s "odd" (1)').glob("*/config.yaml")
    ]
    assert sorted(record["data"]["root"] for record in records) == sorted(f"data/{name}" for name in names)
    assert len(list((tmp_path / "it's (1)").iterdir())) > 0

"""A job of a sweep waits for a process that is still at its run, and trains no run twice."""

import json
import sys
import time
from threading import Event, Thread

import pytest
from filelock import FileLock
from omegaconf import OmegaConf

from ctc_lightning.sweep.failures import JobError
from ctc_lightning.sweep.interrupt import Interrupt
from ctc_lightning.sweep.job import finished_objectives, run_in_sweep


def finish(run_dir, config, **objectives):
    """Leave a finished run behind."""
    run_dir.mkdir(exist_ok=True)
    OmegaConf.save(OmegaConf.create(config), run_dir / "config.yaml")
    (run_dir / "objectives.json").write_text(json.dumps(objectives))


@pytest.fixture
def config(tmp_path):
    return {
        "seed": 0, "objectives": ["source"], "resume": None, "allow_changes": False,
        "data": {"name": "glyphs", "num_workers": 0}, "paths": {"run_dir": str(tmp_path / "run")},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _argv(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train"])


def refuse(cfg, overrides):
    pytest.fail("it trained")


def test_a_finished_run_gives_its_objectives_without_training(config, tmp_path):
    finish(tmp_path / "run", config, source=0.75, transfer=0.5)
    assert run_in_sweep(refuse, OmegaConf.create(config), []) == 0.75
    both = OmegaConf.create(config | {"objectives": ["transfer", "source"]})
    assert run_in_sweep(refuse, both, []) == (0.5, 0.75)


def test_a_job_waits_for_the_process_that_a_killed_sweep_left(config, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    held, until = Event(), time.monotonic() + 20

    def orphan():
        with FileLock(tmp_path / "run" / ".lock"):
            held.set()
            while "Waiting for another process" not in caplog.text and time.monotonic() < until:
                time.sleep(0.01)
            finish(tmp_path / "run", config, source=0.25)

    other = Thread(target=orphan)
    other.start()
    assert held.wait(20)
    with caplog.at_level("INFO"):
        assert run_in_sweep(refuse, OmegaConf.create(config), []) == 0.25
    other.join()
    assert time.monotonic() < until, "it did not wait"


def test_what_weights_depend_on_must_be_the_same(config, tmp_path):
    finish(tmp_path / "run", config, source=0.75)
    config["data"]["num_workers"] = 4
    assert finished_objectives(OmegaConf.create(config)) == (0.75,)
    config["seed"] = 1
    with pytest.raises(ValueError, match="seed was 0 and is 1"):
        finished_objectives(OmegaConf.create(config))
    config["allow_changes"] = True
    assert finished_objectives(OmegaConf.create(config)) is None


def test_only_a_run_that_was_begun_is_resumed(config, tmp_path):
    seen = []

    def train(cfg, overrides):
        seen.append(cfg.resume)

    run_in_sweep(train, OmegaConf.create(config), [])
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    run_in_sweep(train, OmegaConf.create(config), [])
    for resume in ("other.ckpt", "never"):
        run_in_sweep(train, OmegaConf.create(config | {"resume": resume}), [])
    assert seen == [None, "auto", "auto", "never"]


def test_a_finished_run_begins_anew_if_it_is_told_to(config, tmp_path):
    finish(tmp_path / "run", config, source=0.75)
    again = OmegaConf.create(config | {"resume": "never"})
    assert run_in_sweep(lambda cfg, overrides: 0.5, again, []) == 0.5


@pytest.mark.parametrize("error", [ValueError("τ is 0"), RuntimeError("τ is 0"), KeyError("τ is 0")])
def test_a_failure_is_one_sentence_that_names_the_run(error, config, capsys):
    def train(cfg, overrides):
        raise error

    with pytest.raises(JobError, match="τ is 0"):
        run_in_sweep(train, OmegaConf.create(config), [])
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: run: ")
    assert ("Traceback" in said) == (type(error) is not ValueError)


@pytest.mark.parametrize("leave", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_job_ends_the_sweep_of_its_process(leave, config, monkeypatch):
    def train(cfg, overrides):
        raise leave

    monkeypatch.setattr(Interrupt, "in_sweep", True)
    with pytest.raises(leave):
        run_in_sweep(train, OmegaConf.create(config), [])


def test_in_another_process_it_fails_and_no_further_job_begins(config, monkeypatch):
    def train(cfg, overrides):
        raise SystemExit(130)

    monkeypatch.setattr(Interrupt, "noted", False)  # restored afterwards
    for _ in range(2):
        with pytest.raises(JobError, match=r"^interrupted$"):
            run_in_sweep(train, OmegaConf.create(config), [])
        train = None


def test_further_ranks_train_the_job_and_begin_no_sweep(config):
    """``sweep=NAME`` is among a job's overrides, and turns the program into a sweep."""
    run_in_sweep(lambda cfg, overrides: None, OmegaConf.create(config), ["sweep=demo"])
    assert sys.argv[1:] == ["sweep=demo", f"paths.run_dir='{config['paths']['run_dir']}'", "hydra.mode=RUN"]

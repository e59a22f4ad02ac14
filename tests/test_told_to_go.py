"""Signals at awkward moments, full disks, and what the other ranks do then: real processes.

This file is also a module of these: ``+callbacks.NAME._target_=test_told_to_go.CLASS``.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl

from ctc_lightning.evaluation import KNearestNeighbours
from test_resume import (
    MODELS,
    STEPS,
    assert_equal_ends,
    load,
    preempt,
    run_here,
    run_there,
    same,
)

SLOW = pytest.mark.slow
QUEUE = MODELS["ctc_queue"].split()
PROBED = [
    *QUEUE,
    "callbacks.transfer_probe.protocols.knn._target_=test_told_to_go.SlowProbe",
    "callbacks.transfer_probe.also_at=[]",
]
TWO_RANKS = [
    *PROBED,
    "trainer=ddp_sim",
    "data.batch_size=32",
    "model.stages.contrast.key_encoder.batch_norm=running",  # by each rank's own statistics
]


class SlowProbe(KNearestNeighbours):
    """With STOP_AT=n in the environment its n-th measurement takes a minute, and a signal comes in it."""

    asked = 0

    def measure(self, task):
        SlowProbe.asked += 1
        if SlowProbe.asked == int(os.environ.get("STOP_AT", "0")):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return super().measure(task)


class FullDisk(pl.Callback):
    """From an epoch (from 0) on, no file of rank 0's may grow beyond 100 kB."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch and trainer.global_rank == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


class Theirs(pl.Callback):
    """A handler of SIGUSR2 as submitit's, which was there before the training."""

    def __init__(self, file):
        signal.signal(
            signal.SIGUSR2, lambda number, frame: (Path(file).write_text("requeued"), sys.exit(255))
        )


def run(run_dir, *overrides):
    """Train to the end: several ranks in processes of their own."""
    if "trainer=ddp_sim" not in overrides:
        run_here(run_dir, *overrides)
        return
    ended = run_there(run_dir, *overrides)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Runs that were never stopped, trained once each."""
    done = {}

    def directory(*overrides):
        if overrides not in done:
            done[overrides] = tmp_path_factory.mktemp("whole") / "run"
            run(done[overrides], *overrides)
        return done[overrides]

    return directory


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A SLURM job, and the file that its ``scontrol`` writes, upon which SLURM signals the job."""
    tool = tmp_path / "bin" / "scontrol"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nkill -TERM $PPID\nsleep ${{SLOWLY:-0}}\necho "$@" >> {tmp_path}/requeued\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # an interactive one: Lightning does not count its tasks
    return tmp_path / "requeued"


@SLOW
@pytest.mark.parametrize(
    ("measurement", "overrides"),
    [(4, PROBED), (6, PROBED), (4, TWO_RANKS)],
    ids=["one", "end", "two ranks"],
)
def test_sigterm_in_a_long_probe_ends_it_at_once_and_the_resumed_run_makes_up_for_it(
    measurement, overrides, whole, tmp_path, scontrol, monkeypatch
):
    """Two labels each, at epochs 0, 2 and 4: a signal comes with the second, and when it is repeated."""
    for times, (nth, *resume) in enumerate([(measurement,), (1, "resume=auto")], start=1):
        with monkeypatch.context() as patch:
            patch.setenv("STOP_AT", str(nth))
            began = time.monotonic()
            stopped = run_there(tmp_path / "run", *overrides, *resume)
            assert time.monotonic() - began < 60
        assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
        assert scontrol.read_text() == "requeue 123\n" * times
        assert load(tmp_path / "run")["global_step"] == STEPS * (measurement - 2)  # of the probed epoch
    run(tmp_path / "run", *overrides, "resume=auto")
    assert_equal_ends(tmp_path / "run", whole(*overrides))


@pytest.mark.parametrize("moment", [(0, 1), pytest.param((1, 1), marks=SLOW)])
def test_without_a_checkpoint_of_each_epoch_one_is_written_all_the_same(moment, whole, tmp_path):
    """The signal comes in an epoch's last step."""
    overrides = [*QUEUE, "callbacks.last=null"]
    with pytest.raises(SystemExit):
        run_here(tmp_path / "run", *overrides, preempt(*moment, signal.SIGTERM))
    assert load(tmp_path / "run")["global_step"] == STEPS * (moment[0] + 1)
    run(tmp_path / "run", *overrides, "resume=auto")
    found, expected = (load(folder, "epoch_004") for folder in (tmp_path / "run", whole(*QUEUE)))
    for part in ("state_dict", "optimizer_states", "global_step"):
        assert same(found[part], expected[part]), f"{part} differs"


def test_a_signal_in_the_last_step_of_all_leaves_only_the_last_probe_to_do(whole, tmp_path):
    with pytest.raises(SystemExit):
        run_here(tmp_path / "run", *QUEUE, preempt(3, 1, signal.SIGTERM))
    run(tmp_path / "run", *QUEUE, "resume=auto")
    assert_equal_ends(tmp_path / "run", whole(*QUEUE))


@SLOW
def test_a_signal_after_the_last_step_lets_no_other_training_of_a_sweep_begin(tmp_path):
    overrides = [*QUEUE, preempt(3, 1, signal.SIGTERM)]
    swept = run_there(tmp_path, *overrides, "-m", "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep")
    assert swept.returncode == 128 + signal.SIGTERM, swept.stderr
    (only,) = (path.parent for path in (tmp_path / "sweep").rglob("metrics.csv"))
    assert "seed: 0\n" in (only / "config.yaml").read_text()
    assert load(only)["global_step"] == STEPS * 4


@SLOW
def test_submitits_own_signal_saves_first_and_leaves_the_queueing_to_submitit(whole, tmp_path, scontrol):
    theirs = f"+callbacks.theirs={{_target_:test_told_to_go.Theirs,file:{tmp_path}/theirs}}"
    stopped = run_there(tmp_path / "run", *QUEUE, theirs, preempt(1, 0, signal.SIGUSR2))
    assert stopped.returncode == 255, stopped.stderr
    assert (tmp_path / "theirs").read_text() == "requeued"
    assert not scontrol.exists()
    assert load(tmp_path / "run")["global_step"] == STEPS + 1
    run(tmp_path / "run", *QUEUE, "resume=auto")
    assert_equal_ends(tmp_path / "run", whole(*QUEUE))


@SLOW
def test_one_signalled_rank_is_enough_and_two_go_on_within_an_epoch_as_if_never_stopped(
    whole, tmp_path, scontrol, monkeypatch
):
    """The rank that has nothing to queue waits for the other, which takes longer than ranks have to end.

    No probe comes in between. Key encoders use their rank's running statistics: others give other keys.
    """
    monkeypatch.setenv("SLOWLY", "12")
    stopped = run_there(tmp_path / "run", *TWO_RANKS, preempt(0, 0, signal.SIGTERM, rank=1))
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert scontrol.read_text() == "requeue 123\n"
    assert load(tmp_path / "run")["global_step"] % STEPS, "it was to stop within an epoch"
    mine, theirs = load(tmp_path / "run")["running_statistics"]
    assert any((mine[name] != theirs[name]).any() for name in mine), "nothing to tell ranks apart"
    run(tmp_path / "run", *TWO_RANKS, "resume=auto")
    assert_equal_ends(tmp_path / "run", whole(*TWO_RANKS))


@SLOW
def test_a_disk_that_is_full_ends_both_ranks_and_leaves_the_last_good_checkpoint(whole, tmp_path):
    full = "+callbacks.full={_target_:test_told_to_go.FullDisk,epoch:2}"
    began = time.monotonic()
    stopped = run_there(tmp_path / "run", *TWO_RANKS, full)
    assert stopped.returncode == 2, stopped.stderr
    assert time.monotonic() - began < 60
    assert "cannot be written" in stopped.stderr
    assert "then rerun with resume=auto." in stopped.stderr
    assert "Traceback" not in stopped.stderr
    found, expected = load(tmp_path / "run"), load(whole(*TWO_RANKS), "epoch_002")
    for part in ("state_dict", "optimizer_states", "running_statistics", "global_step"):
        assert same(found[part], expected[part]), f"{part} differs"

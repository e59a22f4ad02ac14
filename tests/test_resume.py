"""A run that is killed and resumed ends as if nothing had happened, bit for bit.

This file is also a module of the killed runs: ``+callbacks.kill._target_=test_resume.Kill``.
"""

import json
import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

import programs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import train
from ctc_lightning.training.callbacks import StopWhenDiverged
from ctc_lightning.training.checkpoint_io import AtomicCheckpointIO
from ctc_lightning.training.resume import check_unchanged, checkpoint_to_resume

FAST = [
    "debug=fast", "trainer.max_epochs=4", "trainer.enable_progress_bar=false", "num_threads=1",
    "data.style.image_size=16", "data.style.max_shift=2", "data.num_val=32", "data.num_test=32",
]  # fmt: skip
PROBED = [
    "callbacks.transfer_probe.targets=[hue,new]",
    "callbacks.transfer_probe.every_n_epochs=2",
    "callbacks.transfer_probe.also_at=[3]",
    "~callbacks.transfer_probe.protocols.standardised",
    "~callbacks.transfer_probe.protocols.whitened",
]
STEPS = 2  # of an epoch
MODELS = {
    "ctc_queue": "model=ctc_queue model.queue_size=100",
    "ctc_bank": "model=ctc_bank model.stages.contrast.memory.num_negatives=50",
    "ctc_two_stage": "model=ctc_two_stage model.stages.instance.epochs=2",
    "ctc_two_stage_reference": "model=ctc_two_stage_reference model.stages.instance.epochs=2 optim=reference "
    "model.num_negatives=50",
}


class Kill(pl.Callback):
    """Ends the process when a step (both counted from 0) begins; step None: when the epoch does."""

    def __init__(self, epoch, step=None, really=True):
        self.moment, self.really = (epoch, step), really

    def on_train_epoch_start(self, trainer, pl_module):
        self.die_at(trainer, None)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.die_at(trainer, batch_idx)

    def die_at(self, trainer, step):
        if (trainer.current_epoch, step) == self.moment:
            if not self.really:
                raise InterruptedError("in place of SIGKILL")
            os.kill(os.getpid(), signal.SIGKILL)


class Signal(pl.Callback):
    """Sends a signal to one rank while a step (both counted from 0) is under way."""

    def __init__(self, epoch, step, number, rank=0):
        self.moment, self.number, self.rank = (epoch, step), number, rank

    def on_before_backward(self, trainer, pl_module, loss):
        if (
            trainer.current_epoch,
            trainer.fit_loop.batch_idx,
        ) == self.moment and trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.number)


class Poison(pl.Callback):
    """Makes one image of one step (both counted from 0) no number, on one rank."""

    def __init__(self, epoch, step, rank=0):
        self.moment, self.rank = (epoch, step), rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.moment and trainer.global_rank == self.rank:
            batch.view[0] = float("nan")


def kill(epoch, step=None, really=True):
    yaml = f"_target_:test_resume.Kill,epoch:{epoch},step:{'null' if step is None else step},really:{really}"
    return f"+callbacks.kill={{{yaml}}}"


def run_here(run_dir, *overrides, probed=PROBED):
    """Train in this process."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", overrides=[*FAST, *probed, *overrides, f"paths.run_dir={run_dir}"])
    return train(cfg)


def run_there(run_dir, *overrides):
    """Train in a process of its own, and return how it ended."""
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return programs.run("train", *FAST, *PROBED, *overrides, f"hydra.run.dir={run_dir}", PYTHONPATH=paths)


def same(one, other):
    """Exact equality, through containers."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def load(run_dir, name="last"):
    return torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)


def assert_equal_ends(run_dir, expected_dir):
    found, expected = load(run_dir), load(expected_dir)
    for name, tensor in expected["state_dict"].items():
        assert same(found["state_dict"][name], tensor), f"{name} differs"
    for part in ("optimizer_states", "lr_schedulers", "stage", "epoch", "global_step"):
        assert same(found[part], expected[part]), f"{part} differs"
    assert same(found["callbacks"]["RandomState"], expected["callbacks"]["RandomState"])
    for file, clock in {"metrics.csv": "transfer/seconds", "results.csv": "seconds"}.items():
        found, expected = (pd.read_csv(folder / file, dtype=str) for folder in (run_dir, expected_dir))
        assert found.pop(clock).notna().equals(expected.pop(clock).notna()), f"{file} differs"
        pd.testing.assert_frame_equal(found, expected, obj=file)  # cell by cell, as text


@pytest.fixture(scope="module", autouse=True)
def _one_thread_and_this_file_on_the_path():
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The directory of a model's run that was never killed, trained once."""
    directories = {}

    def directory(model):
        if model not in directories:
            directories[model] = tmp_path_factory.mktemp(model) / "run"
            run_here(directories[model], *MODELS[model].split())
        return directories[model]

    return directory


@pytest.mark.parametrize(
    ("model", "moment"),
    [
        ("ctc_queue", (2, 1)),
        ("ctc_bank", (2, None)),
        ("ctc_two_stage", (2, None)),  # the boundary
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("ctc_queue", (0, 1)),  # no checkpoint yet
                ("ctc_two_stage_reference", (3, None)),
                ("ctc_queue", (1, None)),
                ("ctc_queue", (3, None)),
                ("ctc_two_stage", (1, None)),
                ("ctc_two_stage", (3, None)),
                ("ctc_two_stage_reference", (2, None)),  # the boundary
            )
        ),
    ],
)
def test_a_killed_and_resumed_run_ends_like_one_never_killed(model, moment, uninterrupted, tmp_path):
    run_dir, overrides = tmp_path / "run", MODELS[model].split()
    with pytest.raises(InterruptedError):
        run_here(run_dir, *overrides, kill(*moment, really=False))
    run_here(run_dir, *overrides, "resume=auto")
    assert_equal_ends(run_dir, uninterrupted(model))


def test_after_sigkill_the_same_command_goes_on(uninterrupted, tmp_path):
    run_dir, overrides = tmp_path / "run", MODELS["ctc_queue"].split()
    killed = run_there(run_dir, *overrides, kill(2))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = run_there(run_dir, *overrides, "resume=auto")
    assert resumed.returncode == 0, resumed.stderr
    assert f"Resuming from {run_dir}/checkpoints/last.ckpt" in resumed.stdout
    assert resumed.stderr == ""
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))


@pytest.mark.slow
def test_sigkill_within_the_first_epoch_of_a_stage(uninterrupted, tmp_path):
    run_dir, overrides = tmp_path / "run", MODELS["ctc_two_stage"].split()
    killed = run_there(run_dir, *overrides, kill(2, 1))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_here(run_dir, *overrides, "resume=auto")
    assert_equal_ends(run_dir, uninterrupted("ctc_two_stage"))


@pytest.mark.parametrize(
    "name",
    [
        "best",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("epoch_002", "stage_contrast", "last")),
    ],
)
def test_a_kill_right_after_a_checkpoint_is_written_loses_no_logged_row(
    name, uninterrupted, tmp_path, monkeypatch
):
    run_dir, overrides = tmp_path / "run", MODELS["ctc_queue"].split()
    write, epoch = AtomicCheckpointIO.save_checkpoint, 3 if name == "stage_contrast" else 1

    def write_and_die(io, checkpoint, path, storage_options=None):
        write(io, checkpoint, path, storage_options)
        if Path(path).stem == name and checkpoint["epoch"] == epoch:
            raise InterruptedError("in place of SIGKILL")

    with monkeypatch.context() as patch:
        patch.setattr(AtomicCheckpointIO, "save_checkpoint", write_and_die)
        with pytest.raises(InterruptedError):
            run_here(run_dir, *overrides)
    run_here(run_dir, *overrides, "resume=auto")
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))


class KillAfterLast(pl.Callback):
    """The process kills itself once the second epoch's ``last.ckpt`` is in place."""

    def setup(self, trainer, pl_module, stage):
        write = AtomicCheckpointIO.save_checkpoint

        def write_and_die(io, checkpoint, path, storage_options=None):
            write(io, checkpoint, path, storage_options)
            if Path(path).stem == "last" and checkpoint["epoch"] == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        AtomicCheckpointIO.save_checkpoint = write_and_die


@pytest.mark.slow
def test_sigkill_right_after_the_last_checkpoint_is_written_loses_no_logged_row(uninterrupted, tmp_path):
    run_dir, overrides = tmp_path / "run", MODELS["ctc_queue"].split()
    killed = run_there(run_dir, *overrides, "+callbacks.kill._target_=test_resume.KillAfterLast")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_here(run_dir, *overrides, "resume=auto")
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))


@pytest.mark.parametrize("name", ["best", "epoch_002"])
def test_a_run_that_continues_from_an_earlier_checkpoint_of_its_own_logs_nothing_twice(
    name, uninterrupted, tmp_path
):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted("ctc_queue"), run_dir)
    resume = f"resume={run_dir}/checkpoints/{name}.ckpt"
    run_here(run_dir, *MODELS["ctc_queue"].split(), resume)
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))


def test_a_checkpoint_from_before_means_were_saved_resumes(uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted("ctc_queue"), run_dir)
    older = load(run_dir, "epoch_002")
    del older["epoch_means"]
    torch.save(older, run_dir / "checkpoints" / "last.ckpt")
    run_here(run_dir, *MODELS["ctc_queue"].split(), "resume=auto")
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))


PREEMPTED = [
    pytest.param("ctc_queue", (1, 0), signal.SIGTERM, marks=pytest.mark.slow),
    ("ctc_queue", (2, 1), signal.SIGUSR1),  # the last step of its epoch
    ("ctc_two_stage", (1, 1), signal.SIGTERM),  # the last one of its stage
    pytest.param("ctc_two_stage", (2, 0), signal.SIGTERM, marks=pytest.mark.slow),
    ("ctc_bank", (0, 0), signal.SIGTERM),  # draws random numbers in every step
]


def preempt(epoch, step, number, rank=0):
    return (
        f"+callbacks.signal={{_target_:test_resume.Signal,epoch:{epoch},step:{step},"
        f"number:{int(number)},rank:{rank}}}"
    )


@pytest.mark.parametrize(("model", "moment", "number"), PREEMPTED)
def test_a_run_told_to_go_saves_and_ends_like_one_never_stopped(
    model, moment, number, uninterrupted, tmp_path
):
    run_dir, overrides = tmp_path / "run", MODELS[model].split()
    with pytest.raises(SystemExit) as left:
        run_here(run_dir, *overrides, preempt(*moment, number))
    assert left.value.code == 128 + number
    saved = load(run_dir)
    assert saved["global_step"] == STEPS * moment[0] + moment[1] + 1  # that step is not lost
    run_here(run_dir, *overrides, "resume=auto")
    assert_equal_ends(run_dir, uninterrupted(model))


@pytest.mark.slow
def test_sigterm_ends_the_process_with_its_number_and_slurm_gets_the_job_back(
    uninterrupted, tmp_path, monkeypatch
):
    tools = tmp_path / "bin"
    tools.mkdir()
    scontrol = tools / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # an interactive one: Lightning does not count its tasks
    run_dir, overrides = tmp_path / "run", MODELS["ctc_queue"].split()
    ended = run_there(run_dir, *overrides, preempt(1, 0, signal.SIGTERM))
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert "before batch 1 of epoch 1" in ended.stdout
    assert (tmp_path / "requeued").read_text() == "requeue 123\n"
    resumed = run_there(run_dir, *overrides, "resume=auto")
    assert resumed.returncode == 0, resumed.stderr
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))


@pytest.mark.slow
def test_a_loss_that_is_no_number_on_one_rank_stops_both(tmp_path):
    poison = "+callbacks.poison={_target_:test_resume.Poison,epoch:0,step:1,rank:1}"
    overrides = [*MODELS["ctc_queue"].split(), "trainer=ddp_sim", "data.batch_size=32"]
    ended = run_there(tmp_path / "run", *overrides, poison)
    assert ended.returncode not in (0, -signal.SIGKILL)
    assert "the loss is nan after step 2 (training images " in ended.stderr


def test_a_loss_that_is_no_number_stops_with_step_images_and_checkpoint(tmp_path):
    poison = "+callbacks.poison={_target_:test_resume.Poison,epoch:2,step:1}"
    with pytest.raises(ValueError, match="the loss is nan after step") as stopped:
        run_here(tmp_path, *MODELS["ctc_queue"].split(), poison, "callbacks.divergence.every_n_steps=1")
    text = str(stopped.value)
    assert f"after step {STEPS * 2 + 2} (training images " in text
    assert f"The last good checkpoint is {tmp_path}/checkpoints/last.ckpt" in text
    saved = load(tmp_path)
    assert saved["epoch"] == 1
    assert all(
        torch.isfinite(value).all() for value in saved["state_dict"].values() if value.is_floating_point()
    )


def test_an_epoch_that_diverged_is_never_saved(tmp_path):
    """Looked at only at the end of the epoch, which comes before its checkpoints."""
    poison = "+callbacks.poison={_target_:test_resume.Poison,epoch:1,step:0}"
    with pytest.raises(ValueError, match=f"the loss is nan after step {STEPS + 1} "):
        run_here(tmp_path, *MODELS["ctc_queue"].split(), poison)
    assert load(tmp_path)["epoch"] == 0
    assert load(tmp_path, "best")["epoch"] == 0


def test_a_diverged_run_that_is_told_to_go_leaves_the_last_good_checkpoint(tmp_path):
    """Between two looks at the loss: what it would save is looked at first."""
    poison = "+callbacks.poison={_target_:test_resume.Poison,epoch:1,step:0}"
    with pytest.raises(ValueError, match=f"the loss is nan after step {STEPS + 1} "):
        run_here(tmp_path, *MODELS["ctc_queue"].split(), poison, preempt(1, 0, signal.SIGTERM))
    assert load(tmp_path)["epoch"] == 0


def test_the_limit_is_that_of_the_loss_whatever_is_accumulated(tmp_path):
    limit = ["callbacks.divergence.max_loss=1.0", "trainer.accumulate_grad_batches=2"]
    with pytest.raises(ValueError, match=r"the loss is 1\S* after step 0 "):
        run_here(tmp_path, *MODELS["ctc_queue"].split(), *limit, "callbacks.divergence.every_n_steps=1")


def test_a_job_that_slurm_has_queued_again_goes_on_without_being_told(tmp_path, monkeypatch):
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    with pytest.raises(ValueError, match="holds a run already"):
        checkpoint_to_resume(None, tmp_path)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    for resume in (None, "auto", "never", "elsewhere.ckpt"):  # however it began: the last is its own
        assert checkpoint_to_resume(resume, tmp_path) == last
    last.unlink()
    assert checkpoint_to_resume(None, tmp_path) is None


def test_another_number_of_ranks_with_as_many_images_each_is_another_configuration(uninterrupted):
    last = uninterrupted("ctc_queue") / "checkpoints" / "last.ckpt"
    config = load(uninterrupted("ctc_queue"))["config"]
    check_unchanged(config, last, 64)
    with pytest.raises(ValueError, match="an optimizer step was of 64 images of all ranks and is of 32;"):
        check_unchanged(config, last, 32)


def test_a_loss_above_the_limit_counts_as_diverged(tmp_path):
    with pytest.raises(
        ValueError, match=r"the loss is \d.* after step 1 .*There is no good checkpoint yet: the first epoch"
    ):
        run_here(tmp_path, *MODELS["ctc_queue"].split(), "callbacks.divergence.max_loss=0.001")
    with pytest.raises(ValueError, match="every_n_steps is 0; it must be a whole number of at least 1"):
        StopWhenDiverged(dirpath="x", max_loss=None, every_n_steps=0)


@pytest.mark.parametrize("name", ["epoch_002", "stage_instance"])
def test_a_run_can_start_from_any_checkpoint_of_another(name, uninterrupted, tmp_path):
    origin = uninterrupted("ctc_two_stage")
    resume = f"resume={origin}/checkpoints/{name}.ckpt"
    run_here(tmp_path / "run", *MODELS["ctc_two_stage"].split(), resume)
    assert same(load(tmp_path / "run")["state_dict"], load(origin)["state_dict"])


def test_resuming_a_finished_run_changes_nothing(uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted("ctc_queue"), run_dir)
    top1 = run_here(run_dir, *MODELS["ctc_queue"].split(), "resume=auto")
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))
    logged = pd.read_csv(run_dir / "metrics.csv")["val/top1"].dropna()
    assert top1 == pytest.approx(logged.iloc[-1])


def test_a_run_in_a_used_directory_replaces_what_is_there_only_if_told_to(uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted("ctc_queue"), run_dir)
    own = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    elsewhere = f"resume={uninterrupted('ctc_queue')}/checkpoints/epoch_002.ckpt"
    for overrides in ([], [elsewhere]):
        with pytest.raises(
            ValueError, match=f"{run_dir} holds a run already; .* resume=auto, .* resume=never,"
        ):
            run_here(run_dir, *MODELS["ctc_queue"].split(), *overrides)
        assert own == {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    run_here(run_dir, *MODELS["ctc_queue"].split(), f"resume={run_dir}/checkpoints/epoch_002.ckpt")
    with pytest.raises(InterruptedError):
        run_here(run_dir, *MODELS["ctc_queue"].split(), "resume=never", kill(0, 1, really=False))
    there = {path.name for path in run_dir.glob("checkpoints/*.ckpt")}
    assert there == {"epoch_000.ckpt"}, "another's would be resumed, or measured as this run's"
    assert load(run_dir, "epoch_000")["global_step"] == 0
    run_here(run_dir, *MODELS["ctc_queue"].split(), "resume=never")
    assert_equal_ends(run_dir, uninterrupted("ctc_queue"))


def test_what_a_run_without_a_last_checkpoint_has_saved_stays_when_another_is_begun_there(tmp_path):
    saved = tmp_path / "checkpoints" / "epoch_099.ckpt"
    saved.parent.mkdir()
    saved.write_text("of days")
    for resume in ([], ["resume=auto"]):
        with pytest.raises(InterruptedError):
            run_here(tmp_path, *MODELS["ctc_queue"].split(), *resume, kill(0, 0, really=False))
        assert saved.read_text() == "of days"


def test_the_probe_leaves_the_training_as_it_is(uninterrupted, tmp_path):
    for model in ("ctc_queue", "ctc_bank"):  # the latter draws random numbers in every step
        run_dir = tmp_path / model
        run_here(run_dir, *MODELS[model].split(), probed=["callbacks.transfer_probe=null"])
        with_probe, alone = load(uninterrupted(model)), load(run_dir)
        for part in ("state_dict", "optimizer_states"):
            assert same(alone[part], with_probe[part]), f"{model}: {part} differs"
        assert same(alone["callbacks"]["RandomState"], with_probe["callbacks"]["RandomState"])


def test_provenance_counts_the_seconds_of_all_processes(uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted("ctc_queue"), run_dir)
    before = json.loads((run_dir / "provenance.json").read_text())
    assert before["status"] == "finished"
    checkpoint = load(run_dir)
    checkpoint["callbacks"]["Provenance"]["seconds"] = 1000.0
    torch.save(checkpoint, run_dir / "checkpoints" / "last.ckpt")
    run_here(run_dir, *MODELS["ctc_queue"].split(), "resume=auto")
    after = json.loads((run_dir / "provenance.json").read_text())
    assert 1000 <= after["seconds"] < 1000 + 60


def truncated(checkpoint, folder):
    folder.joinpath("bad.ckpt").write_bytes(checkpoint.read_bytes()[:-1000])


def text(checkpoint, folder):
    folder.joinpath("bad.ckpt").write_text("seed: 0")


def weights_alone(checkpoint, folder):
    torch.save(torch.load(checkpoint, weights_only=True)["state_dict"], folder / "bad.ckpt")


@pytest.mark.parametrize("damage", [truncated, text, weights_alone], ids=lambda damage: damage.__name__)
def test_what_is_no_whole_checkpoint_is_refused(damage, uninterrupted, tmp_path):
    damage(uninterrupted("ctc_queue") / "checkpoints" / "last.ckpt", tmp_path)
    with pytest.raises(
        ValueError, match=r"bad\.ckpt is no complete Lightning checkpoint; resume from another\."
    ):
        run_here(tmp_path, *MODELS["ctc_queue"].split(), f"resume={tmp_path}/bad.ckpt")


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        (
            "model.queue_size=200",
            r"has .*memory\.key_KD of shape \(100, 128\) instead of \(200, 128\)",
        ),
        (
            "network.projector.dim=64",
            r"projector\.weight of shape \(128, 64\) instead of \(64, 64\)",
        ),
        ("network.backbone=cifar/resnet14", r"it lacks network\.backbone"),
        ("model=ce", r"it also holds "),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused(override, difference, uninterrupted, tmp_path):
    resume = f"resume={uninterrupted('ctc_queue')}/checkpoints/last.ckpt"
    model = [] if override == "model=ce" else MODELS["ctc_queue"].split()
    with pytest.raises(ValueError, match=f"does not fit this configuration: .*{difference}.*; resume with"):
        run_here(tmp_path, *model, override, resume)
    assert not (tmp_path / "metrics.csv").exists()


def test_a_checkpoint_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"resume=nowhere\.ckpt: there is no such checkpoint; name a \.ckpt file"
    ):
        run_here(tmp_path, "resume=nowhere.ckpt")


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("optim.optimizer.lr=0.5", "optim.optimizer.lr was 0.1 and is 0.5"),
        ("model.temperature=0.9", "model.temperature was 0.2 and is 0.9"),
        ("trainer.max_epochs=9", "trainer.max_epochs was 4 and is 9"),
    ],
)
def test_a_run_is_not_resumed_with_another_configuration(override, difference, uninterrupted, tmp_path):
    resume = f"resume={uninterrupted('ctc_queue')}/checkpoints/last.ckpt"
    with pytest.raises(ValueError, match=f"another configuration: .*{difference}"):
        run_here(tmp_path, *MODELS["ctc_queue"].split(), override, resume)


def test_a_changed_configuration_can_be_allowed_and_is_named(uninterrupted, tmp_path, caplog):
    resume = f"resume={uninterrupted('ctc_queue')}/checkpoints/epoch_002.ckpt"
    changes = ["model.temperature=0.9", "allow_changes=true"]
    run_here(tmp_path / "run", *MODELS["ctc_queue"].split(), *changes, resume)
    assert "Resuming with another configuration: " in caplog.text
    assert "model.temperature was 0.2 and is 0.9" in caplog.text


def test_a_finished_run_is_not_called_after_another_configuration(uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(uninterrupted("ctc_queue"), run_dir)
    before = (run_dir / "config.yaml").read_text()
    changes = ["model.temperature=0.9", "allow_changes=true", "resume=auto"]
    with pytest.raises(ValueError, match="has finished its 4 epochs with another configuration: model"):
        run_here(run_dir, *MODELS["ctc_queue"].split(), *changes)
    assert (run_dir / "config.yaml").read_text() == before

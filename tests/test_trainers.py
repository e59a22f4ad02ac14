"""Trainers and how they are started: configurations, torchrun, SLURM, and what several processes refuse."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from pytorch_lightning.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies import DDPStrategy

import programs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build

TRAINERS = sorted(path.stem for path in (config_dir() / "trainer").glob("*.yaml"))
ON_CPU = ["trainer.accelerator=cpu", "trainer.sync_batchnorm=false"]
SHORT = [
    "debug=fast",
    "model.queue_size=100",
    "data.batch_size=32",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "callbacks.transfer_probe=null",
    "num_threads=1",
]
JOB = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_NAME": "train",
    "SLURM_NODELIST": "localhost",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "1",
    "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "2",
}


@pytest.fixture
def configuration(tmp_path):
    def make(*overrides):
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return compose("train", overrides=[*overrides, f"paths.run_dir={tmp_path}"])

    return make


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    """Environments set variables when they are asked for an address."""
    for name in [*JOB, "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "SLURM_LOCALID"]:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ), torch.get_num_threads()
    yield
    for name in os.environ.keys() - before[0].keys():
        del os.environ[name]
    torch.set_num_threads(before[1])


@pytest.fixture
def job(monkeypatch):
    """As one task of a SLURM job of two."""
    for name, value in {**JOB, "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}.items():
        monkeypatch.setenv(name, value)


# ------------------------------------------------------------------------------------------ configurations


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_is_made_on_a_machine_without_gpus(name, configuration, request):
    """Devices apart: processes, strategy and plugins are the configuration's own."""
    sized = []
    if name == "slurm":
        request.getfixturevalue("job")
        sized = ["trainer.devices=2", "trainer.num_nodes=1"]
    elif name == "ddp":
        sized = ["trainer.devices=2"]  # all GPUs of a machine that has none
    on_cpu = ON_CPU if name not in ("cpu", "ddp_sim") else []
    cfg = configuration(f"trainer={name}", *(on_cpu[:1] if name == "gpu" else on_cpu), *sized)
    trainer = instantiate(cfg.trainer)
    ranks = {"cpu": 1, "gpu": 1, "ddp": 2, "ddp_sim": 2, "multi_node": 16, "slurm": 2}[name]
    assert trainer.world_size == ranks
    assert isinstance(trainer.strategy, DDPStrategy) == (ranks > 1)
    if ranks > 1:
        assert trainer.strategy._ddp_kwargs["broadcast_buffers"] is False
        environment = SLURMEnvironment if name == "slurm" else LightningEnvironment
        assert isinstance(trainer.strategy.cluster_environment, environment)
    if name == "slurm":
        assert trainer.global_rank == 1
        assert trainer.strategy.cluster_environment.auto_requeue is False
    assert type(trainer.strategy.checkpoint_io).__name__ == "AtomicCheckpointIO"


@pytest.mark.parametrize("name", ["ddp", "multi_node", "slurm"])
def test_gpus_share_the_statistics_of_batches_unless_told_otherwise(name, configuration):
    assert configuration(f"trainer={name}").trainer.sync_batchnorm is True
    assert configuration("experiment=ctc_imagenet", "trainer.devices=8").trainer.sync_batchnorm is True


def test_under_torchrun_its_ranks_are_lightnings(configuration, monkeypatch):
    given = {
        "TORCHELASTIC_RUN_ID": "none",
        "WORLD_SIZE": "4",
        "RANK": "3",
        "LOCAL_RANK": "1",
        "GROUP_RANK": "1",
    }
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    cfg = configuration("trainer=multi_node", *ON_CPU, "trainer.devices=2", "trainer.num_nodes=2")
    trainer = instantiate(cfg.trainer)
    assert isinstance(trainer.strategy.cluster_environment, TorchElasticEnvironment)
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank, trainer.node_rank) == (4, 3, 1, 1)


# ------------------------------------------------------------------------------------- what cannot work


def test_shared_batch_statistics_without_gpus_are_refused(configuration):
    cfg = configuration("debug=fast", "trainer=ddp_sim", "trainer.sync_batchnorm=true")
    with pytest.raises(ValueError, match=r"sync_batchnorm=true needs GPUs.*take trainer=ddp_sim\."):
        build(cfg)


@pytest.mark.parametrize(
    "given", [["trainer.devices=2"], ["trainer=ddp_sim", "trainer.strategy.broadcast_buffers=true"]]
)
def test_processes_that_would_send_each_other_the_memory_are_refused(given, configuration):
    with pytest.raises(ValueError, match=r"these 2 processes sends every buffer.*; take trainer=ddp "):
        build(configuration("debug=fast", *given))


REFERENCE = ["model=ctc_two_stage_reference", "model.num_negatives=16"]
BARE = "trainer.strategy.find_unused_parameters=false"


def test_a_head_that_waits_for_its_stage_needs_ddp_to_look_for_it(configuration):
    """In the reference's second stage heads are trained that the first does not use."""
    with pytest.raises(ValueError, match="find_unused_parameters is false, but a stage has a head"):
        build(configuration("debug=fast", "trainer=ddp_sim", *REFERENCE, BARE))
    build(configuration("debug=fast", "trainer=ddp_sim", *REFERENCE))
    build(configuration("debug=fast", *REFERENCE))  # one process


@pytest.mark.parametrize("model", ["ce", "ctc_queue", "ctc_bank", "ctc_two_stage"])
def test_stages_that_use_all_heads_need_no_search(model, configuration):
    build(configuration("debug=fast", "trainer=ddp_sim", f"model={model}", BARE))


# --------------------------------------------------------------------------------------- real processes


def ended(*processes):
    """Exit codes and what was said."""
    said = ["".join(process.communicate(timeout=240)) for process in processes]
    return [process.returncode for process in processes], said


@pytest.fixture
def late(tmp_path_factory):
    """A folder for PYTHONPATH: rank 1 begins in another second than rank 0."""
    folder = tmp_path_factory.mktemp("late")
    wait = "time.sleep(1.1 * int(os.environ.get('RANK') or 0))"
    (folder / "sitecustomize.py").write_text(f"import os, time\n{wait}\n")
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


@pytest.mark.slow
def test_torchrun_starts_two_ranks_of_one_run(tmp_path, late):
    """Each composes its configuration by itself, and rank 1 a second later: the directory is the same."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", "ctc_lightning.train", *SHORT, "trainer=ddp", *ON_CPU, "trainer.devices=2"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | programs.ALONE | {"PYTHONPATH": late},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 0, said
    (run_dir,) = tmp_path.glob("runs/glyphs_ctc_queue/seed_0/*")
    assert said.count("Everything is in") == 1
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2 * 128 // (2 * 32)
    keys_of_four_steps = checkpoint["state_dict"]["stages.contrast.memory.index_K"]
    assert (keys_of_four_steps >= 0).all()


@pytest.mark.slow
def test_a_job_of_slurm_is_queued_again_and_goes_on_in_its_directory(tmp_path):
    """Two tasks, as srun starts them; SIGUSR1 reaches one of them in the first epoch."""
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n')
    (tools / "scontrol").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    number = int(signal.SIGUSR1)
    yaml = f"_target_:test_resume.Signal,epoch:0,step:0,number:{number},rank:1"
    sized = ["trainer.devices=2", "trainer.num_nodes=1", "resume=auto", f"+callbacks.signal={{{yaml}}}"]

    def srun():
        tasks = []
        for rank in "01":
            given = {**JOB, "PATH": path, "PYTHONPATH": here, "SLURM_PROCID": rank, "SLURM_LOCALID": rank}
            tasks.append(
                programs.start("train", *SHORT, "trainer=slurm", *ON_CPU, *sized, cwd=tmp_path, **given)
            )
            time.sleep(1.1)  # rank 1 begins in another second than rank 0
        return ended(*tasks)

    codes, said = srun()
    assert codes == [128 + number] * 2, said
    assert (tmp_path / "requeued").read_text() == "requeue 4711\n"
    codes, said = srun()  # the step of the signal is over
    assert codes == [0, 0], said
    (run_dir,) = tmp_path.glob("runs/glyphs_ctc_queue/seed_0/*")
    assert run_dir.name.startswith("slurm_4711_0_")
    assert "Resuming from" in said[0]
    assert torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4


@pytest.mark.slow
def test_a_batch_script_without_srun_goes_on_when_its_job_is_queued_again(tmp_path):
    """A command that stands in it twice is refused instead of replacing its first run."""
    one = dict.fromkeys(("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"), "1")
    first = dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID"), "0")
    batch = {**JOB, **one, **first, "SLURM_STEP_ID": "", "ENVIRONMENT": "BATCH"}
    outcomes = [
        ended(programs.start("train", *SHORT, cwd=tmp_path, **batch, SLURM_RESTART_COUNT=count))
        for count in "001"
    ]
    (run_dir,) = tmp_path.glob("runs/glyphs_ctc_queue/seed_0/*")
    assert [code for (code,), _ in outcomes] == [0, 2, 0], outcomes
    assert f"error: {run_dir} holds a run already;" in outcomes[1][1][0]
    assert f"Resuming from {run_dir}" in outcomes[2][1][0]

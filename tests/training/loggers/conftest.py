"""A real training under all loggers, killed and resumed, each in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAST = ["debug=fast", "num_threads=1", "trainer.enable_progress_bar=false", "seed=3", "model.queue_size=100"]
PROBE = ["callbacks.transfer_probe.targets=[hue]", "~callbacks.transfer_probe.protocols.standardised"]
KILL = "+callbacks.kill={_target_:kill_in_epoch.Kill,epoch:2,seconds:3}"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A function of the command line: run the program offline, away from the user's own files."""
    home = tmp_path_factory.mktemp("home")

    def start(*arguments, **environment):
        alone = {
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
            "HOME": str(home),
            "WANDB_MODE": "offline",
            "WANDB_BASE_URL": "http://127.0.0.1:9",  # nobody answers
        }
        keep = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
        command = [sys.executable, "-m", "ctc_lightning.train", *FAST, *PROBE, *arguments]
        return subprocess.run(
            command, env=keep | alone | environment, capture_output=True, text=True, timeout=240, check=False
        )

    start.home = home
    return start


@pytest.fixture(scope="session")
def resumed(program, tmp_path_factory):
    """The directory of a run of three epochs that was killed in its third one."""
    run_dir = tmp_path_factory.mktemp("resumed") / "run"
    command = ["logger=[tensorboard,wandb]", f"hydra.run.dir={run_dir}", "resume=auto"]
    killed = program(*command, KILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = program(*command)
    assert done.returncode == 0, done.stderr
    return run_dir

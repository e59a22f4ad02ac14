"""A real training under all loggers, killed and resumed, each in a process of its own."""

import os
import signal
from pathlib import Path

import pytest

import programs

HERE = Path(__file__).parent
FAST = [
    "debug=fast", "num_threads=1", "trainer.enable_progress_bar=false", "seed=3", "model.queue_size=100",
    "data.style.image_size=16", "data.style.max_shift=2",
]  # fmt: skip
PROBE = ["callbacks.transfer_probe.targets=[hue]", "~callbacks.transfer_probe.protocols.standardised"]
KILL = "+callbacks.kill={_target_:kill_in_epoch.Kill,epoch:2,seconds:3}"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A function of the command line: run the program offline, away from the user's own files."""
    home = tmp_path_factory.mktemp("home")

    def start(*arguments):
        alone = {
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
            "HOME": str(home),
            "WANDB_MODE": "offline",
            "WANDB_BASE_URL": "http://127.0.0.1:9",  # nobody answers
        }
        return programs.run("train", *FAST, *PROBE, *arguments, **alone)

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

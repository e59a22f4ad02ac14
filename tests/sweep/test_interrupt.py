"""Ctrl-C in programs on a terminal, which sends it to all their processes: one line, saved, exit code 130."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import pytest

import programs

FAST = [
    "debug=fast", "num_threads=1", "trainer.enable_progress_bar=false",
    "callbacks.transfer_probe.every_n_epochs=1000", "callbacks.transfer_probe.also_at=[]",
]  # fmt: skip


def press_when(process, shown, files):
    """Send Ctrl-C to the process group once as many files are there."""
    until = time.monotonic() + 240
    while len(list(files())) < shown:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    return process.returncode, out, err


def test_a_training_saves_and_says_how_to_resume(tmp_path):
    long = ["trainer.max_epochs=500", "hydra.run.dir=run (1)", *FAST]
    process = programs.start("train", *long, cwd=tmp_path)
    code, out, err = press_when(process, 1, lambda: tmp_path.glob("run (1)/checkpoints/last.ckpt"))
    assert (code, err) == (130, "")
    (line,) = (line for line in out.splitlines() if line.startswith("Stopped by Ctrl-C: saved "))
    assert "run (1)/checkpoints/last.ckpt" in line
    assert line.endswith("resume=auto")
    assert "To resume: python -m ctc_lightning.train " in line


@pytest.mark.slow
def test_the_jobs_of_a_sweep_in_other_processes_save_and_it_continues_with_the_named_folder(tmp_path):
    grid = ["-m", *FAST, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "model.temperature=0.1,0.2,0.3"]
    process = programs.start("train", *grid, "trainer.max_epochs=500", "hydra.sweep.dir=grid", cwd=tmp_path)
    code, out, err = press_when(process, 2, lambda: tmp_path.glob("grid/*/checkpoints/last.ckpt"))
    assert code == 130
    assert "Traceback" not in out + err
    assert re.search(
        r"^Interrupted: .*rerun the same command with hydra.sweep.dir=grid\.$", err, re.MULTILINE
    )
    assert out.count("Stopped by Ctrl-C: saved ") == 2
    assert len(list(tmp_path.glob("grid/*/checkpoints"))) == 2  # the third has not begun


@pytest.mark.slow
def test_processes_that_still_import_end_before_their_first_job(tmp_path):
    grid = ["-m", *FAST, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "model.temperature=0.1,0.2,0.3"]
    process = programs.start("train", *grid, "trainer.max_epochs=500", "hydra.sweep.dir=grid", cwd=tmp_path)
    code, out, err = press_when(process, 2, lambda: jobs_of(process))
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith("rerun the same command with hydra.sweep.dir=grid.")
    assert not list(tmp_path.glob("grid/*/checkpoints"))


def jobs_of(process):
    """Joblib's processes in the program's group."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            if b"popen_loky" in command.read_bytes() and os.getpgid(int(command.parent.name)) == process.pid:
                yield command

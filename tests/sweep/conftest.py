"""Sweeps of trainings that take a second each, as processes and in this one."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import programs
from ctc_lightning import train

PROBE = "callbacks.transfer_probe"
FAST = [
    "debug=fast", "trainer.max_epochs=2", "num_threads=1", "trainer.enable_progress_bar=false",
    f"{PROBE}.targets=[hue,fine]", f"~{PROBE}.protocols.knn", f"~{PROBE}.protocols.standardised",
]  # fmt: skip
SMALL_GLYPHS = ["data.style.image_size=16", "data.style.max_shift=2"]
KILLED = Path(__file__).with_name("killed.py")


def fast(*arguments):
    """The command line of a sweep of trainings that take a second each."""
    glyphs = not any(word.startswith("data=") for word in arguments)
    return ["-m", *FAST, *(SMALL_GLYPHS if glyphs else []), *arguments]


@pytest.fixture
def sweep(tmp_path):
    """A function: sweep in a process of its own; ``killed`` names a run and its epoch."""

    def run(*arguments, killed=None):
        program = str(KILLED) if killed else "train"
        moment = {"KILL_RUN": killed[0], "KILL_EPOCH": str(killed[1])} if killed else {}
        return programs.run(program, *fast(*arguments), cwd=tmp_path, **moment)

    return run


@pytest.fixture
def sweep_here(tmp_path, monkeypatch, capsys, caplog):
    """A function: sweep in this process."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards, as is the next
        monkeypatch.setattr(sys, "argv", ["train.py", *fast(*arguments)])
        caplog.clear()
        threads, code = torch.get_num_threads(), 0
        try:
            train.main()
        except SystemExit as end:
            code = end.code
        finally:
            torch.set_num_threads(threads)
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=caplog.text, stderr=said.err)

    return run

"""Ctrl-C before a program's own code runs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise ImportError('it went on')\n"


def run(folder, *arguments):
    """Python, which gets Ctrl-C when it imports torch."""
    (folder / "torch.py").write_text(INTERRUPTED)
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": f"{folder}:{SRC}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


PROGRAMS = ["data", "export", "information", "prepare", "report", "train", "transfer"]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("installed", [False, True])
def test_while_a_program_is_imported_it_is_one_line(installed, program, tmp_path):
    command = ["-m", f"ctc_lightning.{program}"]
    if installed:
        module, function = SCRIPTS[f"ctc-{program}"].split(":")
        command = [str(tmp_path / f"ctc-{program}")]
        Path(command[0]).write_text(f"from {module} import {function}\n{function}()\n")
    ended = run(tmp_path, *command)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "Interrupted: what is finished is kept. To continue, rerun the same command.\n"


def test_only_programs_change_what_ctrl_c_does(tmp_path):
    ended = run(tmp_path, "-c", "import ctc_lightning; ctc_lightning.CTCModule")
    assert ended.stderr.endswith("KeyboardInterrupt\n")

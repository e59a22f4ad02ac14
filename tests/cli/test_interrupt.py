"""Ctrl-C before a program's own code runs."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import programs

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


PROGRAMS = ["data", "export", "information", "predict", "prepare", "report", "train", "transfer"]


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


PATCHED = """
import sys, time
from importlib import import_module
from ctc_lightning.{module} import main
import ctc_lightning.{place} as place
def work(*arguments, **options):
    print("working", flush=True)
    time.sleep(60)
place.{name} = work
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "place", "name", "arguments"),
    [
        ("report", "report", "load_runs", ["here"]),
        ("data.__main__", "data.__main__", "get", ["get", "dtd"]),
        ("data.__main__", "data.__main__", "overview", ["list"]),
        ("prepare", "prepare", "list_splits", ["here", "there"]),
        (
            "predict",
            "predict",
            "write_predictions",
            ["checkpoint=here", "images=there", "output=classes.csv"],
        ),
        ("transfer", "transfer", "evaluate_all", ["run=here"]),
        ("information.__main__", "information.__main__", "evaluate_all", ["run=here"]),
        ("export.command", "export.command", "find_checkpoint", ["checkpoint=here"]),
    ],
)
def test_while_a_program_works_it_is_one_line(module, place, name, arguments, tmp_path):
    (tmp_path / "program.py").write_text(PATCHED.format(module=module, place=place, name=name))
    process = programs.start(str(tmp_path / "program.py"), *arguments, cwd=tmp_path)
    while process.poll() is None and "working" not in (process.folder / "stdout").read_text():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(30)
    assert process.returncode == 130
    assert err.startswith("Interrupted: ")
    assert err.endswith("To continue, rerun the same command.\n")
    assert err.count("\n") == 1

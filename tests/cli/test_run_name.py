"""A run that is started again finds its directory; two runs never share one."""

import re
import sys

import pytest

from ctc_lightning.cli.run_name import num_started, short, started, started_again

STEP = {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "ENVIRONMENT": "BATCH"}  # within a batch script
BATCH = {"SLURM_JOB_ID": "4711", "ENVIRONMENT": "BATCH"}
RESTARTS = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
OTHERS = (
    *RESTARTS, "SLURM_PTY_PORT", "SLURM_STEP_NUM_TASKS",
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE", "WORLD_SIZE",
)  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """A function: be started in this environment, without a terminal."""
    for name in (*STEP, *OTHERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.isatty", lambda file: False)

    def become(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return become


def test_a_run_of_no_job_is_named_by_the_time():
    assert started("constant") == "constant"


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": str(2**32 - 6)},
        {**STEP, "SLURM_PTY_PORT": "1234"},
        {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": ""},
        {"ENVIRONMENT": "BATCH"},
    ],
    ids=["salloc", "srun --pty", "no step", "another scheduler's"],
)
def test_runs_from_a_shell_are_named_by_the_time(variables, environment):
    """There may be many of one command."""
    environment(variables)
    assert started("constant") == "constant"


def test_a_terminal_within_a_batch_job_is_a_shell(environment, monkeypatch):
    """As a notebook server that runs in one opens them."""
    environment(BATCH)
    monkeypatch.setattr("os.isatty", lambda file: file == 0)
    assert started("constant") == "constant"


@pytest.mark.parametrize(("variables", "step"), [(STEP, "0"), (BATCH, "batch")], ids=["srun", "batch"])
def test_a_command_of_a_job_has_one_name_whenever_it_is_started(variables, step, environment, monkeypatch):
    environment(variables)
    names = set()
    for overrides in (["seed=0"], ["seed=1"], ["seed=0"]):
        monkeypatch.setattr(sys, "argv", ["train", *overrides])
        names |= {started("now"), started("a second later")}
    assert len(names) == 2
    assert all(name.startswith(f"slurm_4711_{step}_") for name in names)


def test_jobs_of_an_array_are_different_runs(environment):
    environment(BATCH)
    first = started("constant")
    environment({"SLURM_JOB_ID": "4712"})
    assert started("constant") != first


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 1),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "4"}, 4),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PTY_PORT": "1234"}, 1),
        ({"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}, 2),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "2", "TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "16"}, 16),
        ({"WORLD_SIZE": "2"}, 1),
    ],
    ids=["neither", "srun", "srun -n 4 --pty", "torchrun", "both", "Lightning"],
)
def test_the_processes_that_others_started_are_counted(variables, expected, environment):
    environment(variables)
    assert num_started() == expected


@pytest.mark.parametrize("by", RESTARTS)
def test_who_is_started_again_knows(by, environment):
    assert not started_again()
    environment({by: "0"})
    assert not started_again()
    environment({by: "2"})
    assert started_again()


@pytest.mark.parametrize("character", ["k", "ü", "λ"])
def test_a_sweeps_folders_have_names_that_file_systems_take(character, tmp_path):
    long = character * 400
    names = {short(name) for name in ("seed=0", long, f"{long},seed=0", f"{long},seed=1")}
    assert "seed=0" in names
    for name in names:
        (tmp_path / name).mkdir()
    assert len(names) == 4


def test_a_sweep_over_paths_makes_folders_side_by_side():
    settings = [f"data.root={path}" for path in ("/a/x", "/b/x", "a_x", "../a_x", "'/a/it\\'s'", "/a/x/y")]
    names = [short(setting) for setting in settings]
    assert len({*names}) == len(names)
    assert not re.search(r"[/'\\]", "".join(names))
    assert names[2] == settings[2], "a name that can be a folder's stays"

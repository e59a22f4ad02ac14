"""``--help`` of the programs that Hydra composes: short, and true."""

import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from runpy import run_module

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from ctc_lightning.cli.configuration import choices, config_dir

PROGRAMS = {
    "train": "train",
    "transfer": "transfer",
    "information": "information",
    "export": "export",
    "predict": "predict",
}


@pytest.fixture(params=PROGRAMS, scope="module")
def shown(request):
    """A program's configuration, its command, and what its ``--help`` shows in a terminal of 100 columns."""
    program, *words = PROGRAMS[request.param].split()
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [program, *words, "--help"])
        patch.setenv("COLUMNS", "100")
        patch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards
        with pytest.raises(SystemExit) as ended:
            run_module(f"ctc_lightning.{program}", run_name="__main__", alter_sys=True)
    GlobalHydra.instance().clear()  # it had no time to do so itself
    assert (ended.value.code, err.getvalue()) == (0, "")
    return request.param, f"ctc_lightning.{PROGRAMS[request.param]}", out.getvalue()


def test_it_fits_on_a_screen(shown):
    lines = shown[2].splitlines()
    assert len(lines) <= 45
    assert max(len(line) for line in lines if line != str(config_dir())) <= 100
    assert str(config_dir()) in lines, "where values are explained"


def test_every_example_composes(shown):
    config, command, text = shown
    examples = re.findall(
        rf"^  python -m {re.escape(command)}((?: (?:-m|\S+=\S+))*)(?: {{2,}}|$)", text, re.MULTILINE
    )
    assert len(examples) >= 4
    for example in examples:
        overrides = [word for word in example.split() if word != "-m"]
        single = [
            re.sub(r"(?<==)([^,\[]+),.*", r"\1", word) for word in overrides
        ]  # of a sweep the first job
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            compose(config, [word for word in single if not word.startswith("hydra.")])


def test_all_choices_of_its_groups_are_shown(shown):
    groups = dict(re.findall(r"^  ([\w/]+) {2,}(\S.*(?:\n {6,}\S.*)*)", shown[2], re.MULTILINE))
    assert groups or shown[0] == "predict"
    for group, names in groups.items():
        assert re.split(r",\s+", names) == sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def test_a_narrow_terminal_is_not_exceeded(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = choices("data", "data/augmentation").splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith("  data               birdsnap, ")

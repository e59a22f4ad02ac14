"""``--help``, unknown keys and unknown choices are answered before anything heavy is imported."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "wandb", "timm", "sklearn", "matplotlib", "pandas", "scipy", "pytorch_lightning")
SHOW = f"import sys, atexit; atexit.register(lambda: print('loaded:', *({HEAVY} & sys.modules.keys())))"


def heavy_imports(program, *arguments):
    """Exit code, and which of the heavy packages the process has imported."""
    code = SHOW.replace(str(HEAVY), str(set(HEAVY))) + (
        f"; import runpy; sys.argv = [{program!r}, *{list(arguments)!r}]"
        f"; runpy.run_module('ctc_lightning.{program}', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.rsplit("loaded:", 1)[1].split()


@pytest.mark.parametrize("program", ["train", "transfer", "information", "export"])
def test_help_imports_nothing_heavy(program):
    assert heavy_imports(program, "--help") == (0, [])


@pytest.mark.parametrize("argument", ["no_such_key=1", "model=no_such_model"])
def test_a_mistake_imports_nothing_heavy(argument):
    assert heavy_imports("train", argument) == (2, [])

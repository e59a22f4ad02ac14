"""The wheel, alone and far from the checkout, trains."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
WHERE = """
import ctc_lightning, ctc_lightning.cli.configuration as configuration
print(ctc_lightning.__file__, configuration.config_dir(), sep="\\n")
"""


def python(folder, *arguments, **environment):
    """Run a fresh interpreter in ``folder`` and return what it says."""
    environment = {"OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A folder that holds the installed wheel and nothing else, beside somebody else's conf/."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "conf").mkdir()
    (folder / "conf" / "train.yaml").write_text("not: ours")
    python(ROOT, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (wheel,) = folder.glob("*.whl")
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    python(folder, *pip, "--target", str(folder / "installed"), str(wheel))
    return folder / "installed"


def test_the_wheel_holds_every_yaml(installation):
    def relative(folder):
        return {str(path.relative_to(folder)) for path in folder.rglob("*.yaml")}

    assert relative(installation / "ctc_lightning" / "conf") == relative(ROOT / "conf")


def test_the_wheel_has_types_and_a_licence(installation):
    assert (installation / "ctc_lightning" / "py.typed").is_file()
    assert list(installation.glob("ctc_lightning-*.dist-info/licenses/LICENSE"))


@pytest.mark.slow
def test_the_wheel_trains_away_from_the_checkout(installation, tmp_path):
    # -S: without the .pth file that puts the checkout on the path; the dependencies are named instead
    alone = {"PYTHONPATH": os.pathsep.join([str(installation), sysconfig.get_path("purelib")])}
    package, conf, *path = python(tmp_path, "-S", "-c", WHERE, **alone).splitlines()
    assert Path(package) == installation / "ctc_lightning" / "__init__.py"
    assert Path(conf) == installation / "ctc_lightning" / "conf"
    assert str(ROOT / "src") not in path

    arguments = ["debug=fast", "trainer.max_epochs=1", "hydra.run.dir=run"]
    said = python(tmp_path, "-S", "-m", "ctc_lightning.train", *arguments, **alone)
    assert f"Everything is in {tmp_path / 'run'}" in said
    assert set(pd.read_csv(tmp_path / "run" / "results.csv").epoch) == {0, 1}
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["commit"] is None

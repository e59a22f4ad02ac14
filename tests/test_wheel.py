"""The wheel, alone and far from the checkout, trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WHERE = (
    "import ctc_lightning, ctc_lightning.paths as p; print(ctc_lightning.__file__, p.config_dir(), sep='\\n')"
)


def python(folder, *arguments, **environment):
    """Run a fresh interpreter in ``folder`` with nothing of the checkout's on its path."""
    environment = {"OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A folder that holds the unpacked wheel and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    python(ROOT, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (wheel,) = folder.glob("*.whl")
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    python(folder, *pip, "--target", str(folder / "installed"), str(wheel))
    return folder / "installed"


@pytest.fixture
def elsewhere(tmp_path):
    """A working directory with a conf/ of its own, beside which the wheel must find its own."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "train.yaml").write_text("not: ours\n")
    return tmp_path


def test_the_wheel_holds_every_yaml(installation):
    def relative(folder):
        return {str(path.relative_to(folder)) for path in folder.rglob("*.yaml")}

    assert relative(installation / "ctc_lightning" / "conf") == relative(ROOT / "conf")


def test_the_wheel_has_types_and_a_licence(installation):
    assert (installation / "ctc_lightning" / "py.typed").is_file()
    assert list(installation.glob("ctc_lightning-*.dist-info/licenses/LICENSE"))


def test_the_wheel_trains_away_from_the_checkout(installation, elsewhere):
    package, conf = python(elsewhere, "-c", WHERE, PYTHONPATH=str(installation)).splitlines()
    assert Path(package) == installation / "ctc_lightning" / "__init__.py"
    assert Path(conf) == installation / "ctc_lightning" / "conf"
    said = python(
        elsewhere, "-m", "ctc_lightning.train", "debug=fast", "trainer.max_epochs=1", "hydra.run.dir=run",
        PYTHONPATH=str(installation),
    )  # fmt: skip
    assert f"Everything is in {elsewhere / 'run'}" in said
    assert {"results.csv", "metrics.csv", "config.yaml"} <= {
        path.name for path in (elsewhere / "run").iterdir()
    }
    assert '"commit": null' in (elsewhere / "run" / "provenance.json").read_text()


def test_a_wheel_beside_somebody_elses_conf_reads_its_own(installation, elsewhere):
    vendored = elsewhere / "vendor"
    vendored.symlink_to(installation)
    _, conf = python(elsewhere, "-c", WHERE, PYTHONPATH=str(vendored)).splitlines()
    assert Path(conf).resolve() == installation / "ctc_lightning" / "conf"

"""What all tests share: a small finished run, a broken disk; files that are read and images drawn once."""

import copy
import resource
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from matplotlib.figure import Figure

import programs
from ctc_lightning.data import glyphs

SMALL = ["experiment=digits_ce", "data.num_train=200", "data.num_val=60", "data.num_test=100"]
QUIET = ["trainer.max_epochs=3", "trainer.enable_progress_bar=false", "callbacks.transfer_probe=null"]

Plugins.instance()  # imports the source of files, once more where it was imported already
config_source = SourcesRegistry.instance().resolve("file")
parsed, parse = {}, config_source.load_config


def parse_once(source, config_path):
    """Hydra parses about 40 YAML files at every composition: parse each of them once for all tests."""
    file = Path(source.path, source._normalize_file_name(config_path))
    if not file.is_file():
        return parse(source, config_path)
    key = source.provider, file, file.stat().st_mtime_ns
    if key not in parsed:
        parsed[key] = parse(source, config_path)
    return copy.deepcopy(parsed[key])  # Hydra changes it


config_source.load_config = parse_once

drawn, draw = {}, glyphs.draw_glyphs


def draw_once(templates_TSP2, num_images, seed, style):
    """Most trainings here are on the same few glyphs."""
    key = templates_TSP2.tobytes(), num_images, str(seed), repr(style)
    if key not in drawn:
        drawn[key] = draw(templates_TSP2, num_images, seed, style)
    return copy.deepcopy(drawn[key])


glyphs.draw_glyphs = draw_once


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "ce"
    done = programs.run("train", *SMALL, *QUIET, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run_dir(trained, tmp_path):
    """A copy of one's own of the run: checkpoints of epochs 0, 1, 2 and 3; nothing measured."""
    return shutil.copytree(trained, tmp_path / "ce")


@pytest.fixture
def quick(monkeypatch):
    """Figures of a report are files without content, where a test is not about pictures."""
    from ctc_lightning import report
    from ctc_lightning.analysis.report import writer

    def save(figure, stem):
        for kind in ("png", "svg"):
            stem.with_name(f"{stem.name}.{kind}").write_text("<svg></svg>")
        return [f"{stem.name}.png", f"{stem.name}.svg"]

    monkeypatch.setattr(writer, "save", save)
    undrawn = [replace(part, figure=part.figure and (lambda *_: Figure())) for part in report.PARTS]
    monkeypatch.setattr(report, "PARTS", undrawn)


@contextmanager
def limited(num_bytes):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def file_size_limit():
    """``with file_size_limit(1000):`` the system refuses to write more to a file, as a full disk does."""
    return limited


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of its own that has room for 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)

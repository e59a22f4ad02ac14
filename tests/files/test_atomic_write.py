"""What we write is whole or not there; a full or broken disk is one line with path, rest and remedy."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ctc_lightning.analysis.figures.style import save
from ctc_lightning.data.cache import ImageCache
from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.evaluation.feature_cache import FeatureCache
from ctc_lightning.evaluation.results import ResultsTable, Row
from ctc_lightning.files.atomic_write import (
    WriteError,
    atomic_file,
    atomic_folder,
    reserve,
    write_errors,
    write_text,
)
from ctc_lightning.sweep.objectives import final_objectives
from ctc_lightning.training.callbacks.provenance import Provenance
from ctc_lightning.training.checkpoint_io import AtomicCheckpointIO
from ctc_lightning.training.loggers import MetricsCSV

PACKAGE = Path(__file__).parents[2] / "src" / "ctc_lightning"
LARGE = torch.ones(200_000)
FULL = r"\(No space left on device, \d+ MB free\)"


def memory_map(path):
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (200_000,))
    reserve(path)
    pixels[:] = 1


WRITERS = {
    "torch": lambda path: torch.save({"weight": LARGE, "name": "x" * 200_000}, path),
    "torch, small tensors": lambda path: torch.save([torch.ones(100) for _ in range(2000)], path),
    "safetensors": lambda path: save_file({"weight": LARGE}, path),
    "numpy": lambda path: np.save(path.open("wb"), LARGE.numpy()),
    "memory map": memory_map,
    "text": lambda path: path.write_text("x" * 200_000),
}


@pytest.mark.parametrize("before", [None, b"before"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_line_and_loses_nothing(full_disk, writer, before):
    path = full_disk / "deep" / "file"
    path.parent.mkdir()
    if before is not None:
        path.write_bytes(before)
    kept = "nothing is left there" if before is None else "the previous version is intact"
    expected = f"^{path} cannot be written {FULL}; {kept}: make room there, then rerun with it\\.$"
    with pytest.raises(WriteError, match=expected), atomic_file(path, "rerun with it") as beside:
        WRITERS[writer](beside)
    assert [file.read_bytes() for file in path.parent.iterdir()] == ([] if before is None else [before])


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_may_not_grow_is_one_line(tmp_path, file_size_limit, writer):
    expected = (
        rf"^{tmp_path}/file cannot be written \(File too large, .*ulimit -f\), then rerun the same command"
    )
    with (
        pytest.raises(WriteError, match=expected),
        file_size_limit(20_000),
        atomic_file(tmp_path / "file") as beside,
    ):
        WRITERS[writer](beside)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        WriteError, match=f"{tmp_path}/file/deep/a cannot be written .*; choose another folder"
    ):
        write_text(tmp_path / "file" / "deep" / "a", "text")
    with pytest.raises(WriteError, match=f"{tmp_path} cannot be written .*it is a folder"):
        write_text(tmp_path, "text")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        RuntimeError("shapes differ"),
        FileNotFoundError(2, "No such file or directory", "/images/a.jpg"),
        PermissionError(13, "Permission denied", "/images/a.jpg"),
        ConnectionError(111, "Connection refused"),
    ],
    ids=repr,
)
def test_other_errors_pass_and_leave_what_was_there(tmp_path, error):
    (tmp_path / "file").write_text("before")

    def write():
        with atomic_file(tmp_path / "file") as beside:
            beside.write_text("half")
            raise error

    with pytest.raises(type(error)) as found:
        write()
    assert found.value is error
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    names = {number: f".file.{host}-{number}.tmp" for number in (ended.pid, os.getpid(), os.getppid())}
    for name in (*names.values(), ".file.elsewhere-1.tmp"):
        (tmp_path / name).touch()
    write_text(tmp_path / "file", "text")
    assert {file.name for file in tmp_path.iterdir()} == {
        "file",
        names[os.getppid()],
        ".file.elsewhere-1.tmp",
    }


def test_a_folder_appears_whole(tmp_path):
    with atomic_folder(tmp_path / "new" / "out") as beside:
        (beside / "a").write_text("1")
        assert not (tmp_path / "new" / "out").exists()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["out"]
    assert (tmp_path / "new" / "out" / "a").read_text() == "1"


def test_files_of_the_same_name_are_replaced_and_others_stay(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "notes").write_text("mine")
    with atomic_folder(tmp_path) as beside:
        (beside / "a").write_text("new")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a": "new", "notes": "mine"}


def test_after_an_error_there_is_no_folder(tmp_path, file_size_limit):
    with (
        pytest.raises(WriteError, match=f"{tmp_path}/out cannot be written"),
        file_size_limit(1000),
        atomic_folder(tmp_path / "out") as beside,
    ):
        (beside / "a").write_text("x" * 2000)
    assert not list(tmp_path.iterdir())


def test_a_mounted_disk_that_is_read_only(full_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(full_disk)], check=True)
    with pytest.raises(WriteError, match=rf"{full_disk}/a/b cannot be written \(Read-only file system"):
        write_text(full_disk / "a" / "b", "text")


# -------------------------------------------------------------------------------- wherever the package writes


def fill_cache(folder):
    images = ImageSet(torch.ones(200, 3, 16, 16, dtype=torch.uint8), {"class": torch.zeros(200).long()})
    ImageCache(folder, "set", {}).load(lambda _: ({"train": images}, {}))


def log_metrics(folder):
    logger = MetricsCSV(str(folder))
    for step in range(5000):
        logger.log_metrics({"train/loss": 1 / 3}, step)


def many_rows(folder):
    ResultsTable(folder / "results.csv").put(
        Row("run", "ce", 0, e, e, "knn", "own", "top1", 1 / 3) for e in range(999)
    )


def provenance(folder):
    callback = Provenance(str(folder))
    callback.config = {"text": "x" * 50_000}
    callback.began = 0.0
    callback.on_fit_start(type("Trainer", (), {"is_global_zero": True})(), None)


PLACES = {
    "checkpoint": (
        "last.ckpt",
        lambda f: AtomicCheckpointIO().save_checkpoint({"w": LARGE}, f / "last.ckpt"),
    ),
    "results": ("results.csv", many_rows),
    "metrics": ("metrics.csv", log_metrics),
    "configuration": ("config.yaml", provenance),
    "images": (r"set_\w+", fill_cache),
    "figure": (r"plot\.png", lambda f: save(matplotlib.figure.Figure((9, 9), facecolor="w"), f / "plot")),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_names_the_path_and_the_remedy(tmp_path, file_size_limit, place):
    name, write = PLACES[place]
    with (
        pytest.raises(
            WriteError, match=rf"^{tmp_path}/{name} cannot be written \(.*\); .*: .*, then rerun .*\.$"
        ),
        file_size_limit(1500 if place == "figure" else 20_000),
    ):
        write(tmp_path)


def test_rows_that_cannot_be_added_leave_the_table_as_it_was(tmp_path, file_size_limit):
    table = ResultsTable(tmp_path / "results.csv")
    row = Row("r", "ce", 0, 0, 0, "knn", "hue", "top1", 0.5)
    table.put([row])
    before = table.path.read_bytes()
    with pytest.raises(WriteError, match=r"results\.csv cannot be written"), file_size_limit(20_000):
        table.put([row._replace(epoch=epoch) for epoch in range(1, 1000)])
    assert table.path.read_bytes() == before
    table.put([row._replace(epoch=1)])
    assert [one.epoch for one in table.rows()] == [0, 1]


def test_features_that_cannot_be_kept_are_a_warning(tmp_path, file_size_limit, caplog):
    features, index = torch.randn(100, 64), torch.arange(100)
    with file_size_limit(1000):
        found = FeatureCache(tmp_path).get({"a": 1}, lambda: (features, index))
    assert torch.equal(found[0], features)
    assert re.search(
        rf"not kept.*{tmp_path}/\w+\.safetensors cannot be written \(File too large", caplog.text
    )
    assert not list(tmp_path.iterdir())


def test_objectives_are_written_whole(tmp_path):
    assert final_objectives(["source"], 0.5, tmp_path / "run") == (0.5,)
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["objectives.json"]


def test_errors_of_a_library_without_a_path_name_the_folder(tmp_path):
    with pytest.raises(WriteError, match=f"{tmp_path} cannot be written"), write_errors(tmp_path):
        raise OSError(28, "No space left on device")


def test_nothing_in_the_package_writes_around_it():
    """`fsync` stands in one file; others write text only through it, or into the folder that it gives."""
    direct = re.compile(
        r"(?<!beside)(?<!folder / \"config.json\"\))\.write_(?:text|bytes)\(|fsync|OmegaConf\.save\("
    )
    wrong = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "atomic_write.py"
        for line in path.read_text().splitlines()
        if direct.search(line) and not re.search(r"\((?:beside|folder) / ", line)
    ]
    assert not wrong

"""``metrics.csv`` goes on where the resumed run goes on."""

import csv

import pytest

from ctc_lightning.training.loggers import MetricsCSV


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def read(path):
    with path.open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def write(folder, *rows, first_step=0):
    """One process's log."""
    logger = MetricsCSV(folder)
    logger.begin_at(first_step)
    for step, metrics in rows:
        logger.log_metrics(metrics, step=step)
    return logger


def test_every_row_is_in_the_file_at_once(tmp_path, path):
    logger = write(tmp_path, (0, {"loss": 0.1}))
    assert read(path) == [{"step": "0", "loss": "0.1"}]
    logger.log_metrics({"loss": 1 / 3, "accuracy": 0.5}, step=1)
    assert read(path) == [{"step": "0", "loss": "0.1"}, {"step": "1", "loss": repr(1 / 3), "accuracy": "0.5"}]


def test_a_resumed_run_ends_with_the_same_bytes(tmp_path, path):
    rows = [(step, {"loss": step / 7}) for step in range(6)]
    rows[3:3] = [(2, {"accuracy": 0.5})]  # of the epoch that step 2 ended
    (tmp_path / "once").mkdir()
    write(tmp_path / "once", *rows)
    write(tmp_path, *rows[:6])  # killed after step 4
    write(tmp_path, *rows[4:], first_step=3)  # resumed from a checkpoint after three steps
    assert path.read_bytes() == (tmp_path / "once" / "metrics.csv").read_bytes()


def test_a_run_that_begins_again_replaces_the_file(tmp_path, path):
    write(tmp_path, (0, {"loss": 1.0}), (9, {"loss": 2.0}))
    write(tmp_path, (0, {"loss": 3.0}))
    assert read(path) == [{"step": "0", "loss": "3.0"}]


def test_a_resumed_run_may_log_other_things(tmp_path, path):
    write(tmp_path, (0, {"a": 1.0}))
    write(tmp_path, (1, {"b": 2.0}), first_step=1)
    assert read(path) == [{"step": "0", "a": "1.0"}, {"step": "1", "b": "2.0"}]


def test_a_resumed_run_may_begin_with_the_step_that_it_ends_with(tmp_path, path):
    """As with a probe of the checkpoint's network."""
    write(tmp_path, (0, {"a": 1.0}), (1, {"a": 2.0}), (2, {"a": 3.0}))
    write(tmp_path, (1, {"b": 4.0}), first_step=2)
    assert read(path) == [
        {"step": "0", "a": "1.0"}, {"step": "1", "a": "2.0"}, {"step": "1", "b": "4.0"}
    ]  # fmt: skip


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path, path):
    write(tmp_path, (0, {"loss": 1.0}), (1, {"loss": 2.0}))
    path.write_text(path.read_text() + "4.12")
    write(tmp_path, (20, {"loss": 3.0}), first_step=20)
    assert read(path) == [
        {"step": str(step), "loss": loss} for step, loss in ((0, "1.0"), (1, "2.0"), (20, "3.0"))
    ]


def test_making_a_logger_leaves_the_file_alone(tmp_path, path):
    write(tmp_path, (0, {"loss": 1.0}))
    before = path.read_bytes()
    assert MetricsCSV(tmp_path).experiment is not None
    assert path.read_bytes() == before

"""``results.csv``: complete or not there, and cut back when a run resumes."""

import csv

import pytest

from ctc_lightning.callbacks.results import COLUMNS, ResultsTable

ROWS = [("knn", "hue", "top1", 0.5), ("knn", "hue", "val_top1", 1 / 3)]


@pytest.fixture
def table(tmp_path):
    return ResultsTable(tmp_path / "below" / "results.csv", "a run", "ctc_queue", 7)


def read(table):
    with table.path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_value_is_a_tidy_row_of_full_precision(table):
    table.append(3, 12, ROWS)
    fixed = {"run": "a run", "method": "ctc_queue", "seed": "7", "epoch": "3", "step": "12"}
    assert read(table) == [
        {**fixed, "protocol": "knn", "target": "hue", "metric": "top1", "value": "0.5"},
        {**fixed, "protocol": "knn", "target": "hue", "metric": "val_top1", "value": repr(1 / 3)},
    ]
    assert tuple(read(table)[0]) == COLUMNS


def test_rows_are_added_below(table):
    for epoch in (0, 2):
        table.append(epoch, 4 * epoch, ROWS)
    assert [(row["epoch"], row["step"]) for row in read(table)] == [("0", "0")] * 2 + [("2", "8")] * 2


@pytest.mark.parametrize(("epoch", "kept"), [(-1, []), (0, [0]), (1, [0]), (2, [0, 2]), (9, [0, 2, 10])])
def test_a_resumed_run_drops_what_it_measures_again(epoch, kept, table):
    for measured in (0, 2, 10):
        table.append(measured, measured, ROWS[:1])
    table.keep_epochs_up_to(epoch if epoch < 9 else 10)
    assert [int(row["epoch"]) for row in read(table)] == kept


def test_there_is_nothing_to_drop_before_the_first_row(table):
    table.keep_epochs_up_to(3)
    assert table.rows() == []
    assert not table.path.exists()


def test_a_process_that_dies_while_it_writes_leaves_the_old_table(table):
    table.append(0, 0, ROWS)
    before = table.path.read_bytes()

    def dies_halfway():
        yield ROWS[0]
        raise InterruptedError

    with pytest.raises(InterruptedError):
        table.append(1, 4, dies_halfway())
    assert table.path.read_bytes() == before
    table.append(1, 4, ROWS)
    assert [int(row["epoch"]) for row in read(table)] == [0, 0, 1, 1]

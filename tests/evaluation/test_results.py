"""``results.csv``: complete or not there, shared between processes, readable by hand."""

import csv
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from ctc_lightning.evaluation.results import COLUMNS, NO_EPOCH, ResultsTable, Row, target_names

OLD_COLUMNS = ("run", "method", "seed", "epoch", "step", "protocol", "target", "metric", "value")


def row(epoch=3, protocol="knn", target="hue", metric="top1", value=0.5, **others):
    return Row("a run", "ctc_queue", 7, epoch, 4 * epoch, protocol, target, metric, value, **others)


@pytest.fixture
def table(tmp_path):
    return ResultsTable(tmp_path / "below" / "results.csv")


def same(first, second):
    """Equality under which NaN is NaN."""
    return all(a == b or (a != a and b != b) for a, b in zip(first, second, strict=True))


# -------------------------------------------------------------------------------------------- what is written


def test_each_row_is_a_line_under_the_columns_names(table):
    table.put([row(value=1 / 3, low=0.25, n=12, chosen="C=0.1", settings="ab", note="a, b\nand “c”")])
    with table.path.open(newline="") as file:
        header, cells = filter(None, csv.reader(file))
    assert tuple(header) == COLUMNS
    assert tuple(header)[: len(OLD_COLUMNS)] == OLD_COLUMNS
    read = dict(zip(header, cells, strict=True))
    assert (read["run"], read["method"], read["seed"]) == ("a run", "ctc_queue", "7")
    assert (read["epoch"], read["step"], read["n"]) == ("3", "12", "12")
    assert (read["low"], read["high"], read["seconds"]) == ("0.25", "", "")
    assert float(read["value"]) == 1 / 3


@pytest.mark.parametrize("value", [1 / 3, 0.1 + 0.2, 5e-324, 1e300, -0.0, math.inf, math.nan, 1.0])
def test_numbers_come_back_as_they_were_to_the_last_bit(value, table):
    written = row(value=value, low=value, high=-value, seconds=value, note="x")
    table.put([written])
    (read,) = table.rows()
    assert same(read, written)
    assert math.copysign(1, read.value) == math.copysign(1, value) or math.isnan(value)
    assert [type(cell) for cell in read] == [type(cell) for cell in written]


def test_texts_come_back_with_commas_quotes_and_line_ends(table):
    written = row(note='x, "y"\r\nand ü', chosen="k=5, C=1")._replace(run="")
    table.put([written])
    assert same(table.rows()[0], written)


# --------------------------------------------------------------------------------------------- what gives way


def test_rows_are_added_below_and_the_same_measurement_is_replaced_as_a_whole(table):
    table.put([row(metric="top1"), row(metric="val_top1")])
    table.put([row(epoch=4), row(protocol="logreg"), row(target="fine")])
    table.put([row(metric="ece")])
    assert [(r.unit, r.metric) for r in table.rows()] == [
        ((4, "knn", "hue"), "top1"),
        ((3, "logreg", "hue"), "top1"),
        ((3, "knn", "fine"), "top1"),
        ((3, "knn", "hue"), "ece"),
    ]


FAILURE = row(metric="failed", value=math.nan)
OF_B, OF_C = row(images="B", settings="s1"), row(images="C", settings="s2")


@pytest.mark.parametrize(
    ("written", "current"),
    [
        ([row(settings="s1"), row(settings="s2")], [1]),
        ([row(settings="s1"), row(settings="s2"), row(settings="s1")], [2]),
        ([OF_B, OF_C], [0, 1]),
        ([OF_B, OF_C, OF_B._replace(settings="s3")], [1, 2]),
        ([OF_B._replace(target="source"), OF_C._replace(target="source")], [1]),
        ([row(settings="s1"), row(images="B", settings="s2")], [1]),
        ([row(settings="s1"), FAILURE], [0, 1]),
        ([row(settings="s1"), FAILURE._replace(settings="s2")], [1]),
        ([FAILURE, row(settings="s1")], [1]),
        ([FAILURE, FAILURE._replace(note="another reason")], [1]),
        ([row(settings="s1"), row(settings="s2", epoch=4), row(settings="s2", protocol="logreg")], [0, 1, 2]),
    ],
    ids=[
        "other settings", "measured again", "other images", "each images' own", "the source has one",
        "an older version's", "a failure is no number", "of other weights", "mended", "failed again",
        "other units",
    ],
)  # fmt: skip
def test_nothing_measured_is_lost_and_the_latest_is_current(written, current, table):
    for one in written:
        table.put([one])
    assert all(same(a, b) for a, b in zip(table.rows(), [written[i] for i in current], strict=True))
    kept = {(r.settings, r.images, r.metric) for r in table.all_rows() if r.metric != "failed"}
    assert kept == {(r.settings, r.images, r.metric) for r in written if r.metric != "failed"}


def test_a_failure_of_no_single_epoch_has_an_empty_cell(table):
    table.put([row(epoch=NO_EPOCH, metric="failed")._replace(step=NO_EPOCH)])
    with table.path.open(newline="") as file:
        (cells,) = csv.DictReader(file)
    assert (cells["epoch"], cells["step"]) == ("", "")
    (read,) = table.rows()
    assert (read.epoch, read.step) == (NO_EPOCH, NO_EPOCH)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([row(), row(epoch=4)], {("hue", ""): "hue"}),
        ([row(images="1a2b3c"), row(epoch=4)], {("hue", "1a2b3c"): "hue", ("hue", ""): "hue"}),
        (
            [row(images="1a2b3c"), row(images="9f8e7d"), row(images="1a2b3c", target="fine")],
            {("hue", "1a2b3c"): "hue [1a2b]", ("hue", "9f8e7d"): "hue [9f8e]", ("fine", "1a2b3c"): "fine"},
        ),
    ],
    ids=["no digest", "one digest", "two digests"],
)
def test_targets_of_one_name_and_other_images_are_told_apart(rows, names):
    assert target_names(rows) == names


@pytest.mark.parametrize(("epoch", "kept"), [(-1, []), (0, [0]), (1, [0]), (2, [0, 2]), (9, [0, 2])])
def test_what_is_not_wanted_is_dropped(epoch, kept, table):
    table.put([row(epoch=measured) for measured in (0, 2, 10)])
    table.keep(lambda r: r.epoch <= epoch)
    assert [r.epoch for r in table.rows()] == kept


def test_there_is_nothing_to_drop_before_the_first_row(table):
    table.keep(lambda r: True)
    assert table.rows() == []
    assert not table.path.exists()


def test_wherever_a_writer_is_killed_its_rows_alone_are_lost(table):
    table.put([row(epoch=1)])
    first = table.path.read_bytes()
    table.put([row(epoch=2, note='a "note"\n\nof three lines'), row(epoch=2, metric="ece")])
    both = table.path.read_bytes()
    for cut in range(len(first), len(both)):
        table.path.write_bytes(both[:cut])
        for reader in (table, ResultsTable(table.path)):
            assert [r.epoch for r in reader.rows()] == [1]
        table.put([row(epoch=3)])
        for reader in (table, ResultsTable(table.path)):
            assert [r.epoch for r in reader.rows()] == [1, 3]


def test_a_table_that_is_open_sees_what_others_add_drop_and_replace(table):
    other = ResultsTable(table.path)
    table.put([row(epoch=epoch) for epoch in range(5)])
    assert len(other.rows()) == 5
    table.put([row(epoch=2, value=0.25)])
    assert [(r.epoch, r.value) for r in other.rows()][-1] == (2, 0.25)
    other.keep(lambda r: r.epoch > 1)
    other.put([row(epoch=7)])
    assert [r.epoch for r in table.rows()] == [3, 4, 2, 7]
    table.path.unlink()
    assert table.rows() == other.rows() == []


def test_what_was_replaced_leaves_the_file_when_it_is_compacted(table):
    table.put([row(epoch=epoch) for epoch in range(3)])
    compact = table.path.read_bytes()
    for value in (0.1, 0.5):
        table.put([row(epoch=epoch, value=value) for epoch in range(3)])
    table.compact()
    assert table.path.read_bytes() == compact
    assert [r.epoch for r in table.rows()] == [0, 1, 2]


# ------------------------------------------------------------------------------------------- old and foreign


def test_a_file_of_the_first_nine_columns_is_read_and_completed(table):
    table.path.parent.mkdir()
    table.path.write_text(f"{','.join(OLD_COLUMNS)}\na run,ctc_queue,7,3,12,knn,hue,top1,0.25\n")
    old = row(value=0.25)
    assert same(table.rows()[0], old)
    table.put([row(epoch=4)])
    assert same(table.rows()[0], old)
    assert table.path.read_text().splitlines()[0] == ",".join(COLUMNS)


LINE = "a run,ce,0,1,2,knn,hue,top1"


@pytest.mark.parametrize(
    "content",
    [
        b"name,size\ncat,3\n",
        b"name,size\n",
        b"\x89PNG\r\n\x1a\n\xff\xfe\n1,2\n",
        f"{','.join(OLD_COLUMNS)}\n{LINE},much\n".encode(),
        f"{','.join(OLD_COLUMNS)}\na run,ce\n".encode(),
        f"{','.join(COLUMNS)}\n{LINE},0.5\n".encode(),
        f"{','.join(OLD_COLUMNS)}\n{LINE},{'1' * 200_000}\n".encode(),
    ],
    ids=["columns", "header alone", "binary", "a word", "few cells", "cut off", "a giant cell"],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence_and_kept(content, table):
    table.path.parent.mkdir()
    table.path.write_bytes(content)
    for use in (table.rows, lambda: table.put([row()])):
        with pytest.raises(
            ValueError, match=r"is not a table of results .*; move it away, or restore it"
        ) as e:
            use()
        assert str(table.path) in str(e.value)
        assert "\n" not in str(e.value)
        assert ". " not in str(e.value)
    assert table.path.read_bytes() == content


# -------------------------------------------------------------------------------------------- other processes


def write_rows(path, protocol):
    for epoch in range(50):
        ResultsTable(path).put([row(epoch=epoch, protocol=protocol)])


@pytest.mark.slow
def test_two_processes_lose_no_row_of_each_others(table):
    start = multiprocessing.get_context("spawn").Process
    processes = [start(target=write_rows, args=(table.path, name)) for name in ("knn", "logreg")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    units = [r.unit for r in table.rows()]
    assert len(units) == 100
    assert set(units) == {(epoch, name, "hue") for epoch in range(50) for name in ("knn", "logreg")}


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_table(table):
    """Killed at four different moments of writing 3000 rows again and again."""
    program = f"""
from pathlib import Path
from ctc_lightning.evaluation.results import ResultsTable, Row
table = ResultsTable(Path({str(table.path)!r}))
for version in range(10**6):
    table.put([Row("r", "m", version, e, 0, "knn", "hue", "top1", 0.5, note="x" * 50) for e in range(3000)])
    print(version, flush=True)
"""
    for pause in range(4):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # the first is written, it is at the next
        time.sleep(0.02 * pause)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        rows = table.rows()
        assert [r.epoch for r in rows] == list(range(3000))
        assert len({r.seed for r in rows}) == 1  # of one version, the old or the new
    table.put([row(epoch=3000)])  # nobody holds the lock
    assert len(table.rows()) == 3001


def test_an_error_while_rows_are_made_leaves_the_old_table(table):
    table.put([row()])
    before = table.path.read_bytes()

    def dies_halfway():
        yield row(epoch=4)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        table.put(dies_halfway())
    assert table.path.read_bytes() == before

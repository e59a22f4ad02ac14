"""Runs are found wherever they lie, and a broken one says what is wrong with which file."""

import pytest

from ctc_lightning.analysis import load_runs
from ctc_lightning.evaluation.results import ResultsTable, Row

CURVES = {("classifier", "source"): ([0.2, 0.9], [0.3, 0.8])}


def test_a_mix_of_runs_sweeps_and_parents_is_found_and_each_run_counts_once(write_run, tmp_path):
    one = write_run(CURVES, "alone", seed=0)
    write_run(CURVES, "sweep/a", seed=1, data="digits")
    write_run(CURVES, "sweep/deep/b", seed=2)
    frame = load_runs([one, tmp_path / "sweep", tmp_path])
    assert len(frame) == 3 * 4
    data = frame.drop_duplicates("path").set_index("seed")["data"]
    assert data.to_dict() == {0: "glyphs", 1: "digits", 2: "glyphs"}


def test_one_path_may_stand_alone(write_run):
    run = write_run(CURVES)
    assert load_runs(run).equals(load_runs([str(run)]))


def test_of_a_number_measured_twice_the_later_one_stands(write_run):
    run = write_run({("classifier", "source"): ([0.2, 0.9, 0.7], [0.3, 0.8, 0.8])}, epochs=(0, 5, 5))
    frame = load_runs(run)
    assert frame.query("epoch == 5 and metric == 'top1'")["value"].tolist() == [0.7]


def test_a_missing_path_a_file_and_a_folder_without_runs_are_named(tmp_path):
    for path, fault in (("nowhere", "does not exist"), ("empty", "holds no run"), ("note.txt", "is a file")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "note.txt").touch()
        with pytest.raises(ValueError, match=f"{path} {fault}"):
            load_runs(tmp_path / path)


def test_no_path_at_all_is_an_error():
    with pytest.raises(ValueError, match="no path given"):
        load_runs([])


HEADER = "run,method,seed,epoch,step,protocol,target,metric,value\n"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("", "results.csv is not a table"),
        (HEADER, "results.csv has a header but no rows"),
        (HEADER.replace("target,", ""), "is not a table of results .it lacks the columns target"),
        ("run,seed\nr,0\n", "is not a table of results .it lacks the columns epoch, method, metric"),
        (HEADER + "r,ce,0,0,0,whitened,hue,top1,83.5\n", "results.csv has an accuracy of 83.5"),
        (HEADER + "r,ce,0,0,0,whitened,hue,top1,nan\n", "results.csv has an accuracy of nan"),
        (HEADER + "r,ce,0,0,0,whitened,hue,top1,high\n", "results.csv is not a table"),
        (HEADER + "r,ce,0,0,0,whi", "is not a table of results .a row has 6 cells, the header 9"),
        (HEADER + "r,,0,0,0,whitened,hue,top1,0.5\n", "results.csv has an incomplete row, number 1"),
        (HEADER + "r,ce,zero,0,0,whitened,hue,top1,0.5\n", "results.csv is not a table"),
    ],
)
def test_a_broken_table_is_named_with_its_fault(write_run, table, fault):
    run = write_run(CURVES)
    (run / "results.csv").write_text(table)
    with pytest.raises(ValueError, match=fault):
        load_runs(run)


@pytest.mark.parametrize("config", ["data: {}\n", "data: glyphs\n", "- a list\n", "", "{broken"])
def test_a_configuration_without_data_set_is_named(write_run, config):
    run = write_run(CURVES)
    (run / "config.yaml").write_text(config)
    with pytest.raises(ValueError, match=r"config.yaml has no data.name"):
        load_runs(run)


def test_a_missing_configuration_is_named(write_run):
    run = write_run(CURVES)
    (run / "config.yaml").unlink()
    with pytest.raises(ValueError, match=r"config.yaml is missing"):
        load_runs(run)


def test_one_broken_run_among_good_ones_is_a_warning(write_run, tmp_path, caplog):
    write_run(CURVES, seed=0)
    broken = write_run(CURVES, seed=1)
    (broken / "results.csv").write_text(HEADER)
    assert set(load_runs(tmp_path)["seed"]) == {0}
    assert f"{broken}/results.csv has a header but no rows" in caplog.text


def test_columns_that_an_older_table_lacks_have_their_defaults(write_run):
    row = load_runs(write_run(CURVES)).iloc[0]
    assert (row["n"], row["chosen"], row["settings"], row["note"]) == (0, "", "", "")
    assert row[["low", "high", "seconds"]].isna().all()


def test_a_table_of_the_present_columns_is_read_as_it_was_written(write_run, tmp_path):
    run = write_run(CURVES)
    rows = [
        Row("r", "ce", 0, 3, 30, "knn", "hue", "top1", 0.5, 0.4, 0.6, 100, "k=5", 1.5, "abc", ""),
        Row("r", "ce", 0, 3, 30, "logreg", "hue", "failed", float("nan"), note="class 3 has 1 image."),
    ]
    ResultsTable(run / "results.csv").put(rows)
    frame = load_runs(run).query("epoch == 3")
    assert Row(*frame[[*Row._fields]].iloc[0]) == rows[0]
    assert frame["note"].tolist() == ["", "class 3 has 1 image."]


def test_a_plain_backbone_has_no_data_set(write_run):
    frame = load_runs(write_run(CURVES, data="null"))
    assert set(frame["data"]) == {""}
    assert frame["plain"].all()


def test_the_table_of_a_report_is_no_run(write_run, tmp_path):
    run = write_run(CURVES)
    load_runs(run).to_csv(tmp_path / "results.csv", index=False)
    assert load_runs(tmp_path)["path"].unique().tolist() == [str(run)]

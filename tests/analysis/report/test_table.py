"""The tables show the summary's numbers, in a terminal's width and in Markdown."""

import pandas as pd
import pytest

from ctc_lightning.analysis import load_runs, markdown_table, summary, text_table


def cell(target, peak, final, std, n, method="ce", stopped="at the end", protocol="whitened"):
    return {
        "data": "glyphs",
        "method": method,
        "stopped": stopped,
        "protocol": protocol,
        "target": target,
        "metric": "top1",
        "plain": False,
        "n": n,
        "first_epoch": 2,
        "last_epoch": 5,
        "peak_mean": peak,
        "peak_std": std,
        "final_mean": final,
        "final_std": std,
        "drop_mean": peak - final,
        "drop_std": std,
        "final_low": float("nan"),
        "final_high": float("nan"),
    }


def rows_of(*, n, num_targets, method="ce"):
    std = 0.012 if n > 1 else float("nan")
    targets = [f"target{i}" for i in range(num_targets)]
    end = [cell("source", 0.995, 0.995, std, n, method, protocol="classifier")]
    end += [cell(target, 0.941, 0.184, std, n, method) for target in targets]
    nan = float("nan")
    early = [
        cell(target, nan, 0.72, std, n, method, "early") | {"peak_std": nan, "drop_std": nan}
        for target in ["source", *targets]
    ]
    return pd.DataFrame(end + early)


def test_one_target_over_seeds_fits_on_a_line_each():
    lines = text_table(rows_of(n=3, num_targets=1), "whitened").splitlines()
    assert lines[1].endswith("(drop), mean±std of 3 seeds.")
    header, end, early = (line.split("  ") for line in lines[3:])
    assert [word.strip() for word in header if word] == ["source", "target0"]
    assert [word for word in end if word] == [
        "CE",
        "99.5±1.2 → 99.5±1.2 (0.0±1.2)",
        "94.1±1.2 → 18.4±1.2 (75.7±1.2)",
    ]
    assert [word.strip() for word in early if word] == [
        "CE, stopped early (epochs 2–5)",
        "72.0±1.2",
        "72.0±1.2",
    ]


def test_six_targets_are_stacked_into_120_columns():
    table = text_table(rows_of(n=3, num_targets=6), "whitened")
    assert max(map(len, table.splitlines()[2:])) <= 120
    assert table.count("94.1 → 18.4") == 6
    assert table.count("±1.2   ±1.2") == 7
    assert table.count("(75.7±1.2)") == 6
    assert table.count("72.0±1.2") == 7
    assert "\n(epochs 2–5)" in table


@pytest.mark.parametrize("num_targets", range(1, 7))
@pytest.mark.parametrize("n", [1, 3])
def test_no_table_is_wider_than_120_columns(num_targets, n):
    assert max(map(len, text_table(rows_of(n=n, num_targets=num_targets), "whitened").splitlines())) <= 120


def test_a_table_of_109_columns_keeps_one_line_for_each_row():
    *_, end, early = text_table(rows_of(n=1, num_targets=3), "whitened").splitlines()
    assert end.count("94.1 → 18.4 (75.7)") == 3
    assert early.startswith("CE, stopped early (epochs 2–5)  72.0")


def test_one_seed_shows_no_spread():
    for table in (text_table(rows_of(n=1, num_targets=k), "whitened") for k in (1, 6)):
        assert "±" not in table
        assert "nan" not in table
        assert "one seed" in table


def test_markdown_holds_the_same_cells():
    lines = markdown_table(rows_of(n=3, num_targets=2), "whitened").splitlines()
    assert lines[2:] == [
        "|  | source | target0 | target1 |",
        "| --- | --- | --- | --- |",
        "| CE | 99.5±1.2 → 99.5±1.2 (0.0±1.2)" + " | 94.1±1.2 → 18.4±1.2 (75.7±1.2)" * 2 + " |",
        "| CE, stopped early (epochs 2–5) | 72.0±1.2 | 72.0±1.2 | 72.0±1.2 |",
    ]


def test_an_unknown_method_keeps_its_own_name_and_comes_last():
    rows = pd.concat([rows_of(n=1, num_targets=1, method=method) for method in ("mine", "ctc_queue", "ce")])
    names = [line.split("  ")[0] for line in text_table(rows, "whitened").splitlines()[4:]]
    assert [name for name in names if "early" not in name] == ["CE", "CTC, temporal queue", "mine"]


def test_a_number_that_rounds_to_zero_has_no_sign():
    rows = pd.DataFrame([cell("hue", 0.5, 0.5002, float("nan"), 1)])
    assert "(0.0)" in text_table(rows, "whitened")


def test_a_target_that_one_method_lacks_is_a_dash():
    rows = pd.concat([rows_of(n=1, num_targets=2), rows_of(n=1, num_targets=1, method="ctc_queue")])
    (line,) = (
        line
        for line in markdown_table(rows, "whitened").splitlines()
        if line.startswith("| CTC, temporal queue |")
    )
    assert line.endswith("| – |")


def test_numbers_follow_from_the_runs(write_study):
    table = markdown_table(summary(load_runs(write_study())), "whitened")
    assert "92.0±1.0 → 30.0±1.0 (62.0±0.0)" in table
    assert "92.0±1.0 → 90.0±1.0 (2.0±0.0)" in table
    assert "98.0±0.0 → 98.0±0.0 (0.0±0.0)" in table


@pytest.mark.parametrize("protocol", ["whitened", "knn"])
def test_each_protocol_shows_its_own_numbers_and_the_same_source(write_run, protocol):
    curves = {("classifier", "source"): ([0.2, 0.9],) * 2, ("whitened", "hue"): ([0.3, 0.7],) * 2}
    rows = summary(load_runs(write_run(curves | {("knn", "hue"): ([0.3, 0.6],) * 2})))
    table = text_table(rows, protocol)
    assert ("70.0 → 70.0" in table, "60.0 → 60.0" in table) == (protocol == "whitened", protocol == "knn")
    assert "90.0 → 90.0" in table


def test_twelve_targets_go_into_several_tables_of_120_columns():
    table = text_table(rows_of(n=3, num_targets=12), "whitened")
    assert max(map(len, table.splitlines()[2:])) <= 120
    assert table.count("94.1 → 18.4") == 12


def test_of_many_methods_the_best_come_first_and_a_terminal_shows_some():
    rows = pd.concat(
        [rows_of(n=1, num_targets=1, method=f"m{i}").assign(final_mean=i / 100) for i in range(30)]
    )
    rows = rows[rows["stopped"] == "at the end"]
    lines = text_table(rows, "whitened", 3).splitlines()
    assert [line.split()[0] for line in lines[4:7]] == ["m29", "m28", "m27"]
    assert lines[7] == "… and 27 more methods in trade_off.csv"
    assert len(markdown_table(rows, "whitened").splitlines()) == 4 + 30


def test_a_backbone_comes_last_with_its_end_alone():
    backbone = rows_of(n=1, num_targets=1, method="timm/resnet50").query("stopped == 'early'")
    backbone = backbone[backbone["target"] != "source"].assign(stopped="at the end", plain=True)
    lines = markdown_table(pd.concat([backbone, rows_of(n=1, num_targets=1)]), "whitened").splitlines()
    assert lines[-1] == "| timm/resnet50, not trained here | – | 72.0 |"


def test_a_protocol_of_ones_own_goes_by_its_name():
    rows = rows_of(n=1, num_targets=1).replace({"protocol": {"whitened": "mine"}})
    assert markdown_table(rows, "mine").startswith("**mine.** ")

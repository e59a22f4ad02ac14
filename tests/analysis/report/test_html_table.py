"""HTML shows the numbers of the Markdown, marks the best and tints what was lost."""

import re

import pandas as pd
import pytest

from ctc_lightning.analysis import load_runs, summary
from ctc_lightning.analysis.figures.log_odds import nats
from ctc_lightning.analysis.report.html_table import html_table


@pytest.fixture
def table(write_study):
    return html_table(summary(load_runs(write_study())), "whitened")


def cells(table, row):
    (line,) = (line for line in table.splitlines() if f'<th scope="row">{row}</th>' in line)
    return re.findall(r"<td.*?</td>", line)


def test_a_cell_has_end_peak_and_drop(table):
    assert re.sub(r"<[^>]*>", " ", cells(table, "CE")[1]).split() == [
        "30.0±1.0", "peak", "92.0±1.0", "drop", "62.0±0.0",
    ]  # fmt: skip


def test_the_best_at_the_end_is_bold(table):
    assert "<b>90.0±1.0</b>" in cells(table, "CTC, temporal queue")[1]
    assert "<b>" not in cells(table, "CE")[1]


def test_the_tint_is_the_drop(table):
    assert "--loss:62%" in cells(table, "CE")[1]
    assert "--loss" not in cells(table, "CE")[2]


def test_stopped_early_shows_the_end_alone(table):
    early = cells(table, "CE, stopped early (epoch 1)")
    assert "peak" not in "".join(early)


def test_names_are_escaped():
    row = {"method": "<b>", "stopped": "at the end", "protocol": "knn", "target": "a&b", "metric": "top1"}
    row |= {"plain": False, "n": 1} | dict.fromkeys(("first_epoch", "last_epoch"), 1)
    nan = float("nan")
    row |= {f"{x}_{s}": 0.5 for x in ("peak", "final", "drop") for s in ("mean", "std")}
    text = html_table(pd.DataFrame([row | {"final_low": nan, "final_high": nan}]), "knn")
    assert "&lt;b&gt;" in text
    assert "a&amp;b" in text


def test_nats_have_two_decimals():
    assert (nats(1.955, 0.031), nats(-0.001, float("nan")), nats(float("nan"), 1)) == (
        "1.96±0.03",
        "0.00",
        "–",
    )

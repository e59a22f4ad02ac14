"""The last sentences, against arithmetic by hand."""

import logging
import math
from types import SimpleNamespace

import pytest

from ctc_lightning.evaluation.results import ResultsTable, Row
from ctc_lightning.training.callbacks import Summary

# epoch -> (validation, test)
CURVES = {
    ("classifier", "source"): {0: (0.25, 0.25), 2: (0.9, 0.8), 4: (0.8, 0.95)},
    ("whitened", "hue"): {0: (0.3, 0.31), 2: (0.9, 0.875), 4: (0.5, 0.4)},
    ("whitened", "fine"): {0: (0.1, 0.2), 2: (0.2, 0.9), 4: (0.7, 0.6)},
    ("whitened", "new"): {0: (0.4, 0.5), 2: (0.6, 0.5), 4: (0.6, 0.55)},
    ("whitened", "scale"): {0: (0.9, 0.3), 2: (0.2, 0.2), 4: (0.3, 0.3)},
    ("knn", "hue"): {0: (1.0, 1.0), 2: (0.0, 0.0), 4: (0.0, 0.0)},
}
SENTENCES = [
    "Source accuracy is 95.0% at epoch 4.",
    "  hue: 87.5% at epoch 2, 40.0% at the end, 47.5 points lost.",
    "  fine: 60.0%, its best (whitened probe).",  # best on validation: test peaks earlier, but who could know
    "  new: 50.0% at epoch 2, 55.0% at the end, 5.0 points gained.",  # of two best the first
    "  scale: 30.0% at epoch 0, 30.0% at the end, no change.",
]


@pytest.fixture
def run_dir(tmp_path):
    table = ResultsTable(tmp_path / "results.csv")

    def row(epoch, protocol, target, metric, value):
        return Row("run", "ce", 0, epoch, 10 * epoch, protocol, target, metric, value)

    for epoch in (0, 2, 4):
        for (protocol, target), curve in CURVES.items():
            val, test = curve[epoch]
            metric = "mean_per_class" if target == "new" else "top1"
            values = {metric: test, "ece": 0.5, f"val_{metric}": val}
            table.put([row(epoch, protocol, target, name, value) for name, value in values.items()])
    table.put([row(4, "whitened", "broken", "failed", math.nan)])
    return tmp_path


def said(run_dir, caplog, rank=0):
    with caplog.at_level(logging.INFO, logger="ctc_lightning"):
        Summary(run_dir, "whitened").on_fit_end(SimpleNamespace(is_global_zero=rank == 0), None)
    return caplog.messages


def test_tells_peaks_by_validation_and_ends(run_dir, caplog):
    (text,) = said(run_dir, caplog)
    assert text.splitlines() == ["", *SENTENCES, f"Everything is in {run_dir}"]


def test_one_rank_speaks(run_dir, caplog):
    assert said(run_dir, caplog, rank=1) == []


def test_a_run_without_a_probe_says_where_it_is(tmp_path, caplog):
    assert said(tmp_path, caplog) == [f"\nEverything is in {tmp_path}"]

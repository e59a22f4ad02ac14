"""Few-shot accuracies are shown as they are at the last epoch."""

import pytest

from ctc_lightning.analysis import comparable, load_runs, text_table
from ctc_lightning.analysis.frames.few_shot import few_shot_summary, one_column_each

CURVES = {("classifier", "source"): ([0.2, 0.9],) * 2, ("whitened", "hue"): ([0.5, 0.6],) * 2}


def rows(first, last):
    return [
        (epoch, "few_shot", "pets", "5_way_1_shot", value, {"low": value - 0.01, "high": value + 0.01})
        for epoch, value in ((0, first), (1, last))
    ]


def test_one_seed_has_the_interval_over_episodes(write_run):
    found = few_shot_summary(comparable(load_runs(write_run(CURVES, epochs=(0, 1), rows=rows(0.3, 0.5)))))
    (row,) = found.itertuples()
    assert (row.final_mean, row.final_low, row.final_high, row.last_epoch) == (0.5, 0.49, 0.51, 1)
    table = text_table(one_column_each(found), "few_shot")
    assert "pets, 5 way 1 shot" in table
    assert "50.0 [49.0, 51.0]" in table


def test_several_seeds_have_mean_and_std(write_run, tmp_path):
    for seed, last in enumerate((0.4, 0.6)):
        write_run(CURVES, epochs=(0, 1), seed=seed, rows=rows(0.3, last))
    (row,) = few_shot_summary(comparable(load_runs(tmp_path))).itertuples()
    assert (row.n, row.final_mean) == (2, 0.5)
    assert row.final_std == pytest.approx(0.2 / 2**0.5)


def test_nothing_measured_is_an_empty_table(write_run):
    assert few_shot_summary(comparable(load_runs(write_run(CURVES, epochs=(0, 1))))).empty

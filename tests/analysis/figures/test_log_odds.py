"""Both panels show the numbers of the log-odds' summary."""

import numpy as np

from ctc_lightning.analysis import load_runs, log_odds_curves, log_odds_figure, log_odds_summary


def test_lines_are_means_over_seeds_of_the_curves(write_study):
    frame = load_runs(write_study())
    axes = log_odds_figure(frame).axes[0]
    means = log_odds_curves(frame).groupby(["method", "epoch"])["test"].mean()
    for line, method in zip(axes.lines, ("ce", "ctc_queue"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), means[method])


def test_the_ends_are_sorted_and_written_out(write_study):
    frame = load_runs(write_study())
    axes = log_odds_figure(frame).axes[1]
    finals = log_odds_summary(frame).set_index("method")["final_mean"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["CTC, temporal queue", "CE"]
    assert [text.get_text() for text in axes.texts] == [f"{finals[m]:.2f}" for m in ("ctc_queue", "ce")]

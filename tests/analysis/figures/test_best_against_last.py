"""Every method and target is a point, the peak across and the end up."""

import numpy as np

from ctc_lightning.analysis import best_against_last_figure, load_runs


def test_points_are_peaks_and_ends(write_study):
    axes = best_against_last_figure(load_runs(write_study())).axes[0]
    ce, queue = (marks.get_offsets() for marks in axes.collections if len(marks.get_offsets()) == 2)
    np.testing.assert_allclose(ce, [[92, 30], [80, 80]])  # hue, fine
    np.testing.assert_allclose(queue, [[92, 90], [80, 80]])


def test_what_was_lost_is_named(write_study):
    axes = best_against_last_figure(load_runs(write_study())).axes[0]
    assert [text.get_text() for text in axes.texts if text.get_label() == "_name"] == ["hue"]


def test_the_diagonal_is_the_line_of_equal_numbers(write_study):
    axes = best_against_last_figure(load_runs(write_study())).axes[0]
    (diagonal,) = (line for line in axes.lines if line.get_label() == "_diagonal")
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert axes.get_xlim() == axes.get_ylim()

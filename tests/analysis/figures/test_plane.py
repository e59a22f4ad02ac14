"""The plane joins source and targets where both were measured, and says why where it cannot."""

import numpy as np
import pytest

from ctc_lightning.analysis import comparable, curves, load_runs, no_plane, trade_off_figure
from ctc_lightning.analysis.figures.plane import plane_points

SOURCE = {("classifier", "source"): ([0.25, 0.6, 0.9, 0.99],) * 2}
HUE = {("whitened", "hue"): ([0.5, 0.6, 0.7, 0.8],) * 2}


def test_only_epochs_with_the_source_and_all_targets_are_points(write_run):
    rows = [(e, "whitened", "new", m, 0.4, {}) for e in (1, 3) for m in ("top1", "val_top1")]
    frame = load_runs(write_run(SOURCE | HUE, rows=rows))
    points = plane_points(curves(frame), ["hue", "new"])
    assert points.index.get_level_values("epoch").tolist() == [1, 3]
    np.testing.assert_allclose(points, [[60, 50], [99, 60]])


@pytest.mark.parametrize(
    ("curves_of_two", "reason"),
    [
        ((HUE, HUE), "no epoch has both"),
        (
            (SOURCE | HUE, SOURCE | {("whitened", "new"): ([0.4] * 4,) * 2}),
            "no target was measured for every",
        ),
    ],
)
def test_without_a_plane_targets_are_drawn_and_the_remedy_is_said(write_run, tmp_path, curves_of_two, reason):
    for method, given in zip(("ce", "ctc_queue"), curves_of_two, strict=True):
        write_run(given, method=method)
    frame = comparable(load_runs(tmp_path))
    assert reason in no_plane(frame)
    assert "python -m ctc_lightning.transfer run=RUN_DIR target=" in no_plane(frame)
    figure = trade_off_figure(frame)
    assert [axes.get_title() for axes in figure.axes] == sorted(
        set(frame["target"]), key=lambda target: (target != "source", target)
    )


def test_the_height_is_over_the_targets_that_all_methods_have(write_run, tmp_path):
    write_run(SOURCE | HUE | {("whitened", "new"): ([0.1] * 4,) * 2})
    write_run(SOURCE | HUE, method="ctc_queue")
    plane = trade_off_figure(comparable(load_runs(tmp_path))).axes[-1]
    np.testing.assert_allclose(plane.lines[0].get_ydata(), [50, 60, 70, 80])
    assert plane.get_ylabel() == "transfer accuracy, hue, which all methods share"

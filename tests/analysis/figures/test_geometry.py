"""The geometry's picture has a panel for each number that was measured, a line for each method."""

import numpy as np
import pytest

from ctc_lightning.analysis import comparable, geometry_figure, load_runs

ACCURACY = {("classifier", "source"): ([0.3, 0.9],) * 2, ("whitened", "hue"): ([0.5, 0.4],) * 2}


@pytest.fixture
def write_geometry(write_run, tmp_path):
    def write(metrics=("nc1", "effective_rank"), target="source"):
        for method, factor in {"ce": 1, "ctc_queue": 2}.items():
            for seed in (0, 1):
                rows = [
                    (epoch, "geometry", target, metric, factor * value + seed, {})
                    for metric in metrics
                    for epoch, value in {0: 8.0, 9: 2.0}.items()
                ]
                write_run(ACCURACY, f"glyphs/{method}/{seed}", method, seed, epochs=(0, 9), rows=rows)
        return comparable(load_runs(tmp_path / "glyphs"))

    return write


def test_each_measured_number_has_a_panel_with_the_means_of_the_methods(write_geometry, tmp_path):
    figure = geometry_figure(write_geometry())
    collapse, rank = figure.axes
    assert collapse.get_title().startswith("NC1")
    assert rank.get_title() == "effective rank"
    for axes in (collapse, rank):
        ce, queue = axes.lines
        np.testing.assert_allclose(ce.get_xydata(), [[0, 8.5], [9, 2.5]])
        np.testing.assert_allclose(queue.get_xydata(), [[0, 16.5], [9, 4.5]])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["CE", "CTC, temporal queue"]
    figure.savefig(tmp_path / "geometry.png")


def test_a_target_has_its_own_picture(write_geometry):
    runs = write_geometry(target="hue")
    assert len(geometry_figure(runs, "hue").axes) == 2
    with pytest.raises(ValueError, match="no geometry was measured on source: run"):
        geometry_figure(runs)


def test_accuracies_alone_are_refused_with_the_remedy(write_geometry):
    with pytest.raises(ValueError, match="protocol=geometry"):
        geometry_figure(write_geometry(metrics=()))

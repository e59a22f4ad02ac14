"""Heat maps and plane show the numbers of the table, at their place, the front marked."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle

from ctc_lightning.analysis import heat_maps_figure, pareto_figure

SETTINGS = ["model.temperature", "model.queue_size"]


@pytest.fixture
def table():
    """Two temperatures by three sizes, one pair missing; and cross-entropy."""
    pairs = [(0.1, 64), (0.1, 256), (0.1, 1024), (0.5, 64), (0.5, 256)]
    rows = [
        (f"ctc_queue, temperature={t}, queue_size={k}", t, k, 2, 0.9 + i / 100, 0.01, 0.5 - i / 10, 0.02)
        for i, (t, k) in enumerate(pairs)
    ]
    rows.append(("ce", np.nan, np.nan, 2, 0.8, 0.01, 0.05, 0.02))
    columns = ["method", *SETTINGS, "n", "source_mean", "source_std", "transfer_mean", "transfer_std"]
    return pd.DataFrame(rows, columns=columns).assign(front=[True, True, False, False, True, False])


def written(axes):
    """(column, row) -> text of a cell."""
    return {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}


def test_each_map_has_the_number_of_each_pair_at_its_place(table):
    source, transfer = heat_maps_figure(table).axes
    assert [label.get_text() for label in source.get_yticklabels()] == ["0.1", "0.5"]
    assert [label.get_text() for label in source.get_xticklabels()] == ["64", "256", "1024"]
    assert written(source) == {
        (0, 0): "90.0 ± 1.0", (1, 0): "91.0 ± 1.0", (2, 0): "92.0 ± 1.0",
        (0, 1): "93.0 ± 1.0", (1, 1): "94.0 ± 1.0",
    }  # fmt: skip
    assert written(transfer)[1, 1] == "10.0 ± 2.0"
    shown = source.images[0].get_array()
    np.testing.assert_allclose(shown.filled(np.nan), [[90, 91, 92], [93, 94, np.nan]])


def test_cells_on_the_front_have_a_frame(table):
    for axes in heat_maps_figure(table).axes:
        frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        places = {
            (round(f.get_x() + f.get_width() / 2), round(f.get_y() + f.get_height() / 2)) for f in frames
        }
        assert places == {(0, 0), (1, 0), (1, 1)}


def test_one_seed_is_written_without_a_spread(table):
    table[["source_std", "transfer_std"]] = np.nan
    assert written(heat_maps_figure(table).axes[0])[0, 0] == "90.0"


def test_two_methods_of_one_pair_are_refused(table):
    twice = pd.concat([table, table.iloc[:1].assign(method="ctc_queue, temperature=0.1, weight=2")])
    with pytest.raises(ValueError, match="have the same temperature and queue size"):
        heat_maps_figure(twice)


def test_a_heat_map_is_of_two_settings(table):
    with pytest.raises(ValueError, match="has 2 settings, not 1"):
        heat_maps_figure(table, SETTINGS[:1])


def test_the_plane_has_a_point_for_each_method_and_a_line_through_the_front(table):
    (axes,) = pareto_figure(table).axes
    marks = [marks for marks in axes.collections if isinstance(marks, PathCollection)]
    points = np.concatenate([mark.get_offsets() for mark in marks])
    expected = 100 * table[["source_mean", "transfer_mean"]].to_numpy()
    np.testing.assert_allclose(sorted(map(tuple, points)), sorted(map(tuple, expected)))
    front = next(line for line in axes.lines if line.get_label() == "Pareto front")
    np.testing.assert_allclose(front.get_xydata(), [[90, 50], [91, 40], [94, 10]])
    assert [text.get_text() for text in axes.texts] == ["CE"]


def test_the_legend_tells_every_value(table):
    (legend,) = pareto_figure(table).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [
        "Pareto front",
        "temperature 0.1",
        "temperature 0.5",
        *(f"queue size {k}" for k in (64, 256, 1024)),
    ]


def test_settings_may_be_words(table):
    swept = table.iloc[:4].assign(**{"memory.exclude": ["none", "image", "none", "image"]})
    settings = ["model.temperature", "memory.exclude"]
    swept["model.temperature"] = [0.1, 0.1, 0.5, 0.5]
    source, _ = heat_maps_figure(swept, settings).axes
    assert [label.get_text() for label in source.get_xticklabels()] == ["image", "none"]
    names = [text.get_text() for text in pareto_figure(swept, settings).legends[0].get_texts()]
    assert names[-2:] == ["exclude image", "exclude none"]

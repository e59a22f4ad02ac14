"""The picture has a panel for each distribution and dimension, the truth, the ceiling, all estimates."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from numpy import inf, nan

from ctc_lightning.information.bias import bias_table
from ctc_lightning.information.calibration_figure import calibration_figure
from ctc_lightning.information.cells import Cell, as_frame

TRUTHS = (0.5, 4.0, 10.0)
ESTIMATORS = {"gaussian": 0.1, "info_nce": -0.3, "own": 0.2}


def cell(distribution, dims, information, estimator, seed, value, ceiling=inf, note=""):
    rest = {"standard_error": 0.0, "is_lower_bound": True, "seconds": 1.0, "settings": "", "note": note}
    return Cell(distribution, dims, information, estimator, seed, value, nan, nan, ceiling, **rest)


@pytest.fixture
def bias():
    cells = [
        cell(name, dims, truth, estimator, seed, truth + off + seed / 10, 6.9 if off < 0 else inf)
        for name, all_dims in (("gaussians", (2, 16)), ("cubed", (2,)))
        for dims in all_dims
        for truth in TRUTHS
        for estimator, off in ESTIMATORS.items()
        for seed in (0, 1)
    ]
    cells += [cell("gaussians", 16, truth, "ksg", 0, nan, note="too many") for truth in TRUTHS]
    return bias_table(as_frame(cells))


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def estimates(axes):
    return {bars.get_label(): bars for bars in axes.containers}


def test_a_panel_for_each_distribution_and_number_of_dimensions(bias):
    figure = calibration_figure(bias)
    assert {axes.get_title() for axes in figure.axes} == {
        "gaussians, 2 dims",
        "gaussians, 16 dims",
        "cubed, 2 dims",
    }


def test_the_diagonal_is_the_truth_and_the_ceiling_is_dashed(bias):
    for axes in calibration_figure(bias).axes:
        drawn = lines(axes)
        x, y = drawn["_truth"].get_data()
        np.testing.assert_array_equal(x, y)
        assert min(x) <= min(TRUTHS)
        assert max(x) == max(TRUTHS)
        np.testing.assert_allclose(drawn["_ceiling"].get_ydata(), 6.9)
        assert drawn["_ceiling"].get_linestyle() == "--"
        assert drawn["_truth"].get_linestyle() == "-"


def test_one_line_for_each_estimator_through_its_means_with_the_spread_as_bars(bias):
    for axes in calibration_figure(bias).axes:
        assert estimates(axes).keys() == ESTIMATORS.keys(), "KSG refused, it has no line"
        for name, bars in estimates(axes).items():
            line, _, (spread,) = bars.lines
            np.testing.assert_array_equal(line.get_xdata(), TRUTHS)
            np.testing.assert_allclose(
                line.get_ydata().astype(float), np.add(TRUTHS, ESTIMATORS[name] + 0.05)
            )
            heights = [np.ptp(segment[:, 1]) for segment in spread.get_segments()]
            np.testing.assert_allclose(heights, 2 * np.std([0, 0.1], ddof=1))


def test_estimators_have_colours_of_their_own_and_a_legend(bias):
    figure = calibration_figure(bias)
    colours = {name: to_hex(bars.lines[0].get_color()) for name, bars in estimates(figure.axes[0]).items()}
    assert len(set(colours.values())) == 3
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"Gaussian", "InfoNCE", "own", "truth"} <= shown
    assert "KSG" not in shown


def test_an_estimate_beyond_the_axis_is_an_arrowhead_at_its_edge(bias):
    bias.loc[(bias["estimator"] == "own") & (bias["information"] == 10), "value_mean"] = -300.0
    for axes in calibration_figure(bias).axes:
        low, high = axes.get_ylim()
        assert -10 < low < 0 < 10 < high < 20
        heads = [line for line in axes.lines if line.get_label() == "_beyond"]
        assert [(line.get_marker(), *line.get_xdata(), *line.get_ydata()) for line in heads] == [
            ("v", 10, low)
        ]


def test_upper_bounds_are_dotted(bias):
    bias.loc[bias["estimator"] == "info_nce", "upper_bias_mean"] = 0.25
    figure = calibration_figure(bias)
    for axes in figure.axes:
        upper = lines(axes)["_upper"]
        np.testing.assert_allclose(upper.get_ydata(), np.add(TRUTHS, 0.25))
        assert upper.get_linestyle() == ":"
        assert upper.get_color() == estimates(axes)["info_nce"].lines[0].get_color()
    assert "upper bound" in {text.get_text() for text in figure.legends[0].get_texts()}


def test_it_can_be_saved_without_a_display(bias):
    file = io.BytesIO()
    calibration_figure(bias[bias["distribution"] == "cubed"]).savefig(file, format="png", dpi=40)
    assert file.getvalue().startswith(b"\x89PNG")

"""The pictures show the numbers: means, bands, bounds, ceilings, and time as colour."""

import matplotlib as mpl
import numpy as np
import pytest
import yaml
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from ctc_lightning.analysis import (
    comparable,
    information_curves,
    information_figure,
    information_plane_figure,
    load_runs,
)
from ctc_lightning.analysis.figures.information_plane import DEFAULT_NOISE, plane_points, plane_settings
from ctc_lightning.analysis.frames.information import Setting
from ctc_lightning.analysis.frames.methods import OTHERS, colours
from ctc_lightning.cli.configuration import config_dir

CURVES = {"ce": [1.0, 3.0, 2.0], "ctc_queue": [1.0, 2.9, 3.0]}
SHIFT = (0.0, 0.1, -0.1)
IMAGES = ("new", "source")
BOUND = 0.5
CEILING = ["", "within 5 % of its ceiling of 3.1 nats", ""]


@pytest.fixture(scope="module")
def runs(write_information_in):
    """I(X;T) of source and new with an upper bound, at two noises; I(T;Y) of source, new and hue."""
    write_information, folder = write_information_in("information")
    for method, curve in CURVES.items():
        for seed, shift in enumerate(SHIFT):
            value = [v + shift for v in curve]
            of = {
                (f"xt_noisy_channel/{noise}", name): value for noise in (1, 0.5) for name in ("new", "source")
            }
            of |= {("ty_classifier", target): [v / 3 for v in value] for target in ("hue", "new", "source")}
            beside = {
                key: {"upper": [v + BOUND for v in value], "note": CEILING}
                for key in of
                if key[0].startswith("xt") and method == "ce"
            }
            write_information(of, method, seed, epochs=(0, 1, 5), beside=beside)
    return comparable(load_runs(folder))


@pytest.fixture(scope="module")
def curves_figure(runs):
    return information_figure(runs)


@pytest.fixture(scope="module")
def plane_figure(runs):
    return information_plane_figure(runs)


def labelled(axes, label):
    return [artist for artist in axes.collections if artist.get_label() == label]


def test_a_panel_for_every_setting_and_target_the_source_first(curves_figure):
    axes = curves_figure.axes
    assert [one.get_title() for one in axes] == ["source", "new"] * 2 + ["source", "hue", "new"]


def test_lines_are_means_in_the_methods_colours_and_bands_reach_over_the_seeds(curves_figure):
    for axes in curves_figure.axes[:4]:
        drawn = [to_hex(line.get_color()) for line in axes.lines]
        assert drawn == [colour.lower() for colour in colours(CURVES).values()]
        for line, curve in zip(axes.lines, CURVES.values(), strict=True):
            np.testing.assert_allclose(line.get_xydata(), np.transpose([(0, 1, 5), curve]))
        band = axes.collections[0].get_paths()[0].vertices
        ends = band[band[:, 0] == 5, 1]
        np.testing.assert_allclose([ends.min(), ends.max()], [1.9, 2.1])


def test_the_area_reaches_from_the_estimate_to_its_upper_bound(curves_figure):
    axes = curves_figure.axes[0]
    (ce,) = labelled(axes, "_sandwich")  # the other has no bound
    area = ce.get_paths()[0].vertices
    for epoch, value in zip((0, 1, 5), CURVES["ce"], strict=True):
        at = area[area[:, 0] == epoch, 1]
        np.testing.assert_allclose([at.min(), at.max()], [value, value + BOUND])


def test_estimates_near_the_ceiling_are_hollow(curves_figure):
    axes = curves_figure.axes[0]
    (ce,) = labelled(axes, "_ceiling")
    np.testing.assert_allclose(ce.get_offsets(), [[1, 3]])
    assert to_hex(ce.get_facecolor()[0]) == "#ffffff"


def test_the_legend_explains_every_sign(curves_figure):
    (legend,) = curves_figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [
        "CE",
        "CTC, temporal queue",
        "range of 3 seeds",
        "up to the upper bound",
        "near the estimator's ceiling",
    ]


def test_one_estimator_alone_can_be_shown(runs):
    axes = information_figure(runs, {"ty": "classifier"}).axes
    assert [one.get_title() for one in axes] == ["source", "hue", "new"]


def test_the_plane_has_a_panel_for_each_method_and_image_set_with_both(plane_figure):
    *panels, bar = plane_figure.axes
    assert [one.get_title() for one in panels] == ["CE", "CTC, temporal queue"] * 2
    assert [one.get_ylabel() for one in panels] == ["I(T;Y) on source, nats", "", "I(T;Y) on new, nats", ""]
    assert bar.get_ylabel() == "epoch"


def test_a_path_of_the_plane_runs_through_the_means_and_its_colour_is_time(plane_figure):
    axes = plane_figure.axes[0]
    (mean,) = labelled(axes, "_mean")
    wanted = np.transpose([CURVES["ce"], np.array(CURVES["ce"]) / 3])
    np.testing.assert_allclose(mean.get_segments(), [wanted[:2], wanted[1:]])
    early, late = mean.get_array()
    assert 0 < early < 1 < late < 5
    assert mean.norm.vmin == 0
    assert mean.norm.vmax == 5
    (end,) = labelled(axes, "_end")
    np.testing.assert_allclose(end.get_offsets(), wanted[-1:])
    seeds = labelled(axes, "_seed")
    assert len(seeds) == 3
    np.testing.assert_allclose(seeds[1].get_segments()[0], wanted[:2] + np.array([0.1, 0.1 / 3]))
    assert max(line.get_linewidths()[0] for line in seeds) < mean.get_linewidths()[0]


def test_the_other_methods_are_grey_behind_a_panels_own(plane_figure):
    (others,) = labelled(plane_figure.axes[0], "_others")
    assert isinstance(others, LineCollection)
    assert to_hex(others.get_colors()[0]) == OTHERS.lower()
    np.testing.assert_allclose(others.get_segments()[0][:, 0], CURVES["ctc_queue"])


def test_the_plane_is_of_the_default_noise_and_another_can_be_asked_for(runs):
    assert yaml.safe_load((config_dir() / "information.yaml").read_text())["noise"] == DEFAULT_NOISE
    assert [s.noise for s in plane_settings(information_curves(runs))] == [1, 0.5]
    title = information_plane_figure(runs, Setting("xt", "noisy_channel", "", 0.5)).get_suptitle()
    assert "σ = 0.5 " in title


def test_points_of_the_plane_are_at_epochs_that_have_both(write_information):
    of = {("xt_noisy_channel/0.5", "source"): [1.0, 2.0], ("ty_classifier", "source"): [0.5]}
    measured = information_curves(load_runs(write_information(of, epochs=(0, 1))))
    points = plane_points(measured, plane_settings(measured)[0])
    assert points[["epoch", "xt", "ty"]].to_numpy().tolist() == [[0, 1.0, 0.5]]


def test_without_both_there_is_no_plane(write_information):
    run = write_information({("xt_noisy_channel/0.5", "source"): [1.0] * 4})
    with pytest.raises(ValueError, match="no image set has both"):
        information_plane_figure(load_runs(run))
    assert len(information_figure(load_runs(run)).axes) == 1


def test_nothing_estimated_is_one_sentence_with_the_remedy(write_study):
    with pytest.raises(ValueError, match=r"python -m ctc_lightning.information run=RUN_DIR"):
        information_figure(load_runs(write_study()))


def test_methods_that_do_not_fill_a_row_can_be_drawn(write_information, tmp_path):
    for i in range(5):
        of = {("xt_noisy_channel/0.5", "source"): [1.0, 2.0], ("ty_classifier", "source"): [0.1 * i, 1.0]}
        write_information(of, f"m{i}", epochs=(0, 1))
    *panels, bar = information_plane_figure(comparable(load_runs(tmp_path))).axes
    assert [axes.get_title() for axes in panels] == [f"m{i}" for i in range(5)]
    assert bar.get_ylabel() == "epoch"


def test_one_epoch_and_ten_methods_can_be_drawn(write_information, tmp_path):
    for i in range(10):
        of = {("xt_noisy_channel/0.5", "source"): [1.0 + i], ("ty_classifier", "source"): [0.1 * i]}
        write_information(of, f"m{i}", epochs=(0,))
    runs = comparable(load_runs(tmp_path))
    for name, make in {"curves": information_figure, "plane": information_plane_figure}.items():
        make(runs).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert "2 others" in [text.get_text() for text in information_figure(runs).legends[0].get_texts()]


def test_pyplot_is_left_alone(runs):
    information_figure(runs)
    information_plane_figure(runs)
    assert mpl._pylab_helpers.Gcf.figs == {}

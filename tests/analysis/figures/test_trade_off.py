"""The picture shows every method everywhere, in one colour, with the numbers of the runs."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from PIL import Image

from ctc_lightning.analysis import comparable, load_runs, summary, trade_off_figure, verdict
from ctc_lightning.analysis.frames.methods import OTHERS, colours

METHODS = ("ce", "ctc_queue")


@pytest.fixture(scope="module")
def figure(study):
    return trade_off_figure(load_runs(study))


def test_a_panel_for_the_source_and_each_target_then_the_plane(figure):
    *panels, plane = figure.axes
    assert [axes.get_title() for axes in panels] == ["source", "hue", "fine"]
    assert "source accuracy" in plane.get_xlabel()


def test_every_axes_has_a_line_for_each_method_in_that_methods_colour(figure):
    wanted = [colour.lower() for colour in colours(METHODS).values()]
    for axes in figure.axes:
        assert [to_hex(line.get_color()) for line in axes.lines] == wanted


def test_lines_are_means_over_seeds_and_bands_reach_from_the_lowest_to_the_highest(figure):
    hue = figure.axes[1]
    np.testing.assert_allclose(hue.lines[0].get_ydata(), [70, 92, 60, 30])
    np.testing.assert_allclose(hue.lines[0].get_xdata(), [0, 1, 2, 3])
    band = hue.collections[0].get_paths()[0].vertices
    at_the_end = band[band[:, 0] == 3, 1]
    np.testing.assert_allclose([at_the_end.min(), at_the_end.max()], [29, 31])


def test_the_planes_paths_run_from_the_start_to_the_end(figure):
    ce, queue = (line.get_xydata() for line in figure.axes[-1].lines)
    np.testing.assert_allclose(ce, [[25, 60], [60, 86], [90, 70], [99, 55]])
    np.testing.assert_allclose(queue[-1], [98, 85])


def test_the_star_marks_where_cross_entropy_would_have_stopped(figure):
    big = [marks for marks in figure.axes[-1].collections if marks.get_sizes()[0] > 200]
    assert len(big) == 1
    np.testing.assert_allclose(big[0].get_offsets(), [[60, 86]])  # epoch 1: source 60, mean of 92 and 80


def test_the_legend_names_the_methods_once(figure):
    (legend,) = (legend for part in figure.subfigs for legend in part.legends)
    names = [text.get_text() for text in legend.get_texts()]
    assert names[:2] == ["CE", "CTC, temporal queue"]
    assert "range of 3 seeds" in names


def stars(figure):
    """The legend's stars: each one's name and colour."""
    (legend,) = (legend for part in figure.subfigs for legend in part.legends)
    handles = zip(legend.legend_handles, legend.get_texts(), strict=True)
    return {
        " ".join(text.get_text().split()): to_hex(handle.get_color())
        for handle, text in handles
        if getattr(handle, "get_marker", str)() == "*"
    }


def test_a_star_has_its_methods_colour_in_the_legend_as_in_the_plane(write_study, write_run, tmp_path):
    write_study()
    curves = {("classifier", "source"): ([0.2, 0.9, 0.9],) * 2} | {
        ("whitened", target): ([0.3, 0.5, 0.4],) * 2 for target in ("hue", "fine")
    }
    write_run(curves, "a", "ce_best_wd", epochs=(0, 1, 2))
    figure = trade_off_figure(load_runs(tmp_path))
    paint = {method: colour.lower() for method, colour in colours([*METHODS, "ce_best_wd"]).items()}
    wanted = {
        "CE, stopped early": paint["ce"],
        "CE, best weight decay, stopped early": paint["ce_best_wd"],
    }
    assert stars(figure) == wanted
    plane = [
        marks
        for marks in figure.axes[-1].collections
        if len(marks.get_sizes()) and marks.get_sizes()[0] > 200
    ]
    assert [to_hex(marks.get_facecolor()[0]) for marks in plane] == list(wanted.values())


@pytest.mark.parametrize(
    ("source", "hasty"), [([0.25, 0.26, 0.9], True), ([0.25, 0.6, 0.9], False), ([0.9, 0.9, 0.9], False)]
)
def test_a_stop_before_the_source_is_learnt_is_said_in_picture_and_words(write_run, source, hasty):
    run = write_run(
        {("classifier", "source"): (source,) * 2, ("whitened", "hue"): ([0.5, 0.9, 0.4],) * 2},
        epochs=(0, 1, 2),
    )
    runs = load_runs(run)
    assert list(stars(trade_off_figure(runs))) == ["CE, stopped early" + ", source hardly learnt" * hasty]
    said = "hardly learnt its own task (source 25.0 at the first measured epoch)."
    assert (said in verdict(summary(runs))) == hasty


@pytest.mark.parametrize("num_targets", range(1, 10))
def test_panels_fill_their_half(write_run, num_targets):
    """At most the legend's share of it is empty: no row, and less than a third of the cells."""
    curves = {("classifier", "source"): ([0.2, 0.9],) * 2}
    curves |= {("whitened", f"t{i}"): ([0.3, 0.5],) * 2 for i in range(num_targets)}
    figure = trade_off_figure(load_runs(write_run(curves, epochs=(0, 1))))
    figure.draw_without_rendering()
    *panels, _ = figure.axes
    shape = panels[0].get_gridspec()
    assert len(panels) > shape.ncols * (shape.nrows - 1)
    assert len(panels) > 2 / 3 * shape.ncols * shape.nrows
    (legend,) = figure.subfigs[0].legends
    box = legend.get_window_extent()
    assert not [axes.get_title() for axes in panels if axes.get_window_extent().overlaps(box)]


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_the_file_is_a_picture_of_14_by_8_inches_that_is_not_blank(write_study, tmp_path, seeds):
    file = tmp_path / "trade_off.png"
    trade_off_figure(load_runs(write_study(seeds))).savefig(file, dpi=150)
    with Image.open(file) as image:
        assert (image.format, image.size) == ("PNG", (2100, 1200))
        assert len(image.convert("RGB").getcolors(maxcolors=2100 * 1200)) > 50


def test_a_run_with_only_epoch_0_can_be_drawn(write_run, tmp_path):
    curves = {("classifier", "source"): ([0.25],) * 2, ("whitened", "hue"): ([0.7],) * 2}
    figure = trade_off_figure(load_runs(write_run(curves, epochs=(0,))))
    figure.savefig(tmp_path / "start.png")
    np.testing.assert_allclose(figure.axes[-1].lines[0].get_xydata(), [[25, 70]])


def test_a_perfect_source_accuracy_stays_on_the_stretched_axis(write_run, tmp_path):
    curves = {("classifier", "source"): ([0.0, 1.0],) * 2, ("whitened", "hue"): ([0.7, 1.0],) * 2}
    figure = trade_off_figure(load_runs(write_run(curves, epochs=(0, 1))))
    figure.savefig(tmp_path / "perfect.png")
    plane = figure.axes[-1]
    assert np.isfinite(plane.transData.transform([[0, 70], [100, 100]])).all()
    assert plane.get_xlim()[1] == 100


def test_known_and_unknown_methods_have_different_colours():
    paint = colours(["ce", "ce_best_wd", "ctc_queue", "ctc_bank", "ctc_two_stage", "mine", "yours"])
    assert len(set(paint.values())) == 7


def test_pyplot_is_left_alone(figure):
    assert mpl._pylab_helpers.Gcf.figs == {}


def test_plain_backbones_are_dashed_lines_in_the_panels_of_their_targets(write_study, write_run, tmp_path):
    write_study()
    write_run({("whitened", "glyphs/hue"): ([0.7], [0.7])}, "b", "timm/resnet50", data="null", epochs=(0,))
    source, hue, fine, plane = trade_off_figure(comparable(load_runs(tmp_path))).axes
    dashed = {
        axes: [line for line in axes.lines if line.get_label() == "_backbone"] for axes in (source, hue, fine)
    }
    assert [len(lines) for lines in dashed.values()] == [0, 1, 0]
    np.testing.assert_allclose(dashed[hue][0].get_ydata(), [70, 70])
    assert not [
        line for line in plane.lines if line.get_label() == "_backbone"
    ]  # not measured on all targets


def test_of_many_methods_the_best_are_in_colour_and_the_others_grey(write_run, tmp_path):
    for i in range(20):
        end = 0.3 + i / 100
        curves = {("classifier", "source"): ([0.2, 0.9],) * 2, ("whitened", "hue"): ([0.3, end],) * 2}
        write_run(curves, method=f"m{i:02}", epochs=(0, 1))
    *panels, plane = trade_off_figure(load_runs(tmp_path)).axes
    for axes in (panels[1], plane):
        assert len(axes.lines) == 8
        (others,) = (lines for lines in axes.collections if isinstance(lines, LineCollection))
        assert len(others.get_segments()) == 12
        assert {to_hex(colour) for colour in others.get_colors()} == {OTHERS.lower()}
    assert sorted(line.get_ydata()[-1] for line in panels[1].lines) == pytest.approx(range(42, 50))


def test_a_panel_names_the_metric_that_is_not_top1(write_run):
    curves = {("classifier", "source"): ([0.2, 0.9],) * 2, ("logreg", "pets"): ([0.3, 0.5],) * 2}
    run = write_run(curves, epochs=(0, 1), metrics={"pets": "mean_per_class"})
    assert trade_off_figure(load_runs(run)).axes[1].get_title() == "pets (mean per class)"


def test_twelve_targets_fit(write_run, tmp_path):
    curves = {("logreg", f"target{i}"): ([0.3, 0.5],) * 2 for i in range(12)}
    run = write_run({("classifier", "source"): ([0.2, 0.9],) * 2} | curves, epochs=(0, 1))
    figure = trade_off_figure(load_runs(run))
    assert len(figure.axes) == 14
    figure.savefig(tmp_path / "twelve.png")

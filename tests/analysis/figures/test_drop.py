"""The bars are the drops of the table, the largest loss on top."""

import numpy as np
from matplotlib.colors import to_hex

from ctc_lightning.analysis import drop_figure, load_runs, summary
from ctc_lightning.analysis.frames.methods import colours


def test_bars_are_the_tables_drops_in_the_methods_colours(write_study):
    frame = load_runs(write_study())
    axes = drop_figure(frame).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["hue", "fine"]  # 62 and 0 points
    rows = summary(frame).query("protocol == 'whitened' and stopped == 'at the end'")
    paint = colours(["ce", "ctc_queue"])
    bars = {bar.get_label(): bar for bar in axes.containers}
    for method in paint:
        expected = rows[rows["method"] == method].set_index("target")["drop_mean"]
        drawn = sorted(bars[method], key=lambda bar: bar.get_y())
        np.testing.assert_allclose([bar.get_width() for bar in drawn], 100 * expected[["hue", "fine"]])
        assert {to_hex(bar.get_facecolor()) for bar in drawn} == {paint[method].lower()}


def test_every_seed_is_a_dot_at_its_own_drop(write_run, tmp_path):
    for seed, end in enumerate((0.3, 0.5)):
        source = {("classifier", "source"): ([0.2, 0.9],) * 2}
        write_run(source | {("whitened", "hue"): ([0.9, end], [0.9, 0.1])}, seed=seed, epochs=(0, 1))
    axes = drop_figure(load_runs(tmp_path)).axes[0]
    (dots,) = (marks for marks in axes.collections if marks.get_label() == "_seeds")
    np.testing.assert_allclose(np.sort(dots.get_offsets()[:, 0]), [40, 60])


def test_one_seed_has_no_dots(write_study):
    axes = drop_figure(load_runs(write_study(seeds=[0]))).axes[0]
    assert not [marks for marks in axes.collections if marks.get_label() == "_seeds"]

"""The figure shows the ranking's numbers, the best score on top, and needs no display."""

import io

import numpy as np
import pandas as pd
import pytest

from ctc_lightning.analysis.figures.ranking import ranking_figure

MEANS = {"logme": 0.9, "source accuracy": 0.5, "nc1": -0.2, "nce": np.nan}


@pytest.fixture
def found():
    return pd.DataFrame(
        [
            {
                "data": "glyphs",
                "scope": scope,
                "score": score,
                "target": target,
                "spearman_mean": mean - shift,
            }
            | {"spearman_std": 0.1, "n_seeds": 3}
            for scope in ("all checkpoints", "within a run")
            for target, shift in (("mean", 0.0), ("hue", 0.05), ("fine", -0.05))
            for score, mean in MEANS.items()
        ]
    )


def points(axes):
    return {tuple(np.round(point, 6)) for dots in axes.collections for point in dots.get_offsets().filled()}


def test_scores_stand_from_best_to_worst_with_their_numbers(found):
    figure = ranking_figure(found)
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["LogME", "source accuracy (baseline)", "−NC1*", "NCE"]
    top, bottom = left.get_ylim()[::-1]
    assert top < bottom, "the first score is on top"
    for axes in (left, right):
        assert not {place for _, place in points(axes)} - {0, 1, 2}, "the undefined one has no dot"
        drawn = points(axes)
        for place, mean in enumerate(MEANS.values()):
            if not np.isnan(mean):
                assert {(round(mean + shift, 6), place) for shift in (0, 0.05, -0.05)} <= drawn
        bands = {(round(bar.get_x(), 6), round(bar.get_width(), 6)) for bar in axes.patches}
        assert {(0.8, 0.2), (0.4, 0.2), (-0.3, 0.2)} <= bands
        assert axes.get_xlim()[0] <= -1 < 1 <= axes.get_xlim()[1]


def test_accuracies_have_another_colour_than_scores(found):
    axes = ranking_figure(found).axes[0]
    drawn = [dots for dots in axes.collections if len(dots.get_offsets())]
    colour = {dots.get_offsets()[0][1]: tuple(dots.get_facecolor()[0][:3]) for dots in drawn}
    assert colour[0] == colour[2] != colour[1]


def test_it_can_be_saved_and_one_seed_has_no_band(found):
    file = io.BytesIO()
    ranking_figure(found.assign(n_seeds=1, spearman_std=np.nan)).savefig(file, format="png", dpi=50)
    assert file.getvalue().startswith(b"\x89PNG")


def test_several_data_sets_are_refused(found):
    with pytest.raises(ValueError, match="rows of 2 data sets"):
        ranking_figure(pd.concat([found, found.assign(data="digits")]))

"""Templates and strokes against their definitions."""

import numpy as np
import pytest

from ctc_lightning.data.glyph_shapes import coverage, draw_templates
from ctc_lightning.data.glyph_style import GlyphStyle

STYLE = GlyphStyle()


def test_templates_obey_the_recipe():
    templates = draw_templates(400, 0, STYLE)
    assert templates.shape == (400, 3, 3, 2)
    points = templates[~np.isnan(templates)]
    assert np.abs(points).max() <= 0.9
    present = ~np.isnan(templates[:, :, 0, 0])
    assert set(present.sum(1)) == {2, 3}
    assert 0.4 < (present.sum(1) == 2).mean() < 0.6
    span = np.linalg.norm(templates[:, :, 2] - templates[:, :, 0], axis=-1)
    assert span[present].min() > 0.9


def test_templates_are_a_function_of_their_seed():
    np.testing.assert_array_equal(draw_templates(8, 500, STYLE), draw_templates(8, 500, STYLE))
    assert not np.array_equal(draw_templates(8, 500, STYLE), draw_templates(8, 501, STYLE), equal_nan=True)


def test_a_larger_alphabet_begins_with_the_smaller_one():
    np.testing.assert_array_equal(draw_templates(32, 500, STYLE)[:8], draw_templates(8, 500, STYLE))


def test_coverage_of_a_straight_stroke_is_its_closed_form():
    """The stroke from (-0.5, 0.25) to (0.5, 0.25): the distance to a segment, at every pixel."""
    style = GlyphStyle(curve_points=2001, image_size=16)
    stroke = np.array([[[[-0.5, 0.25], [0.0, 0.25], [0.5, 0.25]], np.full((3, 2), np.nan)]])
    centre = np.array([-15, -13, -11, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 11, 13, 15]) / 16
    y, x = np.meshgrid(centre, centre, indexing="ij")
    distance = np.hypot(np.maximum(np.abs(x) - 0.5, 0), y - 0.25)
    expected = np.clip(1.5 - distance / 0.2, 0, 1)
    np.testing.assert_allclose(coverage(stroke, np.array([0.2]), style)[0], expected, atol=1e-5)


def test_coverage_of_a_bent_stroke_is_a_naive_search_over_its_curve():
    rng = np.random.default_rng(0)
    strokes = rng.uniform(-0.9, 0.9, (70, 2, 3, 2))  # more than one chunk
    width = rng.uniform(0.07, 0.11, 70)
    covered = coverage(strokes, width, STYLE)
    for n in (0, 63, 64, 69):
        curve = [
            (1 - t) ** 2 * p[0] + 2 * t * (1 - t) * p[1] + t**2 * p[2]
            for p in strokes[n]
            for t in np.linspace(0, 1, STYLE.curve_points)
        ]
        for row, column in [(0, 0), (5, 20), (16, 16), (31, 3)]:
            pixel = np.array([(column + 0.5) / 16 - 1, (row + 0.5) / 16 - 1])
            nearest = min(np.linalg.norm(pixel - point) for point in curve)
            expected = np.clip(1.5 - nearest / width[n], 0, 1)
            assert covered[n, row, column] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        ({"scale": (0.8, 0.5)}, "scale"),
        ({"half_width": (0.0, 0.1)}, "half_width"),
        ({"strokes": (0, 2)}, "strokes"),
        ({"image_size": 0}, "image_size"),
        ({"noise_sd": -0.1}, "noise_sd"),
        ({"saturation": 1.5}, "saturation"),
        ({"curve_points": 1}, "curve_points"),
        ({"min_span": 2.0}, "min_span"),
    ],
)
def test_refuses_numbers_that_draw_nothing(number, word):
    with pytest.raises(ValueError, match=word):
        GlyphStyle(**number)

"""The shapes of glyphs: templates of Bézier strokes, and how much of each pixel a stroke covers."""

# T templates, N images, S strokes, P control points (3), Q points along a curve; 2 = (x, y)

import numpy as np
from numpy.typing import NDArray

from ctc_lightning.data.glyph_style import GlyphStyle

Array = NDArray[np.float64]

CHUNK = 64
"""Images rendered at once: their distances stay in the processor's cache."""


def draw_templates(num_templates: int, seed: int, style: GlyphStyle) -> Array:
    """The control points of an alphabet's quadratic Bézier strokes.

    Each template has a uniform number of strokes, each stroke three control points uniform in
    (-extent, extent)², drawn again until its end points are more than ``min_span`` apart. The first
    templates of a larger alphabet with the same seed are those of the smaller one.

    Returns:
        (T, S, 3, 2) float64; strokes that a template does not have are NaN.
    """
    rng = np.random.default_rng(seed)
    fewest, most = style.strokes
    templates_TSP2 = np.full((num_templates, most, 3, 2), np.nan)
    for strokes_SP2 in templates_TSP2:
        for stroke in range(rng.integers(fewest, most, endpoint=True)):
            strokes_SP2[stroke] = _draw_stroke(rng, style)
    return templates_TSP2


def _draw_stroke(rng: np.random.Generator, style: GlyphStyle) -> Array:
    while True:
        stroke_P2 = rng.uniform(-style.extent, style.extent, (3, 2))
        if np.linalg.norm(stroke_P2[2] - stroke_P2[0]) > style.min_span:
            return stroke_P2


def coverage(strokes_NSP2: Array, half_width_N: Array, style: GlyphStyle) -> Array:
    """clip(edge - d/w, 0, 1), d the pixel centre's distance from the nearest stroke, w its half-width.

    Args:
        strokes_NSP2: (N, S, 3, 2) control points; the image spans [-1, 1]², y grows downwards; NaN
            marks a stroke that is not there.
        half_width_N: (N,) w.
        style: gives the size, the edge and the number of points along a curve.

    Returns:
        (N, H, W) float64 in [0, 1].
    """
    chunks = range(0, len(strokes_NSP2), CHUNK)
    distance_NHW = np.concatenate([_distance(strokes_NSP2[i : i + CHUNK], style) for i in chunks])
    return np.clip(style.edge - distance_NHW / half_width_N[:, None, None], 0, 1)


def _distance(strokes_NSP2: Array, style: GlyphStyle) -> Array:
    t_Q = np.linspace(0, 1, style.curve_points)
    bernstein_QP = np.stack([(1 - t_Q) ** 2, 2 * t_Q * (1 - t_Q), t_Q**2], axis=1)
    curve_NSQ2 = (bernstein_QP[:, :, None] * strokes_NSP2[:, :, None]).sum(axis=3)
    points_NQ2 = curve_NSQ2.reshape(len(strokes_NSP2), -1, 2)

    # The square of a distance is a row's part plus a column's part: one addition per pixel and point.
    pixel = pixel_centres(style.image_size)
    dx2_NQW, dy2_NQH = np.moveaxis((pixel - points_NQ2[..., None]) ** 2, 2, 0)
    squared_NHW = np.full((len(points_NQ2), style.image_size, style.image_size), np.inf)
    for q in range(points_NQ2.shape[1]):
        # fmin: a NaN stroke is infinitely far.
        np.fmin(squared_NHW, dy2_NQH[:, q, :, None] + dx2_NQW[:, q, None, :], out=squared_NHW)
    return np.sqrt(squared_NHW)


def pixel_centres(image_size: int) -> Array:
    """Coordinates of the pixel centres along one axis of an image that spans [-1, 1]."""
    return (np.arange(image_size) + 0.5) * 2 / image_size - 1

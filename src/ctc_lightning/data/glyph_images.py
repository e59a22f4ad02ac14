"""Draws glyph images whose factors (shape, hue, position, texture, scale) are independent and labelled."""

# T templates, N images, S strokes, P control points; C = 3 colours, H rows, W columns; 2 = (x, y)

from colorsys import hsv_to_rgb

import numpy as np
import torch

from ctc_lightning.data.glyph_shapes import Array, coverage, pixel_centres
from ctc_lightning.data.glyph_style import GlyphStyle
from ctc_lightning.data.image_set import ImageSet


def draw_glyphs(
    templates_TSP2: Array, num_images: int, seed: np.random.SeedSequence, style: GlyphStyle
) -> ImageSet:
    """N instances of T templates.

    A control point p of the template becomes scale · R(rotation) (p + jitter) + shift. The image is
    a · foreground + (1 - a) · background · texture + noise, with a the strokes' coverage, clipped to [0, 1]
    and rounded to 256 levels. Rows come in random order; the classes of every label are balanced to one
    image, and independent of each other.

    Args:
        templates_TSP2: from `draw_templates`.
        num_images: N.
        seed: of all draws here; the same seed with other templates gives the same factors.
        style: the ranges and spreads of the draws.

    Returns:
        (N, 3, H, W) images with the labels ``glyph`` (T classes), ``hue``, ``position`` (2 · (shifted down) +
        (shifted to the right)), ``texture`` (multiples of 180°/num_textures) and ``scale`` (ascending).
    """
    rng = np.random.default_rng(seed)
    num_classes = {
        "glyph": len(templates_TSP2),
        "hue": style.num_hues,
        "position": 4,
        "texture": style.num_textures,
        "scale": style.num_scales,
    }
    labels = {name: rng.permutation(np.arange(num_images) % n) for name, n in num_classes.items()}

    strokes_NSP2 = _place(templates_TSP2[labels["glyph"]], labels, rng, style)
    cover_N1HW = coverage(strokes_NSP2, rng.uniform(*style.half_width, num_images), style)[:, None]
    hue_N = (labels["hue"] + rng.normal(0, style.hue_sd, num_images)) / style.num_hues
    foreground_NC11 = _colour(hue_N, style.saturation, style.value)
    background_NC11 = _colour(rng.random(num_images), style.background_saturation, style.background_value)
    background_NCHW = background_NC11 * _texture(labels["texture"], rng, style)

    image_NCHW = background_NCHW + cover_N1HW * (foreground_NC11 - background_NCHW)
    image_NCHW += rng.normal(0, style.noise_sd, image_NCHW.shape)
    level_NCHW = np.rint(255 * np.clip(image_NCHW, 0, 1)).astype(np.uint8)
    return ImageSet(torch.from_numpy(level_NCHW), {name: torch.from_numpy(y) for name, y in labels.items()})


def _place(
    strokes_NSP2: Array, labels: dict[str, np.ndarray], rng: np.random.Generator, style: GlyphStyle
) -> Array:
    """Jitter, rotate, scale and shift every image's control points, as its labels say."""
    num_images = len(strokes_NSP2)
    angle_N = np.deg2rad(rng.uniform(-style.max_rotation, style.max_rotation, num_images))
    low, high = style.scale
    scale_N = low + (high - low) * (labels["scale"] + rng.random(num_images)) / style.num_scales
    cos_N, sin_N = scale_N * np.cos(angle_N), scale_N * np.sin(angle_N)

    # Minus the uniform draw from [0, 1): no shift lies on the border between two quadrants.
    sign_N2 = 2 * np.stack([labels["position"] % 2, labels["position"] // 2], axis=1) - 1
    shift_N2 = sign_N2 * (1 - rng.random((num_images, 2))) * style.max_shift * 2 / style.image_size

    jittered_NSP2 = strokes_NSP2 + rng.normal(0, style.jitter_sd, strokes_NSP2.shape)
    x_NSP, y_NSP = np.moveaxis(jittered_NSP2, 3, 0)
    cos, sin = cos_N[:, None, None], sin_N[:, None, None]
    turned_NSP2 = np.stack([cos * x_NSP - sin * y_NSP, sin * x_NSP + cos * y_NSP], axis=3)
    return turned_NSP2 + shift_N2[:, None, None]


def _colour(hue_N: Array, saturation: float, value: float) -> Array:
    # colorsys takes no negative hue.
    return np.array([hsv_to_rgb(hue, saturation, value) for hue in hue_N % 1])[:, :, None, None]


def _texture(orientation_N: np.ndarray, rng: np.random.Generator, style: GlyphStyle) -> Array:
    """The factor mean + amplitude · sin(wave along the orientation + random phase), (N, 1, H, W)."""
    angle_N = np.pi * orientation_N / style.num_textures
    phase_N = rng.uniform(0, 2 * np.pi, len(orientation_N))
    pixel = np.pi * style.texture_cycles * pixel_centres(style.image_size)
    x_NW, y_NH = np.cos(angle_N)[:, None] * pixel, np.sin(angle_N)[:, None] * pixel
    wave_NHW = np.sin(x_NW[:, None, :] + y_NH[:, :, None] + phase_N[:, None, None])
    return (style.texture_mean + style.texture_amplitude * wave_NHW)[:, None]

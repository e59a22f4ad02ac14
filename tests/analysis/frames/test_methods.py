"""Colours can be told apart, also by those who see fewer of them."""

from itertools import combinations

import numpy as np
import pytest

from ctc_lightning.analysis.frames.methods import (
    MARKERS,
    OTHERS,
    PALETTE,
    colours,
    is_baseline,
    label,
    ordered,
    target_label,
)

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB
SEEN = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def lab(colour, seen):
    """CIE L*a*b* (D65) of an sRGB colour after the loss of a cone."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(seen @ linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", SEEN)
def test_any_two_colours_are_far_apart_to_every_eye(eye):
    # A just noticeable difference is about 2.3; ten apart are seen as different at a glance.
    seen = {colour: lab(colour, np.array(SEEN[eye])) for colour in (*PALETTE, OTHERS)}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 10, (one, other)


def test_there_is_a_marker_for_each_colour():
    assert len(set(MARKERS)) == len(MARKERS) == len(set(PALETTE))


def test_variants_of_one_method_have_different_colours_and_keep_its_name():
    methods = [f"ctc_queue, temperature={t}" for t in (0.1, 0.2, 0.5)] + ["ce", "ce, weight_decay=1"]
    assert len(set(colours(methods).values())) == 5
    assert label(methods[0]) == "CTC, temporal queue, temperature=0.1"
    assert ordered(methods)[:2] == ["ce", "ce, weight_decay=1"]
    assert is_baseline("ce, weight_decay=1")
    assert not is_baseline("centre")


def test_a_metric_is_named_where_it_is_not_top1():
    assert target_label("hue", "top1") == "hue"
    assert target_label("pets", "mean_per_class") == "pets (mean per class)"
    assert target_label("voc2007", "map_11_point") == "voc2007 (11-point mAP)"

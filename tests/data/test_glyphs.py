"""Glyph images: balanced labels that the pixels bear out, and seeds that do what they say."""

from colorsys import rgb_to_hsv
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from sklearn.neighbors import KNeighborsClassifier

from ctc_lightning.data.glyph_style import GlyphStyle
from ctc_lightning.data.glyphs import Glyphs

SIZES = {"num_train": 800, "num_val": 32, "num_test": 320}
CLASSES = {"source": 4, "fine": 16, "new": 16, "hue": 6, "position": 4, "texture": 4, "scale": 3}


def make(**options):
    data = Glyphs(**{**SIZES, **options})
    data.setup()
    return data


@pytest.fixture(scope="module")
def data():
    return make()


@pytest.fixture(scope="module")
def train(data):
    return data.image_sets["source"]["train"]


# ----------------------------------------------------------------- what the pixels say, without the generator


def silhouette(image):
    """(N, H, W) bool: the saturated pixels. Strokes have a chroma of 0.86, the ground at most 0.2."""
    intensity = image.double().numpy() / 255
    return intensity.max(1) - intensity.min(1) > 0.6


def moments(mask):
    """Centroid (N, 2) as (x, y), and root mean square radius (N,), in pixels from the image's centre."""
    weight = mask / mask.sum((1, 2), keepdims=True)
    grid = np.arange(mask.shape[1]) - (mask.shape[1] - 1) / 2
    x, y = (weight * grid).sum((1, 2)), (weight * grid[:, None]).sum((1, 2))
    radius = np.sqrt((weight * (grid**2 + grid[:, None] ** 2)).sum((1, 2)) - x**2 - y**2)
    return np.stack([x, y], axis=1), radius


def centred(mask):
    """Silhouettes rolled so that their centroid is in the middle."""
    shift = np.rint(moments(mask)[0]).astype(int)
    return np.stack([np.roll(m, (-dy, -dx), (0, 1)) for m, (dx, dy) in zip(mask, shift, strict=True)])


def minus_class_mean(value, label):
    return value - np.stack([value[label == c].mean(0) for c in range(label.max() + 1)])[label]


def shapes(images, label):
    """The mean centred silhouette of every glyph."""
    mask = centred(silhouette(images.image)).astype(float)
    glyph = images.labels[label].numpy()
    return np.stack([mask[glyph == g].mean(0).ravel() for g in range(16)])


def same_shape(a, b):
    """Of how many glyphs of ``a`` the most alike in ``b`` has the same number."""
    return (np.corrcoef(a, b)[:16, 16:].argmax(1) == np.arange(16)).sum()


# ------------------------------------------------------------------------------------------------ the labels


@pytest.mark.parametrize("name", ["source", "new"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_label_is_balanced(data, name, split):
    images = data.image_sets[name][split]
    size = SIZES[f"num_{split}"]
    assert images.image.shape == (size, 3, 32, 32)
    assert images.image.dtype == torch.uint8
    expected = {"new": {"new"}, "source": {"source", "fine"}}[name] | {"hue", "position", "texture", "scale"}
    assert set(images.labels) == expected
    for label, value in images.labels.items():
        assert value.shape == (size,)
        assert value.dtype == torch.int64
        counts = torch.bincount(value, minlength=CLASSES[label])
        assert len(counts) == CLASSES[label]
        assert counts.max() - counts.min() <= 1, label


def test_default_sizes_are_the_recipe():
    assert Glyphs().sizes == {"train": 1500, "val": 500, "test": 1500}


def test_source_label_is_the_glyph_mod_4(train):
    assert torch.equal(train.labels["source"], train.labels["fine"] % 4)


def test_factors_are_independent(train):
    for a, b in combinations(["fine", "hue", "position", "texture", "scale"], 2):
        table = np.zeros((CLASSES[a], CLASSES[b]))
        np.add.at(table, (train.labels[a].numpy(), train.labels[b].numpy()), 1)
        assert chi2_contingency(table).pvalue > 1e-3, (a, b)


def test_hue_is_the_mean_colour_of_the_strokes(train):
    mask = silhouette(train.image)[:, None]
    colour = (train.image.numpy() * mask).sum((2, 3)) / mask.sum((2, 3)) / 255
    hue = np.array([rgb_to_hsv(*rgb)[0] for rgb in colour])
    assert (np.rint(6 * hue) % 6 == train.labels["hue"].numpy()).mean() > 0.98


def test_strokes_have_the_recipe_s_saturation_value_and_spread_of_hue():
    """Without noise the most saturated pixel is the stroke's own colour."""
    style = GlyphStyle(noise_sd=0, half_width=(0.2, 0.2))
    train = make(style=style).image_sets["source"]["train"]
    level = train.image.flatten(2).permute(0, 2, 1)
    purest = (level.amax(2).int() - level.amin(2).int()).argmax(1)
    colour = level[torch.arange(len(level)), purest]
    assert set(colour.amax(1).tolist()) == {round(255 * 0.95)}
    assert set(colour.amin(1).tolist()) == {round(255 * 0.95 * (1 - 0.9))}
    deviation = (
        6 * np.array([rgb_to_hsv(*rgb)[0] for rgb in colour.double().numpy()]) - train.labels["hue"].numpy()
    )
    deviation = (deviation + 3) % 6 - 3
    for k in range(6):
        spread = deviation[train.labels["hue"] == k]
        assert abs(spread.mean()) < 0.04
        assert 0.09 < spread.std() < 0.15


def test_position_is_the_quadrant_of_the_shift(train):
    """A glyph's own centroid is off-centre: taken out as the mean over the images of the glyph."""
    x, y = minus_class_mean(moments(silhouette(train.image))[0], train.labels["fine"].numpy()).T
    assert (2 * (y > 0) + (x > 0) == train.labels["position"].numpy()).mean() > 0.75


def test_texture_is_the_direction_of_the_ground_s_strongest_wave(train):
    brightness = train.image.double().numpy().mean(1)
    ground = np.where(silhouette(train.image), np.nan, brightness)
    ground = np.nan_to_num(ground - np.nanmean(ground, axis=(1, 2), keepdims=True))
    peak = np.abs(np.fft.fft2(ground)).reshape(len(ground), -1).argmax(1)
    fy, fx = np.fft.fftfreq(32)[np.stack(np.unravel_index(peak, (32, 32)))]
    orientation = np.rint(np.arctan2(fy, fx) / (np.pi / 4)) % 4
    assert (orientation == train.labels["texture"].numpy()).mean() > 0.95


def test_scale_is_the_size_of_the_strokes(train):
    """Radius relative to the glyph's usual one, cut into thirds; its jitter leaves the thirds blurred."""
    _, radius = moments(silhouette(train.image))
    size = minus_class_mean(np.log(radius), train.labels["fine"].numpy())
    third = np.searchsorted(np.quantile(size, [1 / 3, 2 / 3]), size)
    assert (third == train.labels["scale"].numpy()).mean() > 0.6


@pytest.mark.parametrize(("name", "label"), [("source", "fine"), ("new", "new")])
def test_glyphs_are_told_by_their_shape(data, name, label):
    train, test = (data.image_sets[name][split] for split in ("train", "test"))
    x, x_test = (centred(silhouette(images.image)).reshape(len(images.image), -1) for images in (train, test))
    neighbours = KNeighborsClassifier(5).fit(x, train.labels[label])
    assert neighbours.score(x_test, test.labels[label]) > 0.5


# ------------------------------------------------------------------------------------------------- the seeds


def test_same_seeds_same_images(data):
    again = make()
    for name, splits in data.image_sets.items():
        for split, images in splits.items():
            other = again.image_sets[name][split]
            assert torch.equal(images.image, other.image)
            assert all(torch.equal(images.labels[label], other.labels[label]) for label in images.labels)


def test_instance_seed_draws_other_images_of_the_same_glyphs(data, train):
    other = make(instance_seed=1)
    assert not {row.numpy().tobytes() for row in train.image} & {
        row.numpy().tobytes() for row in other.image_sets["source"]["train"].image
    }
    for name, label in (("source", "fine"), ("new", "new")):
        a, b = (shapes(d.image_sets[name]["train"], label) for d in (data, other))
        assert same_shape(a, b) >= 15


def test_template_seed_draws_other_glyphs_with_the_same_factors(train):
    other = make(template_seed=501).image_sets["source"]["train"]
    assert same_shape(shapes(train, "fine"), shapes(other, "fine")) <= 5
    assert all(torch.equal(train.labels[label], other.labels[label]) for label in train.labels)


def test_new_glyphs_are_not_the_source_glyphs(data, train):
    assert same_shape(shapes(train, "fine"), shapes(data.image_sets["new"]["train"], "new")) <= 5


def test_splits_share_no_image_and_no_draw():
    """Of equal sizes: two splits from one stream would have the same factors."""
    data = make(num_train=64, num_val=64, num_test=64)
    splits = [images for splits in data.image_sets.values() for images in splits.values()]
    rows = [row.numpy().tobytes() for images in splits for row in images.image]
    assert len(set(rows)) == len(rows) == 6 * 64
    for a, b in combinations(splits, 2):
        assert not torch.equal(a.labels["hue"], b.labels["hue"])


def test_a_split_does_not_depend_on_the_size_of_another(data):
    other = make(num_val=64)
    for name in ("source", "new"):
        for split in ("train", "test"):
            assert torch.equal(data.image_sets[name][split].image, other.image_sets[name][split].image)


# ----------------------------------------------------------------------------------------------- the options


def test_targets_name_labels_of_their_image_set(data):
    assert set(data.targets) == {"fine", "new", "hue", "position", "texture", "scale"}
    for target, name in data.targets.items():
        assert all(target in images.labels for images in data.image_sets[name].values())


@pytest.mark.parametrize("label", ["source", "fine", "hue", "position", "texture", "scale"])
def test_any_factor_can_be_the_source_label(label):
    data = make(num_train=64, source_label=label, batch_size=8)
    assert data.num_classes == CLASSES[label]
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert torch.equal(batch.label, data.image_sets["source"]["train"].labels[label][batch.index])


def test_style_numbers_reach_the_images():
    plain = GlyphStyle(noise_sd=0, texture_amplitude=0, image_size=16, num_hues=2, num_scales=5)
    data = make(num_train=32, batch_size=8, style=plain)
    images = data.image_sets["source"]["train"]
    assert data.image_shape == (3, 16, 16)
    assert images.labels["hue"].max() == 1
    assert images.labels["scale"].max() == 4
    flat = images.image.flatten(2).mode(-1).values  # the ground is one colour
    assert ((images.image == flat[:, :, None, None]).all(1).sum((1, 2)) > 100).all()


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ({"source_label": "colour"}, "source, fine, hue"),
        ({"num_test": 15}, "num_test is 15"),
        ({"num_val": 0}, "num_val is 0"),
        ({"num_templates": 7}, "num_templates is 7"),
        ({"source_classes": 5}, "source_classes is 5"),
        ({"source_classes": 1}, "source_classes is 1"),
        ({"template_seed": -1}, "template_seed is -1"),
        ({"instance_seed": -1}, "instance_seed is -1"),
    ],
)
def test_refuses_what_makes_no_data(option, word):
    with pytest.raises(ValueError, match=word):
        Glyphs(**option)
